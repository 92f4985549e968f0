"""Blocking reads beside the event loop: one thread at a time, given up where it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

T = TypeVar("T")
V = TypeVar("V")


class Worker:
    """Runs one blocking function after the other.

    A folder on a network that is gone, or a tool that the kernel does not end, can block for ever.
    So there is one thread at most, which neither starves others nor keeps the program from ending.
    """

    def __init__(self) -> None:
        """Begin without a thread."""
        self._busy = False

    async def run(self, function: Callable[[], T], timeout: float, hangs: str) -> T:
        """Return what `function` returns, or raise what it raises.

        Raises SourceError (timeout) with the words `hangs` where it has not ended after `timeout`
        seconds, or where the one before still has not.
        """
        if self._busy:
            raise SourceError(Reason.TIMEOUT, hangs)
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                value = function()
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                self._busy = False
                _deliver(loop, result, result.set_exception, error)
            else:
                self._busy = False
                _deliver(loop, result, result.set_result, value)

        self._busy = True
        threading.Thread(target=work, daemon=True).start()
        try:
            return await asyncio.wait_for(result, timeout)
        except asyncio.TimeoutError:
            raise SourceError(Reason.TIMEOUT, hangs) from None


def _deliver(
    loop: asyncio.AbstractEventLoop,
    result: asyncio.Future[T],
    give: Callable[[V], None],
    value: V,
) -> None:
    def take() -> None:
        if not result.done():
            give(value)

    # The loop may have ended meanwhile.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(take)
