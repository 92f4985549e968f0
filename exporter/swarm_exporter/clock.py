"""Time as an object, so that tests own it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the program asks of time."""

    def time(self) -> float:
        """Return the wall clock, Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of `monotonic`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return the wall clock, Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the monotonic clock, seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
