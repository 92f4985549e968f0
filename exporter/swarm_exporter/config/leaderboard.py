"""The `leaderboard` part of the configuration: a board whose JSON has a shape of its own."""

from __future__ import annotations

import msgspec

from swarm_exporter.config.hosted import request_path
from swarm_exporter.config.mapping import FileMapping, Mapping, resolve_mapping
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError

#: What a board's row can say, and the board of itself.
_KNOWN = (
    *("list", "id", "nickname", "reward", "score", "participation"),
    *("total", "round", "stage", "rank"),
)
_EXAMPLE = "as in list: data.peers, id: peerId"


class FileLeaderboard(msgspec.Struct, forbid_unknown_fields=True):
    """`leaderboard` in a file."""

    path: str | None = None
    mapping: FileMapping | None = None


class MappedBoard(msgspec.Struct, frozen=True, kw_only=True):
    """One request that answers with the whole board, and where in the answer the figures stand."""

    #: Below each node's API address.
    path: str = "/api/leaderboard"
    mapping: Mapping

    @property
    def keeps_sums(self) -> bool:
        """True where no stage is told: then a peer's reward is a running sum of its own."""
        return self.mapping.round is None


def resolve_leaderboard(
    file: FileLeaderboard | None, document: Document | None
) -> MappedBoard | None:
    """Return the settings; None for a board of upstream's own shape.

    Raises ConfigError with line, key and the fix.
    """
    if file is None or document is None:
        return None
    if file.mapping is None:
        raise document.error("leaderboard", "needs a mapping, or leave it out for upstream's API")
    mapping = resolve_mapping(file.mapping, "leaderboard.mapping", document, Mapping(), _KNOWN)
    if mapping.list is None or mapping.id is None:
        lacks = "list" if mapping.list is None else "id"
        raise document.error("leaderboard.mapping", f"needs {lacks}; write it {_EXAMPLE}")
    if file.path is None:
        return MappedBoard(mapping=mapping)
    where = document.where("leaderboard.path")
    written = Setting(file.path, where, ConfigError, document.path.parent, from_file=True)
    return MappedBoard(path=written.parse(request_path), mapping=mapping)
