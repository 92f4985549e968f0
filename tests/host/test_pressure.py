from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from machine_support import FakeSysctl, make_look, make_tree, refuse
from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.pressure import MachinePressure, Pressure
from swarm_exporter.host.pressure_darwin import darwin_pressure
from swarm_exporter.host.pressure_linux import linux_is_told, linux_pressure
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
LEVEL = "kern__memorystatus_vm_pressure_level"


def stalled(some: int, full: int | None = None) -> str:
    lines = [f"some avg10=0.12 avg60=1.00 avg300=2.50 total={some}\n"]
    if full is not None:
        lines.append(f"full avg10=0.00 avg60=0.00 avg300=0.10 total={full}\n")
    return "".join(lines)


FILES = {
    "proc/pressure/memory": stalled(4_500_000, 1_250_000),
    "proc/pressure/cpu": stalled(90_000_001, 0),
    "proc/pressure/io": stalled(7_000_000, 6_000_000),
    "proc/vmstat": "pswpin 1\noom_kill 3\ndrop_pagecache 0\n",
}


def linux(root: Path) -> tuple[Pressure, tuple[Reason, ...]]:
    attempts = Attempts()
    return linux_pressure(attempts, root), attempts.defects()


def collector(root: Path) -> MachinePressure:
    return MachinePressure(
        lambda attempts: linux_pressure(attempts, root), lambda: linux_is_told(root)
    )


def darwin(sysctl: FakeSysctl) -> MachinePressure:
    return MachinePressure(lambda attempts: darwin_pressure(attempts, sysctl), lambda: True)


def test_stalls_are_told_in_seconds_and_a_cpu_is_never_wholly_stalled(tmp_path):
    assert linux(make_tree(tmp_path, FILES)) == (
        Pressure(
            stalled={
                "memory": {"some": 4.5, "full": 1.25},
                "cpu": {"some": 90.000001},
                "io": {"some": 7.0, "full": 6.0},
            },
            oom_kills=3,
        ),
        (),
    )


def test_a_kernel_before_5_13_tells_no_full_of_cpu(tmp_path):
    root = make_tree(tmp_path, {**FILES, "proc/pressure/cpu": stalled(1_000_000)})
    assert linux(root)[0].stalled["cpu"] == {"some": 1.0}


def test_a_kernel_without_any_of_it_is_not_asked(tmp_path):
    root = make_tree(tmp_path, {"proc/vmstat": "pswpin 1\n"})
    assert not collector(root).is_present()
    assert not collector(tmp_path / "nothing").is_present()
    with pytest.raises(SourceError) as failed:
        collector(root).read(make_look())
    assert failed.value.reason is Reason.MISSING


def test_a_kernel_that_was_started_without_stalls_still_counts_its_kills(tmp_path, monkeypatch):
    root = make_tree(tmp_path, FILES)
    for name in ("memory", "cpu", "io"):
        refuse(monkeypatch, root / "proc/pressure" / name, errno.EOPNOTSUPP)
    assert collector(root).is_present()
    assert linux(root) == (Pressure(oom_kills=3), ())


def test_without_stalls_and_kills_it_is_not_present(tmp_path, monkeypatch):
    root = make_tree(tmp_path, {**FILES, "proc/vmstat": "pswpin 1\n"})
    for name in ("memory", "cpu", "io"):
        refuse(monkeypatch, root / "proc/pressure" / name, errno.EOPNOTSUPP)
    assert not collector(root).is_present()


def test_what_may_not_be_read_is_there_and_a_defect(tmp_path, monkeypatch):
    root = make_tree(tmp_path, FILES)
    refuse(monkeypatch, root / "proc/pressure/memory", errno.EACCES)
    assert collector(root).is_present()
    pressure, defects = linux(root)
    assert pressure.stalled.keys() == {"cpu", "io"}
    assert defects == (Reason.PERMISSION,)


def test_a_file_in_another_form_costs_itself_alone(tmp_path):
    root = make_tree(tmp_path, {**FILES, "proc/pressure/io": "some avg10=0.00 total=much\n"})
    pressure, defects = linux(root)
    assert pressure.stalled.keys() == {"memory", "cpu"}
    assert defects == (Reason.MALFORMED,)


@pytest.mark.skipif(
    not Path("/proc/pressure/memory").exists(), reason="this kernel counts no stalls"
)
def test_this_machine_s_figures_lie_between_two_readings_of_the_kernel_s():
    def kernel(resource: str) -> int:
        first = Path("/proc/pressure", resource).read_text().splitlines()[0]
        return int(first.rpartition("=")[2])

    before = {resource: kernel(resource) for resource in ("memory", "cpu", "io")}
    facts = MachinePressure().read(make_look()).facts
    assert isinstance(facts, Pressure)
    for resource, total in before.items():
        assert total / 1e6 <= facts.stalled[resource]["some"] <= kernel(resource) / 1e6


@pytest.mark.parametrize("level", [1, 2, 4])
def test_a_mac_s_level_is_told_as_it_is(level):
    found = darwin(FakeSysctl(**{LEVEL: level})).read(make_look())
    assert found.facts == Pressure(memory_level=level)
    assert found.defects == ()


@pytest.mark.parametrize("level", [0, 3, 8, -1])
def test_a_level_that_is_not_known_is_not_told(level):
    with pytest.raises(SourceError) as failed:
        darwin(FakeSysctl(**{LEVEL: level})).read(make_look())
    assert failed.value.reason is Reason.MALFORMED


def test_a_mac_that_tells_no_level_fails():
    with pytest.raises(SourceError) as failed:
        darwin(FakeSysctl()).read(make_look())
    assert failed.value.reason is Reason.MISSING
