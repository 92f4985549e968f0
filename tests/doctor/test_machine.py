from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from swarm_exporter.doctor.check import Outcome
from swarm_exporter.doctor.machine import About, check_machine, read_about
from swarm_exporter.launcher.machine import Gpu, Machine

GIB = 2**30
ABOUT = About(
    system="macOS 26.1",
    kernel="Darwin 25.1.0",
    chip="Apple M4",
    python="3.12.8",
    swap_total=4 * GIB,
    swap_used=GIB,
)
MINI = Machine(
    platform="darwin",
    total_memory=16 * GIB,
    available_memory=9 * GIB,
    performance_cores=4,
    efficiency_cores=6,
    logical_cpus=10,
    unified_memory=True,
    gpus=(),
    disk_free=200 * GIB,
    pressure="normal",
)


def check(about: About = ABOUT, machine: Machine = MINI, *folders: Path) -> dict:
    checks = check_machine(folders, lambda: about, lambda _: machine)
    return {check.subject: check for check in checks}


def test_a_mac_mini_in_good_health():
    found = check()
    assert {check.outcome for check in found.values()} == {Outcome.OK}
    assert found["system"].what == (
        "macOS 26.1 (Darwin 25.1.0), Apple M4, 4 performance and 6 efficiency cores"
    )
    assert found["memory"].what == "16.0 GiB, 9.0 GiB available; no pressure"
    assert found["swap"].what == "1.0 GiB of 4.0 GiB in use"


@pytest.mark.parametrize(
    ("subject", "about", "machine", "words"),
    [
        ("memory", {}, {"pressure": "critical"}, "the pressure is critical"),
        ("swap", {"swap_used": 5 * GIB}, {}, "5.0 GiB of 4.0 GiB"),
        ("python", {"translated": True}, {}, "under Rosetta"),
    ],
)
def test_what_is_worth_a_look(subject, about, machine, words):
    found = check(msgspec.structs.replace(ABOUT, **about), msgspec.structs.replace(MINI, **machine))
    assert found[subject].outcome is Outcome.WARNING
    assert words in found[subject].what
    assert found[subject].fix
    assert sum(check.outcome is Outcome.WARNING for check in found.values()) == 1


def test_what_is_unknown_is_left_out():
    found = check(
        msgspec.structs.replace(ABOUT, swap_total=None, swap_used=None),
        msgspec.structs.replace(MINI, pressure=None, performance_cores=None, efficiency_cores=0),
    )
    assert found["swap"].outcome is Outcome.ABSENT
    assert found["system"].what.endswith("Apple M4")
    assert "pressure" not in found["memory"].what


def test_each_disk_once_and_little_room_is_a_warning(tmp_path):
    folders = (tmp_path / "a" / "b", tmp_path / "c")
    subject = f"disk of {folders[0]}"
    for free, outcome in ((10 * GIB, Outcome.OK), (10 * GIB - 1, Outcome.WARNING)):
        checks = check_machine(folders, lambda: ABOUT, lambda _: MINI, lambda _, n=free: n)
        disks = [check for check in checks if check.subject.startswith("disk")]
        assert [(check.subject, check.outcome) for check in disks] == [(subject, outcome)]


def test_a_disk_that_does_not_answer(tmp_path):
    def fails(_: Path) -> int:
        raise OSError(5, "Input/output error")

    check = check_machine([tmp_path], lambda: ABOUT, lambda _: MINI, fails)[-1]
    assert check.outcome is Outcome.FAILURE
    assert check.what == "cannot be asked (input/output error)"


def test_gpus_are_named():
    gpu = Gpu(name="NVIDIA L40S", total_memory=45 * GIB, free_memory=None)
    found = check(ABOUT, msgspec.structs.replace(MINI, gpus=(gpu,)))
    assert found["GPU NVIDIA L40S"].what == "45.0 GiB"


def test_this_machine_has_something_to_say():
    about = read_about()
    assert about.system
    assert about.chip
    assert about.python.startswith("3.")
