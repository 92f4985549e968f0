"""The `hosted` part of the configuration: a dashboard that others run, and how it is asked.

Defaults are the fields of Gensyn's dashboard as public clients read them; its source is closed.
"""

from __future__ import annotations

import re

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.mapping import FileMapping, Mapping, resolve_mapping
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError
from swarm_exporter.json_path import parse_path

#: It is somebody else's machine: nobody may ask it more often. Seconds.
SHORTEST_INTERVAL_SECONDS = 15.0

#: What a one-peer answer can say.
_KNOWN = ("list", "id", "nickname", "reward", "score", "online", "reward_at", "score_at")
_DEFAULT = Mapping(
    id=parse_path("peerId"),
    nickname=parse_path("peerName"),
    reward=parse_path("reward"),
    score=parse_path("score"),
    online=parse_path("online"),
    reward_at=parse_path("rewardTimestamp"),
    score_at=parse_path("scoreTimestamp"),
)


class FileHosted(msgspec.Struct, forbid_unknown_fields=True):
    """`hosted` in a file."""

    url: str | None = None
    path: str | None = None
    interval: str | int | float | None = None
    mapping: FileMapping | None = None


class Hosted(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard that answers for one peer at a time."""

    #: Its base address, without a trailing slash.
    url: str = "https://dashboard.gensyn.ai"
    #: What answers `?id=` and `?name=` there.
    path: str = "/api/v1/peer"
    #: Seconds from one request for a peer to the next.
    interval: float = 60.0
    mapping: Mapping = _DEFAULT


def resolve_hosted(file: FileHosted | None, document: Document | None) -> Hosted | None:
    """Return the settings; None where the file has no such part: nobody is asked unbidden.

    Raises ConfigError with line, key and the fix.
    """
    if file is None or document is None:
        return None
    given: dict[str, object] = {}
    readers = {
        "url": values.url,
        "path": request_path,
        "interval": values.duration(shortest=SHORTEST_INTERVAL_SECONDS),
    }
    for name, read in readers.items():
        value = getattr(file, name)
        if value is not None:
            where = document.where(f"hosted.{name}")
            written = Setting(value, where, ConfigError, document.path.parent, from_file=True)
            given[name] = written.parse(read)
    if file.mapping is not None:
        given["mapping"] = resolve_mapping(
            file.mapping, "hosted.mapping", document, _DEFAULT, _KNOWN
        )
    return Hosted(**given)  # type: ignore[arg-type]


def request_path(value: object) -> str:
    """Read the path of a request, below a base address."""
    # What is refused is not shown: a query may hold a key.
    text = str(value).strip()
    if re.fullmatch(r"/[!-~]*", text) is None:
        raise ValueError("must begin with / and hold neither spaces nor other than ASCII")
    if "?" in text or "#" in text:
        raise ValueError("must be a path alone: no ? and no #")
    return text
