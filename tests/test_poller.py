from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from support import ManualClock, make_board, make_config, make_node, make_standing
from swarm_exporter.model import Identity, IdentityOrigin
from swarm_exporter.poller import LONGEST_BACKOFF_SECONDS, Poller
from swarm_exporter.reasons import Reason
from swarm_exporter.service import Service
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.tracker import Tracker

BOARD = make_board(make_standing("QmA"), make_standing("QmB", rank=2))


class Scripted(Source):
    """A source that answers by a function of the target and how often it was asked."""

    def __init__(self, answer: Callable[[str, int], Awaitable[Facts]], name: str = "leaderboard"):
        self.name = name
        self._answer = answer
        self.polls: list[tuple[float, str]] = []
        self.contexts: list[Context] = []

    def targets(self, config):
        return [
            Target(self.name, node.api if self.name == "leaderboard" else node.name, (node,), 15.0)
            for node in config.nodes
        ]

    async def poll(self, target: Target, context: Context) -> Facts:
        self.contexts.append(context)
        self.polls.append((context.clock.monotonic(), target.key))
        number = sum(key == target.key for _, key in self.polls)
        return await self._answer(target.key, number)


def answers(*script: Facts | Exception) -> Callable[[str, int], Awaitable[Facts]]:
    """Answer with these in turn, and with the last one for ever."""

    async def answer(_: str, number: int) -> Facts:
        given = script[min(number, len(script)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    return answer


def drive(clock: ManualClock, scenario, *sources, config=None):
    config = config or make_config(make_node("1", peer_id="QmA"))

    async def run():
        tracker = Tracker(config, clock, state=None)
        poller = Poller(sources, client=None, tracker=tracker, clock=clock, uniform=lambda a, b: 1)
        await poller.configure(config)
        try:
            return await scenario(poller, tracker)
        finally:
            await poller.close()
            await tracker.close()

    return asyncio.run(run())


GOOD = Facts(BOARD, summary="2 peers on the board")
REFUSED = SourceError(Reason.REFUSED, "connection refused")


def test_a_healthy_target_is_asked_on_the_beat(clock):
    source = Scripted(answers(GOOD))

    async def scenario(poller, tracker):
        await clock.advance(60)

    drive(clock, scenario, source)
    assert [time for time, _ in source.polls] == [0, 15, 30, 45, 60]
    assert [context.first for context in source.contexts] == [True, False, False, False, False]


def test_a_failing_target_is_asked_less_and_less_but_not_never(clock):
    source = Scripted(answers(REFUSED))

    async def scenario(poller, tracker):
        await clock.advance(300)

    drive(clock, scenario, source)
    times = [time for time, _ in source.polls]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[:4] == [15, 30, 60, 60]
    assert max(pauses) == LONGEST_BACKOFF_SECONDS


def test_a_target_that_asks_to_be_left_alone_is(clock):
    told = SourceError(Reason.RATE_LIMITED, "HTTP 429", retry_after=200.0)
    source = Scripted(answers(REFUSED, told, REFUSED, GOOD))

    async def scenario(poller, tracker):
        await clock.advance(400)

    drive(clock, scenario, source)
    # The next failure goes on where the doubling was: 15, 30, 60.
    assert [time for time, _ in source.polls][:6] == [0, 15, 215, 275, 290, 305]


def test_a_shorter_wish_than_the_own_backoff_changes_nothing(clock):
    told = SourceError(Reason.HTTP_5XX, "HTTP 503", retry_after=1.0)
    source = Scripted(answers(told))

    async def scenario(poller, tracker):
        await clock.advance(50)

    drive(clock, scenario, source)
    assert [time for time, _ in source.polls] == [0, 15, 45]


def test_no_target_is_left_alone_for_more_than_an_hour(clock):
    told = SourceError(Reason.RATE_LIMITED, "HTTP 429", retry_after=1e9)
    source = Scripted(answers(told))

    async def scenario(poller, tracker):
        poller._jobs[0]._uniform = lambda low, high: high
        await clock.advance(7300)

    drive(clock, scenario, source)
    assert [time for time, _ in source.polls] == [0, 3600, 7200]


def test_who_was_told_the_same_does_not_come_back_at_once(clock):
    told = SourceError(Reason.RATE_LIMITED, "HTTP 429", retry_after=100.0)
    source = Scripted(answers(told))

    async def scenario(poller, tracker):
        shares = iter((0.0, 1.0))
        share = {job: next(shares) for job in poller._jobs}
        for job, part in share.items():
            job._uniform = lambda low, high, part=part: low + (high - low) * part
        await clock.advance(115)

    nodes = (make_node("1"), make_node("2", api="http://127.0.0.1:3001"))
    drive(clock, scenario, source, config=make_config(*nodes))
    again = [time for time, _ in source.polls][2:]
    assert again[0] == pytest.approx(100, abs=0.1)
    assert again[1] == pytest.approx(110, abs=0.1)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("how", ["close", "reload"])
def test_an_answer_that_comes_just_then_keeps_neither_the_end_nor_a_reload(clock, how, turns):
    """`asyncio.wait_for` loses a cancellation at that moment, before Python 3.12."""
    gate = asyncio.Event()

    async def answer(_: str, number: int) -> Facts:
        await gate.wait()
        return GOOD

    source = Scripted(answer)
    other = make_config(make_node("2", api="http://127.0.0.1:3001"))

    async def scenario(poller, tracker):
        await clock.advance(0.1)
        assert len(source.polls) == 1
        gate.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        end = poller.close() if how == "close" else poller.configure(other)
        await asyncio.wait_for(end, 5)
        await clock.advance(60)

    drive(clock, scenario, source)
    assert [key for _, key in source.polls].count("http://127.0.0.1:3000") == 1


def test_a_target_that_returns_is_asked_on_the_beat_again(clock):
    source = Scripted(answers(REFUSED, REFUSED, GOOD))

    async def scenario(poller, tracker):
        await clock.advance(75)

    drive(clock, scenario, source)
    assert [time for time, _ in source.polls] == [0, 15, 45, 60, 75]


def test_a_hung_target_delays_no_other_and_ends_with_its_timeout(clock):
    async def answer(key: str, _: int) -> Facts:
        if key.endswith("3001"):
            await asyncio.Event().wait()
        return GOOD

    source = Scripted(answer)
    config = make_config(
        make_node("1", peer_id="QmA"),
        make_node("2", api="http://127.0.0.1:3001", peer_id="QmB"),
        timeout=0.02,
    )

    async def scenario(poller, tracker):
        await clock.advance(31)
        healthy = tracker.snapshot().nodes[0]
        assert healthy.standing.rank == 1
        assert tracker.snapshot().exporter.ready is False
        await poller.asked_once()
        return tracker.snapshot()

    snapshot = drive(clock, scenario, source, config=config)
    assert [t for t, key in source.polls if key.endswith("3000")] == [0, 15, 30]
    assert snapshot.exporter.ready
    (status,) = snapshot.nodes[1].sources
    assert (status.up, status.reason) == (False, Reason.TIMEOUT)


def test_a_fault_of_a_source_is_a_reason_and_the_polling_goes_on(clock, caplog):
    source = Scripted(answers(ZeroDivisionError("secret"), GOOD))
    caplog.set_level(logging.INFO)

    async def scenario(poller, tracker):
        await clock.advance(1)
        (status,) = tracker.snapshot().nodes[0].sources
        assert (status.up, status.reason) == (False, Reason.INTERNAL)
        await clock.advance(15)
        assert tracker.snapshot().nodes[0].sources[0].up

    drive(clock, scenario, source)
    assert "secret" not in caplog.text


def test_the_log_has_one_line_for_each_change(clock, caplog):
    defect = Facts(BOARD, (Reason.INVALID_VALUE,))
    source = Scripted(answers(GOOD, GOOD, REFUSED, REFUSED, REFUSED, GOOD, defect, defect, GOOD))
    caplog.set_level(logging.INFO)

    async def scenario(poller, tracker):
        await clock.advance(600)

    drive(clock, scenario, source)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[0].endswith("(http://127.0.0.1:3000): 2 peers on the board")
    assert "[refused: connection refused]" in lines[1]
    assert "--api-port" in lines[1], "it says what to do"
    assert "answers again after" in lines[2]
    assert "invalid_value" in lines[3]


def test_a_board_is_asked_for_after_the_identities(clock):
    known = asyncio.Event()

    async def identify(_: str, __: int) -> Facts:
        await known.wait()
        return Facts(Identity(peer_id="QmB", origin=IdentityOrigin.IDENTITY_FILE))

    identities = Scripted(identify, name="identity")
    boards = Scripted(answers(GOOD))

    async def scenario(poller, tracker):
        await clock.advance(1)
        assert boards.polls == []
        known.set()
        await clock.advance(1)
        return tracker.snapshot()

    snapshot = drive(clock, scenario, identities, boards, config=make_config(make_node("1")))
    assert boards.contexts[0].identities["1"].peer_id == "QmB"
    assert snapshot.nodes[0].standing.rank == 2


def test_a_new_configuration_keeps_what_stays_and_ends_what_goes(clock):
    source = Scripted(answers(GOOD))
    one = make_node("1", peer_id="QmA")
    two = make_node("2", api="http://127.0.0.1:3001", peer_id="QmB")

    async def scenario(poller, tracker):
        await clock.advance(20)
        await poller.configure(make_config(one, two))
        assert tracker.snapshot().exporter.ready is False
        await clock.advance(20)
        assert tracker.snapshot().exporter.ready is True
        await poller.configure(make_config(two))
        assert [view.node.name for view in tracker.snapshot().nodes] == ["2"]
        await clock.advance(20)

    drive(clock, scenario, source, config=make_config(one))
    assert [t for t, key in source.polls if key.endswith("3000")] == [0, 15, 30]
    second = [t for t, key in source.polls if key.endswith("3001")]
    assert second == pytest.approx([20, 27.5, 42.5, 57.5], abs=0.1), "halfway between the first's"


def test_many_targets_start_soon_and_then_keep_apart(clock):
    source = Scripted(answers(GOOD))
    nodes = [make_node(str(i), api=f"http://127.0.0.1:{3000 + i}") for i in range(60)]

    async def scenario(poller, tracker):
        await clock.advance(60)

    drive(clock, scenario, source, config=make_config(*nodes, interval=15.0))
    first, times = {}, [t for t, _ in source.polls]
    for t, key in source.polls:
        first.setdefault(key, t)
    assert (len(first), max(first.values()) < 1) == (60, True)
    by_second = Counter(int(t) for t in times if 16 <= t < 46)
    assert set(by_second.values()) <= {3, 4, 5}, "60 polls in 15 s, none beside many others"


def test_reloads_at_the_same_time_leave_one_task_for_each_target(clock, tmp_path):
    source = Scripted(answers(GOOD))
    intervals = iter(range(10, 20))

    def load():
        node = make_node("1", peer_id="QmA", labels={"n": str(next(intervals))})
        return make_config(node, listen_port=0, state_dir=tmp_path)

    service = Service(load, clock)

    async def scenario(poller, tracker):
        await clock.advance(1)
        await asyncio.gather(*(service.reload(poller, tracker) for _ in range(6)))
        source.polls.clear()
        await clock.advance(60)
        await poller.close()
        asked = len(source.polls)
        await clock.advance(60)
        assert len(source.polls) == asked, "nobody asks after the end"

    drive(clock, scenario, source)
    assert len(source.polls) in (4, 5)
    service._listener.close()
