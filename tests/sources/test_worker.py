from __future__ import annotations

import asyncio
import threading

import pytest

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.worker import Worker


def test_what_a_function_returns_or_raises_comes_back():
    async def run():
        worker = Worker()
        assert await worker.run(lambda: 7, 5.0, "hangs") == 7
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0, 5.0, "hangs")

    asyncio.run(run())


def test_a_function_that_hangs_is_given_up_and_not_begun_again_while_it_does():
    began, release = [], threading.Event()

    def hang():
        began.append(1)
        release.wait(30.0)
        return "late"

    async def run():
        worker = Worker()
        for _ in range(3):
            with pytest.raises(SourceError) as caught:
                await worker.run(hang, 0.01, "the folder does not answer")
            assert caught.value.reason is Reason.TIMEOUT
            assert caught.value.detail == "the folder does not answer"
        assert len(began) == 1
        release.set()
        while worker._busy:  # noqa: ASYNC110 - the event is another thread's
            await asyncio.sleep(0)
        assert await worker.run(hang, 5.0, "") == "late"

    asyncio.run(run())


def test_a_result_that_comes_after_its_loop_has_ended_disturbs_nobody():
    release = threading.Event()
    worker = Worker()

    async def run():
        with pytest.raises(SourceError):
            await worker.run(lambda: release.wait(30.0), 0.01, "")

    asyncio.run(run())
    threads = [t for t in threading.enumerate() if t is not threading.current_thread() and t.daemon]
    release.set()
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()
    assert not worker._busy
