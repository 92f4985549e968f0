from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from swarm_exporter.host.footprint import Footprint
from swarm_exporter.launcher import measure
from swarm_exporter.launcher.measure import measured_memory

MIB = 2**20
HELD = 64 * MIB
TRAINER = r"-m pretend_trainer\.launcher"
#: Holds memory, starts a child that holds as much, says so, and waits for its input to end.
PROGRAM = f"""
import subprocess, sys
held = bytearray(b"x" * {HELD})
if sys.argv[-1] == "parent":
    child = subprocess.Popen([sys.executable, __file__, "child"], stdin=0, stdout=subprocess.PIPE)
    child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def trainer(folder: Path, role: str):
    """A trainer that holds a known amount of memory, in `folder`."""
    program = folder / "trainer.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), "-m", "pretend_trainer.launcher", role],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        yield process


def test_a_trainer_is_measured_with_the_processes_below_it(tmp_path):
    with trainer(tmp_path, "parent"):
        found = measured_memory([tmp_path / "absent", tmp_path], TRAINER, settled=0)
    assert 2 * HELD <= found < 2 * HELD + 60 * MIB


def test_the_largest_of_several_trainers_counts(tmp_path):
    small, large = tmp_path / "1", tmp_path / "2"
    small.mkdir()
    large.mkdir()
    with trainer(small, "alone"), trainer(large, "parent"):
        found = measured_memory([small, large], TRAINER, settled=0)
        below = measured_memory([small], TRAINER, settled=0)
    assert HELD <= below < 2 * HELD <= found


def test_what_is_no_settled_trainer_of_these_folders(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with trainer(tmp_path, "alone"):
        assert measured_memory([elsewhere], TRAINER, settled=0) is None
        assert measured_memory([tmp_path], "another_trainer", settled=0) is None
        assert measured_memory([tmp_path], "", settled=0) is None, "the profile cannot tell"
        assert measured_memory([tmp_path], TRAINER) is None, "it has only just begun"
        assert measured_memory([], TRAINER, settled=0) is None


def test_a_node_that_may_not_be_read_whole_is_not_measured(tmp_path):
    def read(pid: int) -> Footprint:
        if pid == process.pid:
            return Footprint(HELD)
        raise PermissionError(pid)

    with trainer(tmp_path, "parent") as process:
        assert measured_memory([tmp_path], TRAINER, settled=0, read=read) is None


def test_resident_memory_where_shares_are_hidden(monkeypatch):
    def refuse(pid: int) -> Footprint:
        raise PermissionError(pid)

    monkeypatch.setattr(measure, "_footprint", lambda: refuse)
    own = psutil.Process()
    monkeypatch.setattr(sys, "platform", "linux")
    assert measure.process_memory(own) == pytest.approx(own.memory_info().rss, rel=0.2)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert measure.process_memory(own) is None


def test_a_process_that_has_gone_holds_nothing_known():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        gone = psutil.Process(process.pid)
        process.wait()
    assert measure.process_memory(gone) is None
