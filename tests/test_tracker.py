from __future__ import annotations

import asyncio
import logging
import threading

import msgspec
import pytest

from support import make_board, make_config, make_node, make_process, make_standing
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.config.leaderboard import MappedBoard
from swarm_exporter.config.mapping import Mapping
from swarm_exporter.config.sources import SOURCES, Choice
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.json_path import parse_path
from swarm_exporter.model import (
    Board,
    Condition,
    FactsOfNodes,
    Identity,
    Processes,
    Reading,
    Stage,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Target
from swarm_exporter.sources.chain import ChainFacts
from swarm_exporter.sources.hosted_json import HostedFacts
from swarm_exporter.state import StateFile
from swarm_exporter.tracker import Tracker, find_standing

API = "http://127.0.0.1:3000"


class Bench:
    """A tracker with one address, fed by hand."""

    def __init__(self, clock, *nodes, state=None, **settings):
        self.clock = clock
        self.config = make_config(*nodes, **settings)
        self.target = Target("leaderboard", API, nodes, 15.0)
        self.tracker = Tracker(self.config, clock, state)
        self.tracker.configure(self.config, [self.target])

    async def see(self, value: Board | None = None, failure: Reason | None = None, **more):
        self.clock.now += 15
        reading = Reading(time=self.clock.now, duration=0.1, value=value, failure=failure, **more)
        await self.tracker.record(self.target, reading)
        return self.tracker.snapshot()


def stage(number: int, score: float, peer_id: str = "QmA") -> Board:
    return make_board(make_standing(peer_id, recorded=Stage(number, 0), last_score=score))


def test_a_failed_source_takes_its_figures_away_but_not_what_was_earned(clock):
    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"))
        await bench.see(stage(1, 4.0))
        await bench.see(stage(2, 1.0))
        return await bench.see(failure=Reason.REFUSED, detail="refused")

    view = asyncio.run(run()).nodes[0]
    assert (view.board, view.standing) == (None, None)
    assert view.earnings.earned == 4.0
    assert view.sources[0].errors == {Reason.REFUSED: 1}
    assert view.verdict.condition is Condition.UNKNOWN


def test_what_runs_of_a_node_is_unknown_once_its_source_has_failed(clock):
    async def run():
        node = make_node(peer_id="QmA")
        bench = Bench(clock, node)
        bench.target = Target("launcher", "launcher.json", (node,), 15.0)
        shown = await bench.see(Processes({node.name: make_process()}))
        await bench.tracker.record(
            Target("identity", node.name, (node,), 60.0),
            Reading(time=clock.now, duration=0.1, value=None, failure=Reason.TIMEOUT),
        )
        return shown, bench.tracker.snapshot(), await bench.see(failure=Reason.TIMEOUT)

    shown, other_failed, failed = asyncio.run(run())
    assert shown.nodes[0].process == other_failed.nodes[0].process == make_process()
    assert failed.nodes[0].process is None


def test_an_answer_that_nothing_replaces_is_not_shown_for_ever(clock):
    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"), timeout=10.0)
        shown = await bench.see(stage(1, 4.0))
        assert shown.nodes[0].standing is not None
        clock.now += 39
        assert bench.tracker.snapshot() is shown
        clock.now += 2
        return bench.tracker.snapshot()

    view = asyncio.run(run()).nodes[0]
    assert view.standing is None
    assert view.sources[0].up is False


def test_a_snapshot_is_made_once_for_each_change(clock):
    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"))
        first = await bench.see(stage(1, 4.0))
        assert bench.tracker.snapshot() is first
        assert await bench.see(stage(1, 4.0)) is not first

    asyncio.run(run())


def test_what_was_earned_survives_a_restart(clock, tmp_path):
    async def life(*boards: Board):
        state = StateFile(tmp_path / "state.json")
        bench = Bench(clock, make_node(peer_id="QmA"), state=state)
        for board in boards:
            await bench.see(board)
        # No close: the process is killed here.
        return bench.tracker.snapshot().nodes[0].earnings

    first = asyncio.run(life(stage(1, 4.0), stage(2, 8.0)))
    second = asyncio.run(life(stage(2, 8.0), stage(3, 0.0)))
    assert (first.earned, second.earned) == (4.0, 12.0)
    assert second.since == first.since


def test_a_restart_is_no_halt_of_the_swarm(clock, tmp_path):
    """Others earned while the exporter was down: the first board says so."""

    async def life(number: int):
        state = StateFile(tmp_path / "state.json")
        bench = Bench(clock, make_node(peer_id="QmA"), state=state)
        others = make_standing("QmB", rank=2, recorded=Stage(number, 0))
        own = make_standing("QmA", recorded=Stage(1, 0), last_score=0.0)
        snapshot = await bench.see(make_board(own, others))
        await bench.tracker.close()
        return snapshot

    asyncio.run(life(1))
    clock.now += 10 * 3600
    snapshot = asyncio.run(life(9))
    assert snapshot.swarm_last_increase == clock.now
    assert snapshot.nodes[0].verdict.condition is not Condition.SWARM_HALTED


class Recorder:
    """A state file that tells what is shown at the moment of each save."""

    def __init__(self):
        self.tracker: Tracker | None = None
        self.shown: list[float] = []

    def load(self, _: type):
        return None

    def save(self, memory) -> None:
        saved = memory.accounts["1"].earned
        shown = self.tracker.snapshot().nodes[0].earnings.earned
        self.shown.append(shown)
        assert shown <= saved


def test_nothing_is_shown_before_it_is_saved(clock):
    recorder = Recorder()

    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"), state=recorder)
        recorder.tracker = bench.tracker
        bench.tracker.snapshot()
        for number, score in enumerate((4.0, 8.0, 16.0)):
            await bench.see(stage(number, score))
        return bench.tracker.snapshot().nodes[0].earnings.earned

    assert asyncio.run(run()) == 12.0
    assert recorder.shown == [0.0, 0.0, 4.0]


def test_a_board_that_expires_during_a_save_shows_no_unsaved_reward(clock):
    shown = []

    class Slow(Recorder):
        def save(self, memory) -> None:
            clock.now += 1000.0
            shown.append(self.tracker.snapshot().nodes[0].earnings.earned)

    async def run():
        slow = Slow()
        bench = Bench(clock, make_node(peer_id="QmA"), state=slow)
        slow.tracker = bench.tracker
        await bench.see(stage(1, 4.0))
        await bench.see(stage(2, 8.0))
        return bench.tracker.snapshot().nodes[0].earnings.earned

    assert asyncio.run(run()) == 4.0
    assert shown == [0.0, 0.0]


class Held:
    """A state file whose first write lasts until it is let go."""

    def __init__(self):
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.saves: list[list[str]] = []

    def load(self, _: type):
        return None

    def save(self, memory) -> None:
        self.saves.append(sorted(memory.accounts))
        self.begun.set()
        assert self.let_go.wait(10)


def test_readings_that_come_together_share_one_write(clock):
    names = ["QmA", "QmB", "QmC"]
    nodes = [make_node(name, api=f"http://{name}", peer_id=name) for name in names]
    held = Held()

    async def run():
        config = make_config(*nodes)
        targets = [Target("leaderboard", node.api, (node,), 15.0) for node in nodes]
        tracker = Tracker(config, clock, held)
        tracker.configure(config, targets)

        def record(number: int, name: str, score: float):
            board = make_board(
                make_standing(name, recorded=Stage(number, 0), last_score=score),
                asked=frozenset({name}),
            )
            reading = Reading(time=clock.now, duration=0.1, value=board)
            target = targets[names.index(name)]
            return asyncio.create_task(tracker.record(target, reading))

        first = record(1, "QmA", 4.0)
        await asyncio.to_thread(held.begun.wait, 10)
        others = [record(1, name, 4.0) for name in names[1:]]
        await asyncio.sleep(0)
        view = tracker.snapshot().nodes[1]
        assert view.standing.last_score == 4.0, "what is not earned is shown at once"
        assert view.earnings.last_increase is None
        assert not any(task.done() for task in (first, *others))
        held.let_go.set()
        await asyncio.gather(first, *others)
        return tracker.snapshot()

    snapshot = asyncio.run(run())
    assert held.saves == [["QmA"], names]
    assert [view.earnings.scores for view in snapshot.nodes] == [(4.0,)] * 3


def test_a_save_that_was_cut_off_is_made_up_for(clock):
    held = Held()

    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"), state=held)
        cut_off = asyncio.create_task(bench.see(stage(1, 4.0)))
        await asyncio.to_thread(held.begun.wait, 10)
        cut_off.cancel()
        await asyncio.wait([cut_off])
        assert bench.tracker.snapshot().nodes[0].earnings.scores == ()
        held.let_go.set()
        return await bench.see(stage(1, 4.0))

    assert asyncio.run(run()).nodes[0].earnings.scores == (4.0,)


def test_what_was_not_looked_for_is_not_absent(clock):
    """The identity became known while the board was on its way."""

    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"))
        await bench.see(make_board(make_standing("QmB"), asked=frozenset()))
        return await bench.see(stage(1, 4.0))

    assert asyncio.run(run()).nodes[0].earnings.last_increase is None


def test_a_stranger_of_the_same_name_is_not_taken_for_a_known_peer(clock):
    async def run():
        bench = Bench(clock, make_node(nickname="tall slow flamingo"))
        await bench.see(stage(1, 4.0))
        return await bench.see(stage(1, 9.0, "QmStranger"))

    assert asyncio.run(run()).nodes[0].standing is None


class Broken:
    def load(self, _: type):
        return None

    def save(self, _: object) -> None:
        raise SwarmExporterError("the disk is full")


def test_a_state_that_cannot_be_saved_is_said_once_and_counting_goes_on(clock, caplog):
    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"), state=Broken())
        for number in range(4):
            snapshot = await bench.see(stage(number, 1.0))
        return snapshot

    snapshot = asyncio.run(run())
    assert snapshot.nodes[0].earnings.earned == 3.0
    assert snapshot.exporter.state_saved is False
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        "the disk is full; counting goes on in memory"
    ]


