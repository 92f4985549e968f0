"""The state machine, driven step by step: no process runs here."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher_support import make_spec
from swarm_exporter.config.launcher import Restart, Watchdog
from swarm_exporter.launcher.policy import (
    Action,
    Deed,
    Exit,
    Observed,
    Policy,
    Surroundings,
)
from swarm_exporter.launcher.spec import Settings
from swarm_exporter.launcher.state import LauncherState, NodeRecord, RestartReason, State

GIB = 2**30
TRAINER_GRACE_SECONDS = 30.0
PLENTY = Surroundings(available_memory=100 * GIB, pressure="normal")
START, STOP = Deed.START, Deed.STOP


class World:
    """Nodes as the policy sees them, and time; what it asks for is done at once."""

    def __init__(self, *specs, **rules):
        self.specs = {spec.name: spec for spec in specs or (make_spec(),)}
        facts = {
            "nodes": tuple(self.specs),
            "ramp_interval": 60.0,
            "reserve": 2 * GIB,
            "look_interval": 5.0,
            "restart": Restart(attempts=3),
            "watchdog": Watchdog(),
            "exporter_url": "",
        }
        self.settings = Settings(**{**facts, **rules})
        self.state = LauncherState()
        self.policy = Policy(self.state, self.settings, self.specs, lambda low, high: 1.0)
        self.now = 1_000_000.0
        self.around = PLENTY
        self.seen: dict[str, Observed] = {}
        self.done: list[Action] = []

    def __getitem__(self, name: str) -> NodeRecord:
        return self.state.nodes[name]

    def look(self, seconds: float = 5.0, **changes) -> list[Action]:
        """Let time pass and the policy look; `changes` is what is new of node 1."""
        self.now += seconds
        if changes:
            self.change("1", **changes)
        actions = self.policy.step(self.now, self.seen, self.around)
        # What was new is old at the next look.
        for name, seen in self.seen.items():
            self.seen[name] = msgspec.structs.replace(
                seen, ready=False, accepted=0, refused=0, waiting_login=None, busy=False
            )
        self.done += actions
        for action in actions:
            if action.deed is START:
                self.change(action.node, up=True, pid=1, started=self.now, orphaned=False)
            else:
                self.seen[action.node] = Observed(exit=self.end(action.node, asked=True))
        return actions

    def wait(self, seconds: float, **changes) -> list[Action]:
        """Let time pass with a look every so often."""
        actions = []
        for _ in range(round(seconds / 50)):
            actions += self.look(50, **changes)
        return actions

    def change(self, name: str, **changes) -> None:
        self.seen[name] = msgspec.structs.replace(self.seen.get(name, Observed()), **changes)

    def end(self, name: str = "1", **how) -> Exit:
        return Exit(
            **{"started": self[name].started or 0.0, "code": 0, "signal": 0, "asked": False, **how}
        )

    def dies(self, name: str = "1", seconds: float = 5.0, **how) -> list[Action]:
        self.seen[name] = Observed(exit=self.end(name, **how))
        return self.look(seconds)

    def run(self, name: str = "1") -> None:
        """Let a node run until it counts as running."""
        self.look()
        self.look(trainer_pid=2, ready=True) if name == "1" else None
        assert self[name].state is State.RUNNING


def test_a_node_is_started_and_runs_once_its_log_says_so():
    world = World(make_spec(ready_pattern="x", trainer="t"))
    assert world.look() == [Action(START, "1")]
    world.look()
    assert (world["1"].state, world["1"].reason) == (State.STARTING, "its trainer is awaited")
    world.look(trainer_pid=7)
    assert (world["1"].state, world["1"].trainer_pid) == (State.STARTING, 7)
    world.look(ready=True)
    assert (world["1"].state, world["1"].reason) == (State.RUNNING, "")


def test_a_node_without_a_pattern_runs_after_a_time():
    world = World(make_spec(ready_after=10.0))
    world.look()
    world.look(5)
    assert world["1"].state is State.STARTING
    world.look(5)
    assert world["1"].state is State.STARTING
    world.look(5)
    assert world["1"].state is State.RUNNING


def test_nodes_start_apart_and_only_when_the_last_one_is_ready():
    world = World(*(make_spec(n, ready_pattern="x") for n in "123"))
    assert world.look() == [Action(START, "1")]
    assert world.look(120) == []
    world.look(ready=True)
    assert world["1"].state is State.RUNNING
    assert world.done == [Action(START, "1"), Action(START, "2")]
    world.change("2", ready=True)
    assert world.look(5) == []
    assert world["2"].state is State.RUNNING
    assert world.look(50) == []
    assert world.look(5) == [Action(START, "3")]


def test_a_node_that_failed_does_not_hold_the_others_up():
    world = World(make_spec("1", ready_pattern="x"), make_spec("2", ready_pattern="x"))
    world.look()
    world.dies(code=1)
    assert world["1"].state is State.BACKOFF
    assert world.look(60) in ([Action(START, "1")], [Action(START, "2")])


def test_without_head_room_the_ramp_stops_and_says_so_and_what_runs_stays():
    world = World(*(make_spec(n, memory=6 * GIB) for n in "12"))
    world.look()
    world.look(59)
    world.around = Surroundings(available_memory=5 * GIB, pressure="normal")
    assert world.look() == []
    assert "5.0 GiB of memory are available" in world["2"].reason
    assert world.state.ramp_problem == ""
    assert world.look(60) == []
    assert "the next node needs 6.0 GiB and 2.0 GiB are left" in world.state.ramp_problem
    assert world["1"].state is State.RUNNING
    world.around = PLENTY
    assert world.look(600) == []
    world.policy.want("2", world.now)
    assert world.look() == [Action(START, "2")]


def test_a_moment_without_head_room_does_not_stop_the_ramp():
    world = World(make_spec("1"), make_spec("2"))
    world.look()
    world.look(59)
    world.around = Surroundings(available_memory=100 * GIB, pressure="warning")
    world.look(30)
    assert world["2"].reason == "the machine's memory pressure is warning"
    world.around = PLENTY
    assert world.look() == [Action(START, "2")]


def test_what_a_running_node_was_measured_to_take_counts_more_than_the_profile():
    world = World(make_spec("1", memory=1), make_spec("2", memory=1))
    world.look()
    world.look(59, memory=9 * GIB)
    world.around = Surroundings(available_memory=10 * GIB, pressure=None)
    world.look()
    world.look(60)
    assert "the next node needs 9.0 GiB" in world.state.ramp_problem


@pytest.mark.parametrize(
    ("end", "reason", "words"),
    [
        ({"code": 0}, RestartReason.EXITED, "its command ended with exit code 0"),
        ({"code": 1}, RestartReason.EXITED, "its command ended with exit code 1"),
        ({"signal": 9}, RestartReason.KILLED, "it was killed (signal 9: the system does so"),
        ({"signal": 15}, RestartReason.KILLED, "it was ended by signal 15"),
        ({"error": "bash: not found"}, RestartReason.EXITED, "it cannot be started (bash"),
    ],
)
def test_whatever_ends_it_it_is_started_again(end, reason, words):
    world = World()
    world.run()
    world.dies(**end)
    assert world["1"].state is State.BACKOFF
    assert world["1"].reason.startswith(words)
    assert world["1"].restarts == {reason: 1}
    assert world.look(60) == [Action(START, "1")]


def test_the_delay_doubles_to_its_longest_and_then_it_is_fatal():
    world = World(restart=Restart(first_delay=100, longest_delay=350, attempts=4), ramp_interval=0)
    world.look()
    delays = []
    for _ in range(4):
        world.dies(code=1)
        delays.append(world["1"].due - world.now)
        assert world.look(delays[-1] - 1) == []
        assert world.look(1) == [Action(START, "1")]
    assert delays == [100, 200, 350, 350]
    world.dies(code=1)
    assert world["1"].state is State.FATAL
    assert world["1"].reason.endswith("5 times in a row: not started again")
    assert world.look(100_000) == []
    assert sum(world["1"].restarts.values()) == 4


def test_a_healthy_time_makes_the_delay_begin_anew():
    world = World(restart=Restart(first_delay=100, healthy_after=1000, attempts=2))
    for _ in range(6):
        world.look(200)
        world.look(trainer_pid=2, ready=True)
        assert world["1"].state is State.RUNNING
        world.look(1000)
        world.dies(code=1)
        assert world["1"].due - world.now == 100


def test_the_trainer_is_watched_and_not_the_script():
    world = World(make_spec(trainer="t", ready_pattern="x"))
    world.run()
    assert world.look(trainer_pid=None) == []
    assert world.look(TRAINER_GRACE_SECONDS) == [Action(STOP, "1")]
    world.look()
    assert world["1"].state is State.BACKOFF
    assert world["1"].restarts == {RestartReason.TRAINER_GONE: 1}
    assert world["1"].failures == 1


def test_a_trainer_that_is_replaced_by_the_next_one_is_not_gone():
    world = World(make_spec(trainer="t", ready_pattern="x"))
    world.run()
    world.look(trainer_pid=None)
    assert world.look(TRAINER_GRACE_SECONDS - 10, trainer_pid=8) == []
    assert world.look(100) == []


def test_a_trainer_that_never_comes_is_a_failure():
    world = World(make_spec(trainer="t", start_timeout=100))
    world.look()
    assert world.wait(100) == []
    assert world.look(5) == [Action(STOP, "1")]
    world.look()
    assert world["1"].restarts == {RestartReason.NO_TRAINER: 1}


@pytest.mark.parametrize("waits", [{"waiting_login": True}, {"question": "Which swarm? "}])
def test_who_waits_for_a_person_is_not_restarted(waits):
    world = World(make_spec(trainer="t", start_timeout=100))
    world.look()
    world.look(**waits)
    assert world.look(10_000) == []
    assert world["1"].state is State.STARTING
    assert world["1"].reason in (
        "waits for a person to log in",
        'asks "Which swarm? ", which nobody has configured',
    )


def test_a_stopped_node_stays_so_until_it_is_wanted_again():
    world = World()
    world.run()
    world.policy.unwant("1", world.now)
    assert world.look() == [Action(STOP, "1")]
    world.look()
    assert (world["1"].state, world["1"].reason) == (State.STOPPED, "stopped by hand")
    assert world["1"].restarts == {}
    assert world.look(100_000) == []
    world.policy.want("1", world.now)
    assert world.look() == [Action(START, "1")]


def test_who_is_stopped_through_supervisord_is_stopped_by_hand():
    world = World()
    world.run()
    world.dies(signal=15, asked=True)
    assert (world["1"].state, world["1"].wanted) == (State.STOPPED, False)
    assert world.wait(1000) == []


def test_stopping_a_node_that_waits_for_its_next_start_cancels_it():
    world = World()
    world.run()
    world.dies(code=1)
    world.policy.unwant("1", world.now)
    assert world["1"].state is State.STOPPED
    assert world.look(100_000) == []


def test_a_restart_by_hand_is_no_failure():
    world = World()
    world.run()
    world.policy.restart("1", world.now, RestartReason.REQUESTED)
    assert world.look() == [Action(STOP, "1")]
    assert world.look(60) == [Action(START, "1")]
    assert (world["1"].failures, world["1"].restarts) == (0, {RestartReason.REQUESTED: 1})


def test_restarts_by_hand_are_one_after_another():
    world = World(*(make_spec(n) for n in "123"), ramp_interval=10)
    for _ in range(9):
        world.look(10)
    assert all(world[n].state is State.RUNNING for n in "123")
    world.done.clear()
    for name in "123":
        world.policy.restart(name, world.now, RestartReason.REQUESTED)
    for _ in range(12):
        world.look(10)
    stops_and_starts = [(action.deed, action.node) for action in world.done]
    assert stops_and_starts == [(deed, n) for n in "123" for deed in (STOP, START)]


def test_a_restart_after_the_submission_waits_for_it():
    world = World(make_spec(submit_period=10_800.0, ready_pattern="x"))
    world.run()
    world.policy.restart("1", world.now, RestartReason.REQUESTED, after_submit=True)
    assert world.look(3600) == []
    assert world["1"].postponed is RestartReason.REQUESTED
    assert world["1"].next_submit - world.now == pytest.approx(10_800 - 3605, abs=10)
    assert world.look(accepted=1) == [Action(STOP, "1")]


def test_a_submission_that_never_comes_is_not_waited_for_without_end():
    world = World(make_spec(submit_period=10_800.0, ready_pattern="x"))
    world.run()
    world.policy.restart("1", world.now, RestartReason.REQUESTED, after_submit=True)
    assert world.look(10_800 * 1.2) == []
    assert world.look(10_800 * 0.1) == [Action(STOP, "1")]


def test_what_a_restart_would_lose_is_counted_from_the_last_submission():
    world = World(make_spec(submit_period=10_800.0, ready_pattern="x"))
    world.run()
    began = world.now
    world.look(7200)
    assert world["1"].unsubmitted_since == pytest.approx(began, abs=10)
    world.look(4000, accepted=1)
    assert world["1"].unsubmitted_since == world.now
    assert world["1"].next_submit == world.now + 10_800
    assert (world["1"].submits_accepted, world["1"].submits_refused) == (1, 0)
    world.look(refused=2)
    assert (world["1"].submits_refused, world["1"].last_submit) == (2, world.now - 5)


class TestWatchdog:
    def running(self, watchdog, **spec):
        world = World(make_spec(ready_pattern="x", **spec), watchdog=watchdog)
        world.run()
        return world

    def test_it_is_off_unless_chosen(self):
        world = self.running(Watchdog())
        assert world.wait(10_000, idle_earning=1e6, memory=10**15) == []

    def test_a_node_that_earns_nothing_is_restarted(self):
        world = self.running(Watchdog(stalled=1000))
        assert world.wait(950, idle_earning=5000) == []
        assert world.wait(100, idle_earning=5000) == [Action(STOP, "1")]
        world.look()
        assert world["1"].restarts == {RestartReason.STALLED: 1}
        assert world["1"].failures == 0

    def test_a_swarm_that_halts_restarts_nobody(self):
        world = self.running(Watchdog(stalled=1000, silent=1000))
        world.around = msgspec.structs.replace(PLENTY, swarm_halted=True)
        assert world.wait(10_000, idle_earning=100_000) == []

    def test_where_nobody_knows_what_it_earns_it_is_left_alone(self):
        world = self.running(Watchdog(stalled=1000))
        assert world.wait(10_000, idle_earning=None) == []

    def test_silence_counts_only_while_it_is_idle(self):
        world = self.running(Watchdog(silent=1000))
        assert world.wait(2000, busy=True) == []
        assert world.wait(500) == []
        assert world.wait(550) == [Action(STOP, "1")]
        world.look()
        assert world["1"].restarts == {RestartReason.SILENT: 1}

    def test_a_log_that_is_written_to_is_not_silent(self):
        world = self.running(Watchdog(silent=1000))
        for _ in range(10):
            assert world.wait(900) == []
            assert world.look(last_line=world.now) == []

    def test_too_much_memory_restarts_it(self):
        world = self.running(Watchdog(memory=GIB))
        assert world.look(memory=GIB) == []
        assert world.look(memory=GIB + 1) == [Action(STOP, "1")]

    def test_it_waits_for_the_submission_by_itself(self):
        world = self.running(Watchdog(memory=GIB), submit_period=10_800.0)
        assert world.look(memory=2 * GIB) == []
        assert world["1"].postponed is RestartReason.MEMORY
        assert world.look(3600) == []
        assert world.look(accepted=1) == [Action(STOP, "1")]

    def test_it_restarts_a_node_only_so_often_a_day(self):
        world = self.running(Watchdog(memory=GIB, per_day=2))
        stops = 0
        for _ in range(200):
            stops += world.look(120, memory=2 * GIB, ready=True).count(Action(STOP, "1"))
        assert stops == 2
        for _ in range(720):
            stops += world.look(120, memory=2 * GIB, ready=True).count(Action(STOP, "1"))
        assert stops == 4

    def test_a_machine_that_slept_has_not_seen_a_node_stand_still(self):
        world = self.running(Watchdog(silent=1000, stalled=1000))
        assert world.look(50_000, idle_earning=50_000) == []
        assert world.wait(1000, idle_earning=50_000) == []
        assert world.wait(50, idle_earning=50_000) == [Action(STOP, "1")]


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_a_clock_that_was_set_holds_nothing_up_for_long(hours):
    world = World(make_spec("1"), make_spec("2"))
    world.run()
    world.dies(code=1)
    world.now += hours * 3600
    for _ in range(20):
        world.look(60)
    assert {world[name].state for name in "12"} == {State.RUNNING}


def test_an_orphan_is_taken_over_and_not_started_twice():
    world = World()
    world.run()
    before = world["1"].started
    world.policy.resume(world.now, ["1"])
    world.seen["1"] = Observed(orphaned=True, pid=1, started=before)
    assert world.look() == [Action(START, "1")]
    world.seen["1"] = Observed(up=True, pid=1, started=before)
    assert world.look() == []
    assert (world["1"].state, world["1"].started, world["1"].restarts) == (
        State.RUNNING,
        before,
        {},
    )


def test_what_the_log_of_an_orphan_says_is_not_lost():
    world = World(make_spec(ready_pattern="x"))
    world.look()
    world.seen["1"] = Observed(orphaned=True, pid=1, started=world.now, ready=True)
    assert world.look() == [Action(START, "1")]
    assert world["1"].state is State.RUNNING


def test_a_request_to_stop_that_got_lost_is_repeated():
    world = World()
    world.run()
    world.policy.unwant("1", world.now)
    world.look()
    world.seen["1"] = Observed(orphaned=True, pid=1, started=world["1"].started)
    assert world.look() == [Action(START, "1")]
    assert world.look() == [Action(STOP, "1")]


def test_what_does_not_live_after_a_reboot_has_not_failed():
    world = World()
    world.run()
    world.policy.resume(world.now, [])
    assert world["1"].state is State.STOPPED
    world.seen.clear()
    assert world.look(60) == [Action(START, "1")]
    assert (world["1"].failures, world["1"].restarts) == (0, {})


def test_an_obstacle_is_waited_for_unless_it_is_final():
    world = World(restart=Restart(first_delay=10, attempts=2))
    world.look()
    world.policy.refuse("1", world.now, "port 3000 is held", final=False)
    assert (world["1"].state, world["1"].reason) == (State.BACKOFF, "port 3000 is held")
    world.policy.refuse("1", world.now, "the same identity", final=True)
    assert (world["1"].state, world["1"].reason) == (State.FATAL, "the same identity")


def test_nodes_that_are_no_longer_named_are_left_alone():
    world = World(make_spec("1"), make_spec("2"))
    world.look()
    world.look(60)
    world.look(60)
    world.done.clear()
    settings = msgspec.structs.replace(world.settings, nodes=("1",))
    world.policy.configure(settings, {"1": world.specs["1"]})
    for _ in range(5):
        assert world.look(60) == []
    assert world["2"].wanted


EVENTS = st.sampled_from(
    ["look", "wait", "die", "trainer", "no trainer", "ready", "want", "unwant", "restart", "halt"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from("12")), max_size=60))
def test_whatever_happens_no_start_comes_too_soon_and_no_stopped_node_starts(events):
    world = World(*(make_spec(n, trainer="t", ready_pattern="x") for n in "12"))
    starts: list[float] = []
    for event, name in events:
        if event == "die" and world.seen.get(name, Observed()).up:
            world.seen[name] = Observed(exit=world.end(name, code=1))
        elif event == "trainer":
            world.change(name, trainer_pid=5)
        elif event == "no trainer":
            world.change(name, trainer_pid=None)
        elif event == "ready":
            world.change(name, ready=True)
        elif event == "want":
            world.policy.want(name, world.now)
        elif event == "unwant":
            world.policy.unwant(name, world.now)
        elif event == "restart":
            world.policy.restart(name, world.now, RestartReason.REQUESTED)
        up = {n for n, seen in world.seen.items() if seen.up}
        actions = world.look(300.0 if event == "wait" else 5.0)
        for action in actions:
            if action.deed is START:
                assert world[action.node].wanted
                assert action.node not in up
                assert not starts or world.now - starts[-1] >= 60.0
                starts.append(world.now)
        assert len([a for a in actions if a.deed is START]) <= 1
        for record in world.state.nodes.values():
            assert record.failures <= world.settings.restart.attempts + 1


def test_a_launcher_that_ends_stops_its_nodes_and_they_stay_wanted():
    world = World(*(make_spec(n, ready_pattern="x") for n in "12"))
    world.run()
    world.policy.unwant("2", world.now)
    world.policy.halt(world.now)
    assert world.look() == [Action(STOP, "1")]
    assert world.look() == []
    assert world.look(600) == []
    assert (world["1"].state, world["1"].wanted) == (State.STOPPED, True)
    assert world["1"].reason == "the launcher was stopped"
    assert (world["2"].wanted, world["2"].reason) == (False, "stopped by hand")
    world.policy.configure(world.settings, world.specs)
    world.policy.want("1", world.now)
    assert world.look() == [Action(START, "1")]


def test_a_clock_that_is_set_back_keeps_no_node_from_its_start():
    world = World(*(make_spec(n, ready_pattern="x") for n in "12"), restart=Restart(attempts=3))
    world.run()
    world.dies(code=1)
    assert world["1"].state is State.BACKOFF
    world.now -= 86_400
    world.look()
    world.look(900 * 1.15 + 1)
    assert world.done.count(Action(START, "1")) == 2
    world.look(ready=True)
    world.look(60)
    assert Action(START, "2") in world.done


def test_the_time_to_start_begins_anew_after_a_late_login():
    world = World(make_spec(trainer="t", ready_pattern="x", start_timeout=3600.0))
    world.look()
    world.look(waiting_login=True)
    assert world.wait(3 * 3600) == []
    assert world.look(waiting_login=False) == []
    assert world.wait(3500) == []
    assert world.wait(50) == []
    assert world.look(50) == [Action(STOP, "1")]
    assert world["1"].restarting is RestartReason.NO_TRAINER


def test_a_node_that_ended_while_the_launcher_was_away_returns_though_the_ramp_had_stopped():
    world = World(*(make_spec(n, ready_pattern="x") for n in "12"))
    world.run()
    world.around = msgspec.structs.replace(PLENTY, available_memory=0)
    world.look(60)
    world.look(60)
    assert world.state.ramp_problem
    world.around = PLENTY
    world.change("1", up=False)
    world.policy = Policy(world.state, world.settings, world.specs, lambda low, high: 1.0)
    world.policy.resume(world.now, [])
    world.look(60)
    assert world.done == [Action(START, "1"), Action(START, "1")]


def test_a_node_that_is_no_longer_named_holds_up_no_restart():
    world = World(*(make_spec(n, ready_pattern="x") for n in "12"))
    world.run()
    world.look(60)
    world.change("2", ready=True)
    world.look()
    world.policy.restart("2", world.now, RestartReason.REQUESTED)
    world.look()
    world.look()
    assert world["2"].coming_back
    assert world["2"].state is State.BACKOFF
    del world.specs["2"]
    settings = msgspec.structs.replace(world.settings, nodes=("1",))
    world.policy.configure(settings, world.specs)
    world.policy.restart("1", world.now, RestartReason.REQUESTED)
    assert world.look() == [Action(STOP, "1")]


def test_one_that_is_wanted_again_while_it_stops_has_not_failed():
    world = World(make_spec(ready_pattern="x"))
    world.run()
    world.policy.unwant("1", world.now)
    assert world.policy.step(world.now, world.seen, world.around) == [Action(STOP, "1")]
    world.policy.want("1", world.now)
    world.dies(signal=15, asked=True)
    assert (world["1"].failures, world["1"].restarts) == (0, {RestartReason.REQUESTED: 1})
    world.look(60)
    assert world["1"].state is State.STARTING


def test_a_machine_that_slept_restarts_nobody_for_it():
    rules = Watchdog(silent=600.0, stalled=600.0)
    world = World(make_spec(ready_pattern="x", trainer="t"), watchdog=rules)
    world.run()
    world.look(busy=True, last_line=world.now, idle_earning=10.0)
    assert world.look(8 * 3600, idle_earning=8 * 3600.0) == []
    assert world.wait(600) == []
    assert world.look(50) == [Action(STOP, "1")]


def test_a_start_during_which_the_machine_slept_is_not_cut_short():
    world = World(make_spec(ready_pattern="x", trainer="t", start_timeout=3600.0))
    world.look()
    world.look()
    assert world.look(8 * 3600) == []
    assert world.wait(3600) == []
    assert world.look(50) == [Action(STOP, "1")]


def test_what_is_left_of_a_node_is_ended_before_it_starts_and_is_no_run_of_it():
    world = World(*(make_spec(n, ready_pattern="x") for n in "12"))
    world.run()
    world.policy.unwant("1", world.now)
    world.look()
    world.look()
    assert world["1"].state is State.STOPPED
    world.change("1", sweeping=True)
    assert world.look(60) == [Action(START, "2")]
    assert (world["1"].state, world["1"].failures) == (State.STOPPED, 0)
    world.change("2", ready=True)
    world.policy.want("1", world.now)
    assert world.look(60) == []
    assert world.look(60) == []
    world.change("1", sweeping=False)
    assert world.look() == [Action(START, "1")]


def test_a_run_has_ended_once_what_its_killed_runner_left_is_ended():
    world = World(make_spec(ready_pattern="x"))
    world.run()
    world.seen["1"] = Observed(sweeping=True)
    assert world.look(60) == []
    assert world["1"].state is State.RUNNING
    world.seen["1"] = Observed()
    world.look()
    assert (world["1"].state, world["1"].restarts) == (State.BACKOFF, {RestartReason.KILLED: 1})
