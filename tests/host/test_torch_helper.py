from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import eventually, make_config, make_node
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.torch_helper import NodeTorch, TorchHelper, parse_file
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.nodes import TORCH_HELPER
from swarm_exporter.reasons import Reason

NOW = 1_800_000_000.0
GIB = 2**30


class Machine:
    """Processes by their start, and what the helper has written in them."""

    def __init__(self, state_dir: Path) -> None:
        self.config = make_config(make_node("1"), make_node("2"), state_dir=state_dir)
        self.folder = LauncherFiles(state_dir).torch
        self.folder.mkdir(parents=True)
        self.starts: dict[int, float] = {}
        self.nodes: dict[str, tuple[int, ...]] = {}

    def start_of(self, pid: int) -> float:
        if pid not in self.starts:
            raise ProcessLookupError(pid)
        return self.starts[pid]

    def runs(self, node: str, *pids: int) -> None:
        self.nodes[node] = pids
        self.starts |= dict.fromkeys(pids, 5.5)

    def tells(self, owner: int, **more) -> Path:
        told = {"pid": owner, "start": 5.5, "time": NOW - 4, "current_allocated": GIB}
        return self.says(f"{owner}.json", json.dumps({**told, **more}))

    def says(self, name: str, content: str | bytes) -> Path:
        file = self.folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def members(self):
        return {
            name: tuple(Member(pid, self.starts[pid]) for pid in pids)
            for name, pids in self.nodes.items()
        }

    def read(self):
        look = Look(config=self.config, now=NOW, monotonic=0.0, members=self.members)
        return TorchHelper(self.start_of).read(look)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_figures_of_a_node_are_summed_and_the_devices_is_not(machine):
    machine.runs("1", 10, 11, 12)
    machine.runs("2", 20)
    machine.tells(10, driver_allocated=3 * GIB, recommended_max=12 * GIB)
    machine.tells(11, driver_allocated=2 * GIB, recommended_max=12 * GIB)
    machine.tells(20, current_allocated=0)
    found = machine.read()
    assert found.facts.nodes == {
        "1": NodeTorch(allocated=2 * GIB, driver_allocated=5 * GIB, recommended_max=12 * GIB),
        "2": NodeTorch(allocated=0),
    }
    assert found.defects == ()


def test_a_sum_with_an_unknown_part_is_unknown(machine):
    machine.runs("1", 10, 11)
    machine.tells(10, driver_allocated=GIB)
    machine.tells(11)
    assert machine.read().facts.nodes["1"] == NodeTorch(allocated=2 * GIB)


@pytest.mark.parametrize(("time", "counts"), [(30.0, True), (31.0, False), (-31.0, False)])
def test_what_was_written_long_ago_is_no_longer_so(machine, time, counts):
    machine.runs("1", 10)
    file = machine.tells(10, time=NOW - time)
    assert ("1" in machine.read().facts.nodes) is counts
    assert file.exists()


def test_a_file_of_a_process_that_is_gone_is_removed(machine):
    machine.runs("1", 10)
    gone = [machine.tells(66), machine.says(".67.new", "{"), machine.says("68.json", "nonsense")]
    kept = [machine.tells(10), machine.says(".10.new", "{"), machine.says("notes.txt", "mine")]
    found = machine.read()
    assert list(found.facts.nodes) == ["1"]
    assert found.defects == ()
    assert not any(file.exists() for file in gone)
    assert all(file.exists() for file in kept)


@pytest.mark.parametrize("wrong", [{"start": 5.25}, {"pid": 11}])
def test_a_file_of_an_earlier_process_with_the_same_pid_is_removed(machine, wrong):
    machine.runs("1", 10)
    file = machine.tells(10, **wrong)
    assert machine.read().facts.nodes == {}
    assert not file.exists()


def test_a_process_of_no_node_is_left_alone(machine):
    machine.starts[30] = 5.5
    file = machine.tells(30)
    found = machine.read()
    assert (found.facts.nodes, found.defects) == ({}, ())
    assert file.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", Reason.MALFORMED),
        ("{", Reason.MALFORMED),
        ("[1, 2]", Reason.MALFORMED),
        ("[" * 4000, Reason.MALFORMED),
        (b"\xff\xfe", Reason.MALFORMED),
        ('{"pid": 10, "start": 5.5}', Reason.MALFORMED),
        ('{"pid": 10, "start": 5.5, "time": 1.8e9, "current_allocated": "1"}', Reason.MALFORMED),
        ('{"pid": 10, "start": 5.5, "time": 1.8e9, "current_allocated": -1}', Reason.MALFORMED),
        ('{"pid": 10, "start": 5.5, "time": 1.8e9, "current_allocated": 1e300}', Reason.MALFORMED),
        ('{"pid": 10, "start": NaN, "time": 1.8e9}', Reason.MALFORMED),
        ('{"pid": 10, "start": 5.5, "time": 1.8e9}' + " " * 5000, Reason.UNREADABLE),
    ],
)
def test_a_file_that_is_not_the_helpers_costs_itself_alone(machine, content, reason):
    machine.runs("1", 10, 11)
    machine.says("10.json", content)
    machine.tells(11)
    found = machine.read()
    assert found.defects == (reason,)
    assert found.facts.nodes == {"1": NodeTorch(allocated=GIB)}


def test_a_fifo_does_not_block(machine):
    machine.runs("1", 10)
    os.mkfifo(machine.folder / "10.json")
    assert machine.read().defects == (Reason.UNREADABLE,)


def test_without_the_helper_there_is_nothing_and_no_fault(machine):
    machine.folder.rmdir()
    found = machine.read()
    assert (found.facts.nodes, found.defects) == ({}, ())


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_content_whatever_breaks_the_reader(content):
    told = parse_file(content)
    assert told is None or told.pid is not None


def test_it_reads_only_where_somebody_asks_for_it_and_pytorch_can_use_metal(monkeypatch):
    assert not TorchHelper.on_by_default
    for platform, present in (("darwin", True), ("linux", False)):
        monkeypatch.setattr(sys, "platform", platform)
        assert TorchHelper().is_present() is present


def test_what_a_real_program_tells_is_found(machine, tmp_path):
    stub = Path(__file__).parents[1] / "data" / "torch_stub"
    # As the launcher starts it, but quicker.
    helper = tmp_path / "helper"
    helper.mkdir()
    source = (TORCH_HELPER / "sitecustomize.py").read_text()
    (helper / "sitecustomize.py").write_text(source.replace("PERIOD = 10.0", "PERIOD = 0.02"))
    trainer = subprocess.Popen(
        [sys.executable, "-B", "-c", "import time, torch; time.sleep(600)"],
        env={"PYTHONPATH": f"{helper}:{stub}", "SWARM_EXPORTER_TORCH_DIR": str(machine.folder)},
    )
    file = machine.folder / f"{trainer.pid}.json"
    try:
        eventually(file.exists, "file")
        machine.runs("1", trainer.pid)
        look = Look(
            config=machine.config,
            now=json.loads(file.read_text())["time"],
            monotonic=0.0,
            members=machine.members,
        )
        told = TorchHelper().read(look).facts.nodes["1"]
        assert told.allocated == 1_610_612_736
    finally:
        trainer.kill()
        trainer.wait()
    assert TorchHelper().read(look).facts.nodes == {}
    assert not file.exists()