def test_two_nodes_of_one_identity_are_said(clock, caplog):
    async def run():
        bench = Bench(
            clock, make_node("1", peer_id="QmA"), make_node("2", nickname="tall slow flamingo")
        )
        await bench.see(stage(1, 4.0))
        return await bench.see(stage(1, 4.0))

    one, two = asyncio.run(run()).nodes
    assert (one.conflicts, two.conflicts) == (("2",), ("1",))
    assert one.verdict.condition is two.verdict.condition is Condition.WRONG_IDENTITY
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2


def test_a_nickname_finds_its_peer_id_and_remembers_it_through_an_absence(clock):
    async def run():
        bench = Bench(clock, make_node(nickname="tall slow flamingo"))
        await bench.see(stage(1, 4.0))
        return await bench.see(make_board(total_peers=9))

    view = asyncio.run(run()).nodes[0]
    assert view.standing is None
    assert view.identity.peer_id == "QmA"
    assert view.identified


def test_a_nickname_of_two_peers_identifies_nobody(clock):
    async def run():
        bench = Bench(clock, make_node(nickname="tall slow flamingo"))
        return await bench.see(make_board(make_standing("QmA"), make_standing("QmB", rank=2)))

    view = asyncio.run(run()).nodes[0]
    assert (view.identified, view.standing) == (False, None)
    assert "--peer-id" in view.verdict.reason
    assert view.earnings.since is None


