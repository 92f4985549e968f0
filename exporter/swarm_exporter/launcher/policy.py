"""When a node is started, ended and started again: a pure state machine, looked at again and again.

It is told what is seen of each node and answers with what to do; clock and dice are given to it.
The states are supervisord's words; docs/launcher.md draws them. Why a node is always started
again, whatever its exit code: upstream exits 0 after a crash, or lives on without a trainer
(RL Swarm v0.3.1 to v0.7).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum

import msgspec

from swarm_exporter.durations import format_duration
from swarm_exporter.launcher.spec import NodeSpec, Settings
from swarm_exporter.launcher.state import LauncherState, NodeRecord, RestartReason, State

#: A submission is late after so much more than its period: rounds have to end first.
SUBMIT_SLACK = 0.25
#: A node that uses less than this share of one processor is idle.
IDLE_SHARE = 0.05
_DAY_SECONDS = 86_400.0
#: A look that comes so much later than it should was kept off: the machine slept.
_GAP_SECONDS = 30.0
_MOST_EVENTS = 200
#: Delays differ by so much, so that nodes that fall together do not rise together.
_MOST_JITTER = 1.15


class Exit(msgspec.Struct, frozen=True):
    """How a run of a node ended."""

    started: float
    code: int
    signal: int
    #: True where its runner was told to end it.
    asked: bool
    #: Why it could not even be started; empty where it could.
    error: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen of one node at one moment."""

    #: Its runner runs under supervisord.
    up: bool = False
    #: Its runner runs, but under no supervisord: that one was killed.
    orphaned: bool = False
    #: What an earlier runner of it left is being ended.
    sweeping: bool = False
    #: The command's process and its start, where it runs.
    pid: int | None = None
    started: float | None = None
    question: str = ""
    exit: Exit | None = None
    trainer_pid: int | None = None
    #: True where its logs say since the last look that it takes part in the swarm.
    ready: bool = False
    #: True or False where its output says since the last look that it waits for a login, or not.
    waiting_login: bool | None = None
    accepted: int = 0
    refused: int = 0
    #: When its logs were written to last.
    last_line: float | None = None
    busy: bool = False
    memory: int | None = None
    #: Seconds since it last earned; None where no exporter knows.
    idle_earning: float | None = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen of the machine and the swarm."""

    available_memory: int
    #: `normal`, `warning` or `critical`; None where the system does not tell.
    pressure: str | None
    swarm_halted: bool = False


class Deed(str, Enum):
    """What is to be done with a node."""

    START = "start"
    STOP = "stop"


class Action(msgspec.Struct, frozen=True):
    """One thing to do."""

    deed: Deed
    node: str


class Policy:
    """Decides for all nodes of a launcher. Its memory is the LauncherState that it is given."""

    def __init__(
        self,
        state: LauncherState,
        settings: Settings,
        specs: Mapping[str, NodeSpec],
        uniform: Callable[[float, float], float],
    ) -> None:
        """Go on from `state`; `uniform` throws the dice for delays."""
        self.state = state
        self._uniform = uniform
        self._settings = settings
        self._specs = specs
        self._head_room_missing_since: float | None = None
        self._last_look: float | None = None
        #: Since when the nodes are watched without a gap.
        self._watching_since = 0.0
        self._halted = False
        self.configure(settings, specs)

    def configure(self, settings: Settings, specs: Mapping[str, NodeSpec]) -> None:
        """Take over other settings or nodes; nodes that are no longer named keep running."""
        self._settings = settings
        self._specs = specs
        self._halted = False
        for name, spec in specs.items():
            record = self.state.nodes.setdefault(name, NodeRecord(name=name))
            record.folder, record.profile, record.ports = spec.folder, spec.profile, spec.ports
            record.submit_period = spec.submit_period

    def resume(self, now: float, alive: Collection[str]) -> None:
        """Begin after the launcher itself was away: what does not live any more has not failed."""
        for record in self.state.nodes.values():
            if record.runs and record.name not in alive:
                record.pid = record.trainer_pid = record.restarting = record.postponed = None
                record.coming_back = False
                # Else one that ran before would wait for a launch that nobody thinks of.
                self.state.ramp_problem = ""
                self._set(record, State.STOPPED, now, "the launcher was started anew")

    # --- what a person asks for ----------------------------------------------------------------

    def want(self, name: str, now: float) -> None:
        """Let a node run: one that was stopped, waits or has failed for good is started again."""
        record = self.state.nodes[name]
        record.wanted = True
        record.failures = 0
        if record.state is State.STOPPING and record.restarting is None:
            # It was told to stop: its end is no failure.
            record.restarting = RestartReason.REQUESTED
        if record.state in (State.FATAL, State.BACKOFF, State.EXITED, State.STOPPED):
            self._set(record, State.STOPPED, now, "waits for its turn")
            record.due = None
        self.state.ramp_problem = ""
        self._head_room_missing_since = None

    def unwant(self, name: str, now: float) -> None:
        """Let a node be stopped, and stay so."""
        record = self.state.nodes[name]
        record.wanted = False
        record.postponed = record.restarting = record.due = None
        if not record.runs:
            self._set(record, State.STOPPED, now, "stopped by hand")

    def halt(self, now: float) -> None:
        """Let every node be stopped because the launcher ends; those that are wanted stay so."""
        self._halted = True
        for record in self.state.nodes.values():
            record.postponed = record.restarting = record.due = None
            if not record.runs and record.wanted:
                self._set(record, State.STOPPED, now, _HALTED)

    def restart(
        self, name: str, now: float, reason: RestartReason, *, after_submit: bool = False
    ) -> None:
        """Restart a node, now or once it has submitted what it earned."""
        record = self.state.nodes[name]
        if not record.runs:
            self.want(name, now)
        elif after_submit and record.next_submit is not None:
            record.postponed, record.postponed_since = reason, now
            self._say(record, now, "is restarted after its next submission")
        else:
            record.wanted = True
            record.restarting = reason

    def refuse(self, name: str, now: float, problem: str, *, final: bool) -> None:
        """Note that a node could not be started: a port is taken, its identity is in use."""
        record = self.state.nodes[name]
        record.failures += 1
        if final or record.failures > self._settings.restart.attempts:
            self._set(record, State.FATAL, now, problem)
            record.due, record.coming_back = None, False
        else:
            self._back_off(record, now, problem)

    # --- one look ------------------------------------------------------------------------------

    def step(self, now: float, seen: Mapping[str, Observed], around: Surroundings) -> list[Action]:
        """Take in what is seen and return what to do."""
        self._note_time(now)
        actions = []
        for name, spec in self._specs.items():
            record, observed = self.state.nodes[name], seen.get(name, Observed())
            if observed.up or observed.orphaned:
                actions += self._watch(record, spec, observed, around, now)
            elif not observed.sweeping:
                self._note_end(record, observed, now)
        if not actions:
            swept = {name for name, observed in seen.items() if observed.sweeping}
            actions += self._start_next(now, around, swept)
        return actions

    def _note_time(self, now: float) -> None:
        """Hold against a clock that was set back, and a machine that has slept."""
        before, self._last_look = self._last_look, now
        gap = self._settings.look_interval * 4 + _GAP_SECONDS
        if before is None or not 0 <= now - before <= gap:
            # What was not seen says nothing of a node.
            self._watching_since = now
        self.state.last_start = min(self.state.last_start, now)
        latest = now + self._settings.restart.longest_delay * _MOST_JITTER
        for record in self.state.nodes.values():
            record.due = min(record.due, latest) if record.due is not None else None
            record.postponed_since = min(record.postponed_since, now)

    def _watch(
        self,
        record: NodeRecord,
        spec: NodeSpec,
        seen: Observed,
        around: Surroundings,
        now: float,
    ) -> list[Action]:
        if seen.orphaned:
            # A new runner stands in for the one that is there: nothing is started twice.
            if not record.runs or record.state is State.STOPPING:
                self._set(record, State.STARTING, now)
            self._say(record, now, "still runs and is taken over")
            # What its log says is said once.
            self._note_facts(record, spec, seen, now)
            return [Action(Deed.START, record.name)]
        self._note_facts(record, spec, seen, now)
        if record.state is State.STOPPING:
            return []
        if not record.wanted or self._halted:
            return self._stop(record, now, "is being stopped")
        if record.restarting in _BY_HAND and self._is_one_coming_back(record):
            return []
        reason = record.restarting or self._reason_to_restart(record, spec, seen, around, now)
        if reason is not None:
            record.restarting, record.postponed = reason, None
            record.coming_back = reason in _BY_HAND
            return self._stop(record, now, _MEANING[reason])
        return []

    def _is_one_coming_back(self, record: NodeRecord) -> bool:
        """Tell whether another node is being restarted: they are one after another."""
        others = (self.state.nodes[name] for name in self._specs if name != record.name)
        return any(other.coming_back and other.wanted for other in others)

    def _note_facts(self, record: NodeRecord, spec: NodeSpec, seen: Observed, now: float) -> None:
        if seen.started is not None and seen.started != record.started:
            _begin_run(record, seen)
        if not record.runs:
            self._set(record, State.STARTING, now)
        trainer = seen.trainer_pid if spec.trainer else seen.pid
        record.trainer_pid = trainer
        if trainer is not None:
            record.trainer_seen = now
            record.trainer_began = record.trainer_began or now
        record.question = seen.question
        if seen.waiting_login is not None:
            record.waiting_login = seen.waiting_login
        if trainer is not None and spec.trainer:
            record.waiting_login = False
        if record.waiting_login or record.question:
            record.waited = now
        record.submits_accepted += seen.accepted
        record.submits_refused += seen.refused
        record.last_submit = now if seen.accepted else record.last_submit
        record.last_line = max(seen.last_line or 0.0, record.last_line or 0.0) or None
        record.last_busy = now if seen.busy else record.last_busy
        record.memory = seen.memory if seen.memory is not None else record.memory
        if record.state is State.STARTING:
            self._note_readiness(record, spec, seen, now)
        healthy = now - (record.ready or now)
        if record.failures and healthy >= self._settings.restart.healthy_after:
            record.failures = 0

    def _note_readiness(
        self, record: NodeRecord, spec: NodeSpec, seen: Observed, now: float
    ) -> None:
        trained = now - record.trainer_began if record.trainer_began is not None else 0.0
        by_time = not spec.ready_pattern and trained >= spec.ready_after
        if record.trainer_pid is not None and (seen.ready or by_time):
            record.ready, record.coming_back = now, False
            self._set(record, State.RUNNING, now)
        elif record.question:
            self._explain(record, f'asks "{record.question}", which nobody has configured')
        elif record.waiting_login:
            self._explain(record, "waits for a person to log in")
        elif record.trainer_pid is None:
            self._explain(record, "its trainer is awaited")
        elif spec.ready_pattern:
            self._explain(record, "its trainer has not joined the swarm yet")
        else:
            left = format_duration(spec.ready_after - trained)
            self._explain(record, f"counts as running in {left}")

    def _reason_to_restart(
        self,
        record: NodeRecord,
        spec: NodeSpec,
        seen: Observed,
        around: Surroundings,
        now: float,
    ) -> RestartReason | None:
        if record.trainer_pid is None and not record.waiting_login and not record.question:
            if record.trainer_seen is not None:
                if now - record.trainer_seen > spec.trainer_grace:
                    return RestartReason.TRAINER_GONE
            elif now - self._start_counts_from(record, now) > spec.start_timeout:
                return RestartReason.NO_TRAINER
        if record.postponed is not None:
            return self._postponed(record, now)
        reason = self._watchdog(record, seen, around, now)
        if reason is None:
            return None
        record.watchdog_restarts.append(now)
        if record.next_submit is None:
            return reason
        record.postponed, record.postponed_since = reason, now
        self._say(record, now, f"{_MEANING[reason]}; restarted after its next submission")
        return self._postponed(record, now)

    def _start_counts_from(self, record: NodeRecord, now: float) -> float:
        """Return since when a trainer is awaited: not while a person was, or the machine slept."""
        return max(record.started or now, record.waited or 0.0, self._watching_since)

    def _postponed(self, record: NodeRecord, now: float) -> RestartReason | None:
        """Return the reason of a postponed restart once there is nothing left to lose by it."""
        submitted = (record.last_submit or 0.0) > record.postponed_since
        expected, period = record.next_submit, record.submit_period
        if submitted or expected is None or period is None:
            return record.postponed
        # One that never comes must not be waited for without end.
        return record.postponed if now > expected + SUBMIT_SLACK * period else None

    def _watchdog(
        self, record: NodeRecord, seen: Observed, around: Surroundings, now: float
    ) -> RestartReason | None:
        rules = self._settings.watchdog
        record.watchdog_restarts = [t for t in record.watchdog_restarts if now - t < _DAY_SECONDS]
        if len(record.watchdog_restarts) >= rules.per_day or record.ready is None:
            return None
        watched = max(record.ready, self._watching_since)
        if rules.memory is not None and (record.memory or 0) > rules.memory:
            return RestartReason.MEMORY
        if around.swarm_halted:
            return None
        idle = min(now - watched, seen.idle_earning) if seen.idle_earning is not None else 0.0
        if rules.stalled is not None and idle > rules.stalled:
            return RestartReason.STALLED
        if rules.silent is not None:
            silence = now - max(record.last_line or 0.0, watched)
            idleness = now - max(record.last_busy or 0.0, watched)
            if min(silence, idleness) > rules.silent:
                return RestartReason.SILENT
        return None

    # --- ends ----------------------------------------------------------------------------------

    def _note_end(self, record: NodeRecord, seen: Observed, now: float) -> None:
        """Decide what becomes of a node whose runner does not run."""
        if not record.runs:
            return
        healthy = record.ready is not None and (
            now - record.ready >= self._settings.restart.healthy_after
        )
        record.pid = record.trainer_pid = None
        record.question, record.waiting_login, record.memory = "", False, None
        planned, record.restarting, record.postponed = record.restarting, None, None
        if not record.wanted or self._halted:
            words = _HALTED if record.wanted else "stopped by hand"
            self._set(record, State.STOPPED, now, words)
            return
        end = seen.exit
        if planned is None and end is not None and end.asked:
            record.wanted = False
            self._set(record, State.STOPPED, now, "stopped by hand, through supervisord")
            return
        if planned is not None and planned not in _FAILURES:
            self._count(record, planned)
            record.due = now
            self._set(record, State.BACKOFF, now, _MEANING[planned])
            return
        killed = end is None or end.signal
        reason = planned or (RestartReason.KILLED if killed else RestartReason.EXITED)
        words = _MEANING[planned] if planned is not None else _ended(end)
        record.failures = 1 if healthy else record.failures + 1
        if record.failures > self._settings.restart.attempts:
            self._set(
                record,
                State.FATAL,
                now,
                f"{words}, {record.failures} times in a row: not started again",
            )
            record.coming_back = False
            return
        self._count(record, reason)
        self._back_off(record, now, words)

    def _back_off(self, record: NodeRecord, now: float, words: str) -> None:
        rules = self._settings.restart
        doubled = rules.first_delay * 2.0 ** min(record.failures - 1, 30)
        delay = min(doubled, rules.longest_delay) * self._uniform(2.0 - _MOST_JITTER, _MOST_JITTER)
        record.due = now + delay
        self._set(record, State.BACKOFF, now, words)

    def _count(self, record: NodeRecord, reason: RestartReason) -> None:
        record.restarts[reason] = record.restarts.get(reason, 0) + 1

    def _stop(self, record: NodeRecord, now: float, words: str) -> list[Action]:
        self._set(record, State.STOPPING, now, words)
        return [Action(Deed.STOP, record.name)]

    # --- starts --------------------------------------------------------------------------------

    def _start_next(self, now: float, around: Surroundings, swept: Collection[str]) -> list[Action]:
        """Start one node, if one is due and nothing stands in the way.

        Starts are apart: the submit timer begins with the process, and two nodes of one account
        that submit at the same moment fail (RL Swarm v0.5.7 to v0.7).
        """
        records = [self.state.nodes[name] for name in self._settings.nodes if name not in swept]
        if self._halted or now - self.state.last_start < self._settings.ramp_interval:
            return []
        for record in records:
            if record.wanted and record.state is State.BACKOFF and (record.due or 0.0) <= now:
                return self._start(record, now)
        waiting = [r for r in records if r.wanted and r.state is State.STOPPED]
        if not waiting or any(record.state is State.STARTING for record in records):
            return []
        if self.state.ramp_problem or not self._has_head_room(waiting[0], now, around):
            return []
        return self._start(waiting[0], now)

    def _start(self, record: NodeRecord, now: float) -> list[Action]:
        self.state.last_start = now
        record.due = None
        record.started = record.ready = None
        self._set(record, State.STARTING, now, "its command is being started")
        return [Action(Deed.START, record.name)]

    def _has_head_room(self, record: NodeRecord, now: float, around: Surroundings) -> bool:
        """Tell whether the machine has room for one more; if not for a while, stop ramping."""
        need = self._specs[record.name].memory
        measured = [r.memory for r in self.state.nodes.values() if r.ready and r.memory]
        wanted = max(measured, default=need) if measured else need
        problem = ""
        if around.pressure not in (None, "normal"):
            problem = f"the machine's memory pressure is {around.pressure}"
        elif around.available_memory < wanted + self._settings.reserve:
            problem = (
                f"{_gib(around.available_memory)} of memory are available, but the next node needs "
                f"{_gib(wanted)} and {_gib(self._settings.reserve)} are left to the machine"
            )
        if not problem:
            self._head_room_missing_since = None
            return True
        self._head_room_missing_since = self._head_room_missing_since or now
        self._explain(record, problem)
        if now - self._head_room_missing_since >= self._settings.ramp_interval:
            self.state.ramp_problem = problem
            self._say(record, now, f"is not started: {problem}")
        return False

    # --- words ---------------------------------------------------------------------------------

    def _set(self, record: NodeRecord, state: State, now: float, reason: str = "") -> None:
        if state is not record.state or reason != record.reason:
            record.since = record.since if state is record.state else now
            record.state, record.reason = state, reason
            words = f"{state.value}: {reason}" if reason else state.value
            if state is State.BACKOFF and record.due is not None:
                words += f"; starts again in {format_duration(record.due - now)}"
            self._say(record, now, words)

    def _explain(self, record: NodeRecord, reason: str) -> None:
        """Say why a node is in its state, without a change of it."""
        record.reason = reason

    def _say(self, record: NodeRecord, now: float, words: str) -> None:
        self.state.events = [*self.state.events, (now, record.name, words)][-_MOST_EVENTS:]


_HALTED = "the launcher was stopped"
_BY_HAND = (RestartReason.REQUESTED, RestartReason.CHANGED)
#: Reasons that tell of a fault of the node: the next start waits longer.
_FAILURES = (
    RestartReason.EXITED,
    RestartReason.KILLED,
    RestartReason.TRAINER_GONE,
    RestartReason.NO_TRAINER,
)
_MEANING = {
    RestartReason.EXITED: "its command ended",
    RestartReason.KILLED: "it was killed",
    RestartReason.TRAINER_GONE: "its trainer has ended while its command lived on",
    RestartReason.NO_TRAINER: "no trainer appeared in time",
    RestartReason.REQUESTED: "restarted by hand",
    RestartReason.CHANGED: "restarted for a change of its configuration",
    RestartReason.STALLED: "it has earned nothing for too long while others have",
    RestartReason.SILENT: "its log was silent for too long while it was idle",
    RestartReason.MEMORY: "it holds too much memory",
}


def _begin_run(record: NodeRecord, seen: Observed) -> None:
    """Forget what belonged to the run before."""
    record.started, record.pid = seen.started, seen.pid
    record.ready = record.trainer_pid = record.trainer_seen = record.trainer_began = None
    record.last_line = record.last_busy = record.memory = record.waited = None
    record.waiting_login, record.question = False, ""


def _ended(end: Exit | None) -> str:
    if end is None:
        return "its runner was killed"
    if end.error:
        return f"it cannot be started ({end.error})"
    if end.signal == 9:
        return "it was killed (signal 9: the system does so when memory runs out)"
    if end.signal:
        return f"it was ended by signal {end.signal}"
    return f"its command ended with exit code {end.code}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
