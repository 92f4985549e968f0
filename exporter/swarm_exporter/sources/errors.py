"""The one exception of a source: a reason from the fixed list, and what was seen."""

from __future__ import annotations

from swarm_exporter.reasons import Reason

#: No answer may ask for a longer silence than this.
LONGEST_RETRY_AFTER_SECONDS = 3600.0


class SourceError(Exception):
    """A poll that failed. `detail` is for people and never holds a secret.

    `retry_after`: seconds for which it is not to be asked again, an hour at most; None where that
    is not said.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = (
            None if retry_after is None else min(retry_after, LONGEST_RETRY_AFTER_SECONDS)
        )