@pytest.mark.parametrize(
    ("identity", "rank"),
    [
        (Identity(peer_id="QmB"), 2),
        (Identity(peer_id="QmB", nickname="tall slow flamingo"), 2),
        (Identity(peer_id="QmC", nickname="tall slow flamingo"), None),
        (Identity(nickname="tall slow flamingo"), 1),
        (Identity(nickname="nobody at home"), None),
        (Identity(), None),
    ],
)
def test_find_standing(identity, rank):
    board = make_board(
        make_standing("QmA", nickname="Tall_Slow_Flamingo"),
        make_standing("QmB", rank=2, nickname="other cat name"),
    )
    standing, problem = find_standing(identity, board)
    assert (standing.rank if standing else None, problem) == (rank, "")


def test_when_anybody_last_earned_tells_a_stuck_node_from_a_stuck_swarm(clock):
    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"))
        others = make_standing("QmB", rank=2)
        await bench.see(make_board(make_standing(), others))
        return await bench.see(
            make_board(make_standing(), msgspec.structs.replace(others, last_score=3.0))
        )

    snapshot = asyncio.run(run())
    assert snapshot.swarm_last_increase == clock.now
    assert snapshot.nodes[0].earnings.last_increase is None


def test_a_refused_configuration_is_shown(clock):
    bench = Bench(clock, make_node(peer_id="QmA"))
    bench.tracker.reject_config("swarm.yml:3: nodes: no list")
    exporter = bench.tracker.snapshot().exporter
    assert (exporter.config_ok, exporter.config_error) == (False, "swarm.yml:3: nodes: no list")
    bench.tracker.configure(bench.config, [bench.target])
    assert bench.tracker.snapshot().exporter.config_ok


