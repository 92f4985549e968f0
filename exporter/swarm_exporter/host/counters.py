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
    #: Its nearest ancestor that was there: what it used returns to that one.
    heir: Key | None
    missed: int = 0


class _Owed(msgspec.Struct):
    """What was counted of dead children, and that their parent's figure is still to show."""

    #: Of those that went before this reading of the parent, and of those that went since.
    before: float = 0.0
    now: float = 0.0

    @property
    def total(self) -> float:
        return self.before + self.now


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

        `parents` has the parent of each, in the tree or above it. `living` are processes that are
        still there, though without a figure now: zombies, and what is not in the tree now.

        Parents were read before their children. A process that is seen for the first time counts
        from its own beginning. A figure that a kernel does not split stands in the second place.
        """
        used = returned = 0.0
        for key, (own, reaped) in figures.items():
            seen = self._seen.get(key)
            if seen is None:
                # Its dead children were never seen either, unless it comes into the tree late.
                used += own + max(reaped - self._owed.pop(key, _Owed()).total, 0.0)
                seen = _Seen(own, reaped, None)
            used += max(own - seen.own, 0.0)
            returned += max(reaped - seen.reaped, 0.0)
            heir = parents.get(key)
            while heir is not None and heir not in figures and heir not in living:
                heir = parents.get(heir)
            self._seen[key] = _Seen(max(own, seen.own), max(reaped, seen.reaped), heir)
        self._miss(figures, living)
        self.total += used + returned - self._counted_before(returned, figures, living)

    def _miss(self, figures: Collection[Key], living: Collection[Key]) -> None:
        """Note what the parents of processes that have gone owe."""
        dead = {key for key in self._seen if key not in figures and key not in living}
        for key in dead:
            seen = self._seen[key]
            amount = self._owed.pop(key, _Owed()).total
            if seen.missed == 0:
                amount += seen.own + seen.reaped
            heir = seen.heir
            while heir in dead:
                heir = self._seen[heir].heir
            if amount and heir is not None and (heir in figures or heir in living):
                self._owed.setdefault(heir, _Owed()).now += amount
            seen.missed += 1
        for key in dead:
            if self._seen[key].missed > _REMEMBERED_READINGS:
                del self._seen[key]

    def _counted_before(
        self, returned: float, figures: Collection[Key], living: Collection[Key]
    ) -> float:
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
        self._owed = {
            key: owed
            for key, owed in self._owed.items()
            if owed.total and (key in figures or key in living)
        }
        return returned - left
