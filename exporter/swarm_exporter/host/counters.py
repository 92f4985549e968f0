"""Counters of a tree of processes that neither fall nor lose what the dead had used."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

#: A process, told from later ones with the same pid.
Key = tuple[int, float]
#: A process that was not seen for so many readings is gone for good.
_REMEMBERED_READINGS = 20


class _Seen(msgspec.Struct):
    own: float
    reaped: float
    #: Its parent, where that is in the tree too.
    parent: Key | None
    missed: int = 0


class _Owed(msgspec.Struct):
    """What was counted of dead children, and that their parent's figure is still to show."""

    #: Of those that went before this reading of the parent, and of those that went since.
    before: float = 0.0
    now: float = 0.0


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
        self._owed: dict[Key, _Owed] = {}

    def add(
        self,
        figures: Mapping[Key, tuple[float, float]],
        parents: Mapping[Key, Key],
        living: Collection[Key] = (),
    ) -> None:
        """Take in one reading: by process, what it used itself and what its dead children did.

        `parents` has the parent of each process whose parent is in the tree too. `living` are
        processes that are still there, though without a figure now: zombies, or one that is not
        in the tree for a while.

        Parents were read before their children. A process that is seen for the first time counts
        from its own beginning. A figure that a kernel does not split stands in the second place.
        """
        used, returned = self._grown(figures, parents)
        self._miss(figures, living)
        self.total += used + returned - self._counted_before(returned, figures)

    def _grown(
        self, figures: Mapping[Key, tuple[float, float]], parents: Mapping[Key, Key]
    ) -> tuple[float, float]:
        """Return what the processes have used since they were last seen, and what came back."""
        used = returned = 0.0
        for key, (own, reaped) in figures.items():
            seen = self._seen.get(key)
            if seen is None:
                # The dead children of a new process were never seen either.
                used += own + reaped
                seen = _Seen(own, reaped, None)
            used += max(own - seen.own, 0.0)
            returned += max(reaped - seen.reaped, 0.0)
            self._seen[key] = _Seen(max(own, seen.own), max(reaped, seen.reaped), parents.get(key))
        return used, returned

    def _miss(self, figures: Collection[Key], living: Collection[Key]) -> None:
        """Note what the parents of processes that have gone owe."""
        dead = {key for key in self._seen if key not in figures and key not in living}
        for key in dead:
            seen = self._seen[key]
            amount = seen.own + seen.reaped if seen.missed == 0 else 0.0
            owed = self._owed.pop(key, None)
            if owed is not None:
                amount += owed.before + owed.now
            # A parent that has gone with its child has handed on what that had used.
            heir = seen.parent
            while heir in dead:
                heir = self._seen[heir].parent
            # Where no parent is known, nothing comes back.
            if amount and heir in self._seen:
                self._owed.setdefault(heir, _Owed()).now += amount
            seen.missed += 1
        for key in dead:
            if self._seen[key].missed > _REMEMBERED_READINGS:
                del self._seen[key]

    def _counted_before(self, returned: float, figures: Collection[Key]) -> float:
        """Return how much of what came back was counted while its processes lived.

        A parent that was read before its child ended shows it one reading later; what it does not
        show then, as it did not wait, it never will. One that was not read owes on.
        """
        read = [owed for key, owed in self._owed.items() if key in figures]
        left = returned
        for owed in read:
            left -= min(left, owed.before)
        for owed in read:
            known = min(left, owed.now)
            left -= known
            owed.before, owed.now = owed.now - known, 0.0
        self._owed = {key: owed for key, owed in self._owed.items() if owed.before or owed.now}
        return returned - left