def _choices(*on: str) -> tuple[Choice, ...]:
    return tuple(
        Choice(source=name, on=name in on, why="said so", fix="say so") for name in SOURCES
    )


def _chain(rewards: int | None, contract: str = "0xA") -> FactsOfNodes:
    return FactsOfNodes({"1": ChainFacts(preset="x", contract=contract, rewards=rewards, votes=3)})


class Sums(Bench):
    """A tracker of one node that is read through the chain, and a dashboard that is not asked."""

    def __init__(self, clock, *on: str, state=None):
        node = make_node(peer_id="QmA")
        super().__init__(clock, node, state=state, choices={"1": _choices(*(on or ("chain",)))})
        self.target = Target("chain", "0xA", (node,), 300.0)
        self.tracker.configure(self.config, [self.target])


def test_what_a_contract_pays_is_earned_and_survives_a_restart(clock, tmp_path):
    async def life(*rewards: int):
        bench = Sums(clock, state=StateFile(tmp_path / "state.json"))
        for reward in rewards:
            await bench.see(_chain(reward))
        return bench.tracker.snapshot()

    first = asyncio.run(life(400, 410)).nodes[0]
    assert (first.reward_source, first.total.reward) == ("chain", 410.0)
    assert (first.earnings.earned, first.earnings.last_increase) == (10.0, clock.now)
    assert first.verdict.condition is Condition.EARNING
    # It paid while nobody watched, and took something back later.
    second = asyncio.run(life(415, 412)).nodes[0]
    assert (second.earnings.earned, second.earnings.lost) == (15.0, 3.0)
    assert second.earnings.since == first.earnings.since


def test_a_contract_that_does_not_answer_takes_its_sum_away_but_not_what_was_earned(clock):
    async def run():
        bench = Sums(clock)
        await bench.see(_chain(400))
        await bench.see(_chain(410))
        await bench.see(_chain(None))
        gone = bench.tracker.snapshot().nodes[0]
        return gone, (await bench.see(failure=Reason.TIMEOUT)).nodes[0]

    for view in asyncio.run(run()):
        assert view.total is None
        assert view.earnings.earned == 10.0


def test_sums_of_a_source_that_does_not_give_the_reward_are_not_counted(clock, tmp_path):
    """The leaderboard gives it: the contract's sum is shown as the contract's alone."""

    async def run():
        state = StateFile(tmp_path / "state.json")
        bench = Sums(clock, "leaderboard", "chain", state=state)
        await bench.see(_chain(400))
        await bench.see(_chain(500))
        return bench.tracker.snapshot().nodes[0]

    view = asyncio.run(run())
    assert (view.reward_source, view.total, view.earnings.since) == ("leaderboard", None, None)
    assert view.of(ChainFacts).rewards == 500


def test_a_change_of_the_source_begins_a_count_of_its_own(clock, tmp_path):
    """Numbers of two sources are never one series, and nothing jumps for who goes back."""

    async def life(source: str, *values: object):
        bench = Sums(clock, source, state=StateFile(tmp_path / "state.json"))
        bench.target = Target(source, "any", bench.config.nodes, 60.0)
        bench.tracker.configure(bench.config, [bench.target])
        for value in values:
            await bench.see(FactsOfNodes({"1": value}))
        return bench.tracker.snapshot().nodes[0].earnings.earned

    chain = [ChainFacts(preset="x", contract="0xA", rewards=n) for n in (1, 5)]
    hosted = [HostedFacts(reward=n) for n in (9_000.0, 9_002.0)]
    assert asyncio.run(life("chain", *chain)) == 4.0
    assert asyncio.run(life("chain", chain[1])) == 4.0
    assert asyncio.run(life("hosted", *hosted)) == 2.0
    assert asyncio.run(life("chain", *chain)) == 4.0


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://two.example"},
        {"path": "/v2/peer"},
        {"mapping": Mapping(reward=parse_path("score"))},
    ],
)
def test_another_dashboard_or_another_of_its_figures_is_no_gain(clock, change):
    one = Hosted(url="https://one.example")

    async def run():
        bench = Sums(clock, "hosted")
        bench.target = Target("hosted", "1", bench.config.nodes, 60.0)
        for hosted, rewards in (
            (one, (10.0, 11.0)),
            (msgspec.structs.replace(one, **change), (5e3, 5001.0)),
        ):
            bench.config = msgspec.structs.replace(bench.config, hosted=hosted)
            bench.tracker.configure(bench.config, [bench.target])
            for reward in rewards:
                await bench.see(FactsOfNodes({"1": HostedFacts(reward=reward)}))
        return bench.tracker.snapshot().nodes[0].earnings.earned

    assert asyncio.run(run()) == 2.0


