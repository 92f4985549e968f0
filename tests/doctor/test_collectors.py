from __future__ import annotations

import threading

import pytest

from support import make_config
from swarm_exporter.doctor.check import Check, Outcome
from swarm_exporter.doctor.collectors import check_collectors
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import ACTION, MEANING, Reason
from swarm_exporter.sources.errors import SourceError


class Numbers(HostFacts, frozen=True):
    number: int = 0


GOOD = Found(Numbers(), summary="a number")


class Scripted(Collector):
    """Does what a test says, and counts what was asked of it."""

    name = "scripted"
    about = "numbers (a test)"

    def __init__(self, outcome=GOOD, present=True) -> None:
        self.outcome, self.present, self.closed = outcome, present, 0

    def is_present(self) -> bool:
        if isinstance(self.present, Exception):
            raise self.present
        return self.present

    def read(self, look: Look) -> Found:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        self.closed += 1


class Hanging(Scripted):
    name = "hanging"

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def read(self, look: Look) -> Found:
        assert self.released.wait(30)
        return super().read(look)


def check(*collectors: Collector, timeout=10.0, **settings) -> list[Check]:
    look = Look(config=make_config(**settings), now=0.0, monotonic=0.0, members=dict)
    return check_collectors(collectors, look, timeout)


def test_what_was_found_is_said_and_everything_given_back():
    collector = Scripted()
    (found,) = check(collector)
    assert found.outcome is Outcome.OK
    assert found.what.startswith("a number, read in ")
    assert collector.closed == 1


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [(Reason.TOOL_FAILED, Outcome.FAILURE), (Reason.NOT_READY, Outcome.WARNING)],
)
def test_a_failure_has_its_meaning_and_its_fix(reason, outcome):
    collector = Scripted(SourceError(reason, "ioreg ended with 1"))
    (found,) = check(collector)
    assert found.outcome is outcome
    assert found.what == f"{MEANING[reason]} (ioreg ended with 1)"
    assert found.fix
    assert collector.closed == 1


def test_the_fix_names_the_collectors_own_switch():
    (found,) = check(Scripted(SourceError(Reason.MISSING, "gone")))
    assert "--no-collector.scripted" in found.fix


def test_defects_are_counted_warnings():
    defects = (Reason.PERMISSION, Reason.MALFORMED, Reason.PERMISSION)
    good, *rest = check(Scripted(Found(Numbers(), defects, "a number")))
    assert good.outcome is Outcome.OK
    assert [(c.outcome, c.what, c.fix) for c in rest] == [
        (Outcome.WARNING, f"{MEANING[r]}{n}", ACTION[r])
        for r, n in ((Reason.PERMISSION, " (2 values)"), (Reason.MALFORMED, ""))
    ]


@pytest.mark.parametrize("where", ["read", "present"])
def test_a_fault_of_ours_is_a_failure_and_no_crash(where):
    fault = ZeroDivisionError("oops")
    collector = Scripted(fault) if where == "read" else Scripted(present=fault)
    (found,) = check(collector)
    assert found.outcome is Outcome.FAILURE
    assert "ZeroDivisionError: oops" in found.what


def test_absent_or_switched_off_is_no_fault():
    absent, off = Scripted(present=False), Scripted()
    (found,) = check(absent)
    assert (found.outcome, found.what) == (
        Outcome.ABSENT,
        "this machine has none: numbers (a test)",
    )
    (found,) = check(off, only_collectors=("cpu",))
    assert found.what == "switched off: numbers (a test)"
    assert off.closed == 0


def test_one_that_hangs_costs_its_own_line_and_no_more_time_than_given():
    hanging, good = Hanging(), Scripted()
    late, quick = check(hanging, good, timeout=0.2)
    assert late.outcome is Outcome.FAILURE
    assert late.what.startswith("has not ended after ")
    assert "--no-collector.hanging" in late.fix
    assert quick.outcome is Outcome.OK
    hanging.released.set()
