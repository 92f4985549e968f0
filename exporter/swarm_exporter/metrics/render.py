"""Snapshot -> the bytes of `/metrics`, in Prometheus' text format 0.0.4 or OpenMetrics 1.0.

They are made once for each snapshot, format and compression, not once for each scrape; only what
the exporter costs its machine is read anew each time, and put behind them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

import msgspec

from swarm_exporter.metrics import CATALOGUE
from swarm_exporter.metrics.catalogue import Metric
from swarm_exporter.metrics.exposition import SampleLines, header
from swarm_exporter.model import Snapshot

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: Level 1 takes a thirteenth of level 9's time for a body a tenth larger.
_GZIP_LEVEL = 1
#: RFC 1952, section 2.3: deflate, no flags, no time, fastest algorithm, unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_GZIP_END = struct.Struct("<LL")
_END_OF_OPENMETRICS = b"# EOF\n"
#: Clients that say something of their own each time are not remembered beyond this.
_REMEMBERED_ACCEPTS = 32


class _Packed(msgspec.Struct, frozen=True):
    """A compressed beginning of a body, on a byte's border, and what is needed to go on."""

    begun: bytes
    checksum: int
    length: int

    @classmethod
    def of(cls, body: bytes) -> _Packed:
        deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        begun = deflate.compress(body) + deflate.flush(zlib.Z_FULL_FLUSH)
        return cls(_GZIP_HEADER + begun, zlib.crc32(body), len(body))

    def ended_with(self, rest: bytes) -> bytes:
        """Return the whole as one gzip member: not every client reads a second one."""
        deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        ended = deflate.compress(rest) + deflate.flush(zlib.Z_FINISH)
        end = _GZIP_END.pack(
            zlib.crc32(rest, self.checksum), (self.length + len(rest)) & 0xFFFFFFFF
        )
        return b"".join((self.begun, ended, end))


class Renderer:
    """Renders snapshots, and remembers the bytes of the newest one."""

    def __init__(self, catalogue: Sequence[Metric] = CATALOGUE) -> None:
        """Begin with nothing rendered."""
        self._lasting = [metric for metric in catalogue if not metric.live]
        self._live = [metric for metric in catalogue if metric.live]
        self._headers = {
            (metric.name, content_type): header(metric, openmetrics=content_type is OPENMETRICS)
            for metric in catalogue
            for content_type in (TEXT, OPENMETRICS)
        }
        self._snapshot: Snapshot | None = None
        self._lines = SampleLines()
        #: What lasts as long as the snapshot: the lines of each metric, and whole bodies of them.
        self._samples: list[str] = []
        self._bodies: dict[str, bytes] = {}
        self._packed: dict[str, _Packed] = {}
        self._content_types: dict[str, str] = {}

    def render(
        self, snapshot: Snapshot, accept: str = "", *, compress: bool = False
    ) -> tuple[bytes, str]:
        """Return body and content type for an Accept header, gzipped where asked for."""
        if snapshot is not self._snapshot:
            self._read(snapshot)
        content_type = self._choose(accept)
        body = self._bodies.get(content_type)
        if body is None:
            body = self._body(self._lasting, self._samples, content_type)
            self._bodies[content_type] = body
        rest = self._body(self._live, self._read_live(snapshot), content_type)
        if content_type is OPENMETRICS:
            rest += _END_OF_OPENMETRICS
        if not compress:
            return body + rest, content_type
        packed = self._packed.get(content_type)
        if packed is None:
            packed = self._packed[content_type] = _Packed.of(body)
        return packed.ended_with(rest), content_type

    def _read(self, snapshot: Snapshot) -> None:
        self._lines.forget_unused()
        self._samples = [self._lines.of(m.name, m.read(snapshot)) for m in self._lasting]
        self._bodies, self._packed = {}, {}
        # Last: where a metric cannot be read, the next scrape must not find half of them.
        self._snapshot = snapshot

    def _read_live(self, snapshot: Snapshot) -> list[str]:
        return [self._lines.of(metric.name, metric.read(snapshot)) for metric in self._live]

    def _body(self, metrics: Iterable[Metric], samples: Iterable[str], content_type: str) -> bytes:
        parts: list[str] = []
        for metric, lines in zip(metrics, samples, strict=True):
            parts += (self._headers[metric.name, content_type], lines)
        # A name that is no Unicode, of a file system say, costs its letters and not the scrape.
        return "".join(parts).encode(errors="replace")

    def _choose(self, accept: str) -> str:
        chosen = self._content_types.get(accept)
        if chosen is None:
            chosen = choose_content_type(accept)
            if len(self._content_types) < _REMEMBERED_ACCEPTS:
                self._content_types[accept] = chosen
        return chosen


def choose_content_type(accept: str) -> str:
    """Return what to answer to an Accept header (RFC 9110, section 12.5.1): TEXT where in doubt.

    OpenMetrics is given to who names it in version 1.x, or without a version, before plain text.
    """
    offers = []
    for offer in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        said = dict(parameter.partition("=")[::2] for parameter in parameters)
        weight = _weight(said.get("q", "1"))
        version = said.get("version", "").strip('"')
        if kind == "application/openmetrics-text" and (version or "1.").startswith("1."):
            offers.append((weight, OPENMETRICS))
        elif kind in ("text/plain", "text/*", "*/*"):
            offers.append((weight, TEXT))
    weight, chosen = max(offers, key=lambda offer: offer[0], default=(0.0, TEXT))
    return chosen if weight > 0 else TEXT


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