def test_a_living_swarm_is_not_called_halted_after_a_change_from_a_dead_one(clock):
    def at(number: int) -> FactsOfNodes:
        return FactsOfNodes({"1": ChainFacts(preset="x", contract="0xA", rewards=0, round=number)})

    async def run():
        bench = Sums(clock)
        await bench.see(at(7))
        await bench.see(at(8))
        clock.now += 86_400.0
        dead = await bench.see(at(8))
        bench.target = Target("chain", "0xB", bench.config.nodes, 300.0)
        bench.tracker.configure(bench.config, [bench.target])
        return dead, await bench.see(at(90))

    dead, living = asyncio.run(run())
    assert dead.nodes[0].verdict.condition is Condition.SWARM_HALTED
    assert living.nodes[0].verdict.condition is not Condition.SWARM_HALTED


def test_a_board_of_running_sums_is_counted_and_tells_a_halted_swarm(clock):
    """A community's board without stages: the sums alone say who has earned."""
    mapped = MappedBoard(mapping=Mapping(list=parse_path("peers"), id=parse_path("id")))

    def board(own: float, other: float) -> Board:
        peers = (("QmA", own), ("QmB", other))
        standings = [
            make_standing(peer, rank=n, cumulative_reward=sum_, last_score=None, recorded=None)
            for n, (peer, sum_) in enumerate(peers, 1)
        ]
        scores = dict(peers)
        return make_board(*standings, newest=Stage(0, 0), newest_scores=scores, clock=None)

    async def run():
        bench = Bench(clock, make_node(peer_id="QmA"), leaderboard=mapped, stall_after=100.0)
        shown = [(await bench.see(board(*sums))).nodes[0] for sums in ((5, 5), (7, 5), (7, 6))]
        clock.now += 90
        shown.append((await bench.see(board(7, 8))).nodes[0])
        clock.now += 200
        shown.append((await bench.see(board(7, 8))).nodes[0])
        return shown

    first, earned, still, stalled, halted = asyncio.run(run())
    assert (first.earnings.earned, earned.earnings.earned) == (0.0, 2.0)
    assert (earned.verdict.condition, still.verdict.condition) == (Condition.EARNING,) * 2
    assert stalled.verdict.condition is Condition.TRAINING
    assert halted.verdict.condition is Condition.SWARM_HALTED


def test_what_cannot_be_known_is_said_with_what_to_configure(clock):
    async def run():
        bench = Sums(clock, "login")
        return bench.tracker.snapshot().nodes[0]

    view = asyncio.run(run())
    assert view.reward_source == ""
    assert [spot.split(" (")[0] for spot in view.blind] == [
        "its rank",
        "what it earns",
        "its rounds, submissions and errors",
    ]
    assert not view.reads_leaderboard


def test_the_round_on_the_chain_tells_whether_the_swarm_goes_on(clock):
    def at(number: int) -> FactsOfNodes:
        return FactsOfNodes({"1": ChainFacts(preset="x", contract="0xA", rewards=0, round=number)})

    async def run():
        bench = Sums(clock)
        await bench.see(at(7))
        before = bench.tracker.snapshot()
        after = await bench.see(at(8))
        clock.now += 20_000.0
        return before, after, await bench.see(at(8))

    before, after, halted = asyncio.run(run())
    assert before.swarm_last_increase is None
    assert after.swarm_last_increase == after.time
    assert halted.nodes[0].verdict.condition is Condition.SWARM_HALTED
