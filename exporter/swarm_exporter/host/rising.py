"""Counters of a kernel that begin anew or step back, made to only grow."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class RisingCounters(Generic[Key]):
    """Adds up by how much each counter grew; what has gone keeps what it had.

    The first reading counts whole. What is first seen later counts from there, as what it did
    before happened at no time that anybody watched.
    """

    def __init__(self, jitter: float = 0.0) -> None:
        """Begin without counters; one that steps back by `jitter` or less is waited for."""
        self.totals: dict[Key, float] = {}
        self._last: dict[Key, float] = {}
        self._jitter = jitter
        self._began = False

    def add(self, values: Mapping[Key, float]) -> None:
        """Take in one reading. A counter that fell goes on from where it is now."""
        for key, value in values.items():
            last = self._last.get(key)
            if last is None:
                self.totals[key] = 0 if self._began else value
            elif value >= last:
                self.totals[key] += value - last
            elif last - value <= self._jitter:
                continue
            self._last[key] = value
        self._began = True
