"""The one exception of a source: a reason from the fixed list, and what was seen."""

from __future__ import annotations

from swarm_exporter.reasons import Reason


class SourceError(Exception):
    """A poll that failed. `detail` is for people and never holds a secret."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
