"""Snapshot -> the bytes of `/metrics`, by prometheus-client's own encoders.

The bytes are made once for each snapshot, format and compression, not once for each scrape.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable

from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from swarm_exporter.metrics import CATALOGUE
from swarm_exporter.metrics.catalogue import Kind, Metric
from swarm_exporter.model import Snapshot

#: Level 1 takes a thirteenth of level 9's time for a body a tenth larger.
_GZIP_LEVEL = 1
#: Formats times compressions; what a client asks for beyond that is not worth memory.
_REMEMBERED_BODIES = 8


class _Families(Collector):
    """The catalogue read against one snapshot, in the shape that the encoders take."""

    def __init__(self, snapshot: Snapshot, *, openmetrics: bool) -> None:
        self._snapshot = snapshot
        self._openmetrics = openmetrics

    def collect(self) -> Iterable[Family]:
        for metric in CATALOGUE:
            read = family(metric, self._snapshot)
            if self._openmetrics and metric.kind is Kind.SUMMARY:
                # OpenMetrics forbids negative quantiles in a summary, and rewards can be negative.
                read.type = Kind.GAUGE.value
            yield read


def family(metric: Metric, snapshot: Snapshot) -> Family:
    """Read one metric of the catalogue into a family of prometheus-client."""
    suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(metric.kind, "")
    result = Family(metric.name.removesuffix(suffix), metric.help, metric.kind.value)
    for labels, value in metric.read(snapshot):
        result.add_sample(metric.name, labels, value)
    return result


def _choose_encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (ValueError, TypeError):  # It cannot read the version that the client names.
        return choose_encoder("")


class Renderer:
    """Renders snapshots, and remembers the bytes of the newest one."""

    def __init__(self) -> None:
        """Begin with nothing rendered."""
        self._snapshot: Snapshot | None = None
        self._bodies: dict[tuple[str, bool], bytes] = {}

    def render(
        self, snapshot: Snapshot, accept: str = "", *, compress: bool = False
    ) -> tuple[bytes, str]:
        """Return body and content type for an Accept header, gzipped where asked for."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._bodies = {}
        encoder, content_type = _choose_encoder(accept)
        body = self._bodies.get((content_type, compress))
        if body is None:
            if compress:
                plain, _ = self.render(snapshot, accept)
                body = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
            else:
                openmetrics = content_type.startswith("application/openmetrics-text")
                body = encoder(_Families(snapshot, openmetrics=openmetrics))
            if len(self._bodies) < _REMEMBERED_BODIES:
                self._bodies[content_type, compress] = body
        return body, content_type
