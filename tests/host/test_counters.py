"""Counters of a tree of processes, against a simulated kernel that knows the truth."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.host.counters import TreeCounter


class Kernel:
    """Processes that fork, work, end and are waited for, as Linux and xnu account them."""

    def __init__(self) -> None:
        self.time = 0
        self.truth = 0.0
        self.processes: dict[int, Simulated] = {0: Simulated(parent=-1, start=0)}
        self.next_pid = 1

    def fork(self, parent: int) -> None:
        if self.processes[parent].zombie:
            return
        self.processes[self.next_pid] = Simulated(parent=parent, start=self.time)
        self.next_pid += 1

    def work(self, pid: int, seconds: float) -> None:
        if not self.processes[pid].zombie:
            self.processes[pid].own += seconds
            self.truth += seconds

    def end(self, pid: int, *, waited_for: bool) -> None:
        process = self.processes[pid]
        if pid == 0:
            return
        process.zombie = True
        for child in self.processes.values():
            if child.parent == pid:
                child.parent = 0  # the subreaper
        if waited_for:
            self.wait(pid)

    def wait(self, pid: int) -> None:
        process = self.processes[pid]
        if process.zombie:
            self.processes[process.parent].reaped += process.own + process.reaped
            del self.processes[pid]

    def parents(self) -> dict[tuple[int, float], tuple[int, float]]:
        return {
            (pid, p.start): (p.parent, self.processes[p.parent].start)
            for pid, p in self.processes.items()
            if p.parent in self.processes
        }

    def figures(self) -> dict[tuple[int, float], tuple[float, float]]:
        return {(pid, p.start): (p.own, p.reaped) for pid, p in self.processes.items()}


class Simulated(msgspec.Struct):
    parent: int
    start: float
    own: float = 0.0
    reaped: float = 0.0
    zombie: bool = False


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fork", "work", "work", "end", "linger", "wait", "read"]),
        st.integers(0, 50),
        st.integers(1, 100),
    ),
    max_size=80,
)


def happen(kernel: Kernel, event: str, which: int, amount: int) -> None:
    pid = sorted(kernel.processes)[which % len(kernel.processes)]
    kernel.time += 1
    if event == "fork":
        kernel.fork(pid)
    elif event == "work":
        kernel.work(pid, float(amount))
    elif event == "end":
        kernel.end(pid, waited_for=True)
    elif event == "linger":
        kernel.end(pid, waited_for=False)
    elif event == "wait":
        kernel.wait(pid)


@given(EVENTS)
def test_the_counter_is_the_truth_whatever_ends_when(events):
    kernel, counter = Kernel(), TreeCounter()
    for event, which, amount in events:
        if event == "read":
            before = counter.total
            counter.add(kernel.figures(), kernel.parents())
            assert counter.total == pytest.approx(kernel.truth)
            assert counter.total >= before
        else:
            happen(kernel, event, which, amount)
    counter.add(kernel.figures(), kernel.parents())
    assert counter.total == pytest.approx(kernel.truth)


@given(EVENTS, st.lists(st.integers(0, 50), min_size=1))
def test_what_happens_while_the_processes_are_read_is_never_counted_twice(events, meanwhile):
    """Not all are read at one instant; parents are read before their children."""
    kernel, counter = Kernel(), TreeCounter()
    for event, which, amount in events:
        if event != "read":
            happen(kernel, event, which, amount)
            continue
        figures, parents = {}, kernel.parents()
        for number, (pid, start) in enumerate(parents_first(kernel)):
            process = kernel.processes.get(pid)
            if process is not None and process.start == start:
                figures[pid, start] = (process.own, process.reaped)
            happen(kernel, "end", meanwhile[number % len(meanwhile)], 1)
        before = counter.total
        counter.add(figures, parents)
        assert before <= counter.total <= kernel.truth + 1e-6
    for _ in range(2):
        counter.add(kernel.figures(), kernel.parents())
    assert counter.total == pytest.approx(kernel.truth)


def parents_first(kernel: Kernel) -> list[tuple[int, float]]:
    generation, found = [0], []
    while generation:
        found += [(pid, kernel.processes[pid].start) for pid in generation]
        generation = [pid for pid, p in kernel.processes.items() if p.parent in generation]
    return found


#: A script, the trainer that it waits for, and the helper of that.
SCRIPT, TRAINER, HELPER = (1, 0.0), (2, 1.0), (3, 2.0)
PARENTS = {TRAINER: SCRIPT, HELPER: TRAINER}


def test_what_a_child_used_after_it_was_last_seen_comes_back_through_its_parent():
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (5.0, 0.0)}, PARENTS)
    counter.add({SCRIPT: (1.5, 8.0)}, PARENTS)
    assert counter.total == 9.5


def test_a_parent_that_was_read_before_its_child_ended_shows_it_at_the_next_reading():
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (5.0, 0.0)}, PARENTS)
    counter.add({SCRIPT: (1.0, 0.0)}, PARENTS)
    counter.add({SCRIPT: (1.0, 5.5)}, PARENTS)
    assert counter.total == 6.5


@pytest.mark.parametrize("readings", [1, 3, 50])
def test_a_script_that_is_away_between_two_trainers_gives_back_the_first_once(readings):
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (500.0, 0.0), HELPER: (9.0, 0.0)}, PARENTS)
    for _ in range(readings):
        counter.add({}, {}, living=[SCRIPT])
    # It had waited for both, and the trainer used a second after it was last seen.
    counter.add({SCRIPT: (1.5, 510.0), (4, 9.0): (2.0, 0.0)}, {(4, 9.0): SCRIPT})
    assert counter.total == 513.5


def test_a_shell_between_script_and_trainer_may_end_while_the_script_is_away():
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (0.5, 0.0), HELPER: (500.0, 0.0)}, PARENTS)
    for living in ([SCRIPT, TRAINER], [SCRIPT, TRAINER], [SCRIPT], [SCRIPT], [SCRIPT]):
        counter.add({}, {}, living)
    counter.add({SCRIPT: (1.0, 500.5)}, {})
    assert counter.total == 501.5


def test_a_script_that_comes_into_the_tree_late_has_given_back_what_was_counted():
    counter = TreeCounter()
    counter.add({TRAINER: (500.0, 0.0)}, PARENTS, living=[SCRIPT])
    counter.add({}, {}, living=[SCRIPT])
    counter.add({SCRIPT: (1.0, 507.0), (4, 9.0): (2.0, 0.0)}, {(4, 9.0): SCRIPT})
    assert counter.total == 510.0


def test_a_zombie_without_figures_that_nobody_waits_for_yet_is_not_counted_again():
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (500.0, 0.0)}, PARENTS)
    for _ in range(50):
        counter.add({SCRIPT: (1.0, 0.0)}, PARENTS, living=[SCRIPT, TRAINER])
    counter.add({SCRIPT: (1.0, 500.0)}, PARENTS)
    assert counter.total == 501.0


def test_a_process_that_ends_outside_the_tree_takes_nothing_off_what_others_used():
    counter = TreeCounter()
    counter.add({SCRIPT: (1.0, 0.0), TRAINER: (500.0, 0.0)}, {})
    counter.add({SCRIPT: (1.0, 50.0)}, {})
    assert counter.total == 551.0


def test_a_process_that_could_not_be_read_once_does_not_count_anew():
    counter = TreeCounter()
    counter.add({SCRIPT: (10.0, 0.0)}, {})
    counter.add({}, {})
    counter.add({SCRIPT: (11.0, 0.0)}, {})
    assert counter.total == 11.0


def test_a_reused_pid_is_another_process():
    counter = TreeCounter()
    counter.add({(7, 100.0): (50.0, 0.0)}, {})
    counter.add({(7, 200.0): (1.0, 0.0)}, {})
    assert counter.total == 51.0


def test_the_counter_goes_on_over_a_restart_of_everything():
    counter = TreeCounter()
    counter.add({SCRIPT: (10.0, 2.0), TRAINER: (30.0, 0.0)}, PARENTS)
    counter.add({}, {})
    counter.add({(9, 500.0): (0.5, 0.0)}, {})
    assert counter.total == 42.5
