"""Counters of a tree of processes that neither fall nor lose what the dead had used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: A process, told from later ones with the same pid.
Key = tuple[int, float]
#: A process that was not seen for so many readings is gone for good.
_REMEMBERED_READINGS = 20


class _Seen(msgspec.Struct):
    own: float = 0.0
    reaped: float = 0.0
    missed: int = 0


class TreeCounter:
    """Sums what the processes of one tree use, while they come and go.

    The kernel adds what a process had used to its parent once that has waited for it (getrusage(2),
    RUSAGE_CHILDREN). So the parent's figure tells what a child used after it was last seen, and
    what those used that were never seen; what was counted while the child lived is taken off.
    Where nobody waits, only what was used since the last reading is lost.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.total = 0.0
        self._seen: dict[Key, _Seen] = {}
        #: What was counted of processes that went at this reading, and at the one before: a parent
        #: that was read before its child ended shows it one reading later.
        self._gone = 0.0
        self._gone_before = 0.0

    def add(self, figures: Mapping[Key, tuple[float, float]]) -> None:
        """Take in one reading: by process, what it used itself and what its dead children did.

        Parents were read before their children. A process that is seen for the first time counts
        from its own beginning. A figure that a kernel does not split stands in the second place.
        """
        used = returned = 0.0
        for key, (own, reaped) in figures.items():
            seen = self._seen.get(key)
            if seen is None:
                # The dead children of a new process were never seen either.
                used += own + reaped
                self._seen[key] = _Seen(own, reaped)
                continue
            used += max(own - seen.own, 0.0)
            returned += max(reaped - seen.reaped, 0.0)
            self._seen[key] = _Seen(max(own, seen.own), max(reaped, seen.reaped))
        self._gone_before, self._gone = self._gone, self._miss(figures)
        counted_before = min(returned, self._gone_before)
        self._gone_before -= counted_before
        counted_now = min(returned - counted_before, self._gone)
        self._gone -= counted_now
        self.total += used + returned - counted_before - counted_now

    def _miss(self, figures: Mapping[Key, object]) -> float:
        """Return what was counted of those that are missed for the first time."""
        gone = 0.0
        for key, seen in list(self._seen.items()):
            if key in figures:
                continue
            if seen.missed == 0:
                gone += seen.own + seen.reaped
            seen.missed += 1
            if seen.missed > _REMEMBERED_READINGS:
                del self._seen[key]
        return gone
