"""What nodes use: by rule, and against a real program that uses a known amount."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from support import eventually, make_config, make_node
from swarm_exporter.host.collector import Look
from swarm_exporter.host.footprint import Footprints, MemoryFootprint
from swarm_exporter.host.process import Processes, ProcessUsage
from swarm_exporter.host.table import Row
from swarm_exporter.host.trees import NodeTrees, Tree
from swarm_exporter.host.usage import Usage
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.reasons import Reason

LINUX = sys.platform.startswith("linux")


class Given:
    """Trees as a test gives them."""

    def __init__(self) -> None:
        self.trees: dict[str, Tree] = {}
        self.usages: dict[int, Usage] = {}
        self.away: tuple[Row, ...] = ()

    def look(self, _):
        return self.trees

    def row(self, pid):
        rows = (*self.away, *(row for tree in self.trees.values() for row in tree.rows))
        return next((row for row in rows if row.pid == pid), None)

    def is_watched(self, _, name):
        return name == "watched"

    def give(self, name: str, *processes: tuple[int, Usage], zombies: tuple[int, ...] = ()):
        rows = tuple(
            Row(pid=pid, parent=1, session=1, group=1, start=1.0, zombie=pid in zombies)
            for pid, _ in processes
        )
        self.trees[name] = Tree(rows, rows[0].pid)
        self.usages.update(dict(processes))

    def read(self, row: Row) -> Usage:
        if row.pid not in self.usages:
            raise ProcessLookupError(row.pid)
        return self.usages[row.pid]


def look(config, at: float = 0.0) -> Look:
    return Look(config=config, now=1_800_000_000.0 + at, monotonic=at, members=dict)


def usage(cpu: float, **more) -> Usage:
    facts = {"reaped_cpu": 0.0, "resident": 100, "threads": 2, "open_fds": 5}
    return Usage(cpu=cpu, **{**facts, **more})


CONFIG = make_config(make_node("1"))


@pytest.fixture
def given():
    return Given()


@pytest.fixture
def collector(given):
    return Processes(given, given.read)


def read(collector, at: float = 0.0, config=CONFIG):
    found = collector.read(look(config, at))
    return found.facts.nodes, found.defects


def test_the_whole_tree_is_summed(given, collector):
    given.give("1", (10, usage(3.0)), (11, usage(4.5, resident=900, threads=8, open_fds=1)))
    nodes, defects = read(collector)
    node = nodes["1"]
    assert (node.count, node.threads, node.open_fds, node.resident) == (2, 10, 6, 1000)
    assert node.cpu_seconds == 7.5
    assert defects == ()


def test_a_process_that_vanishes_in_mid_read_costs_only_itself(given, collector):
    given.give("1", (10, usage(3.0)), (11, usage(1.0)))
    del given.usages[11]
    nodes, defects = read(collector)
    assert (nodes["1"].count, nodes["1"].cpu_seconds, defects) == (1, 3.0, ())


def test_a_child_that_may_not_be_read_makes_a_sum_unknown_and_not_smaller(given, collector):
    given.give("1", (10, usage(3.0)), (11, usage(1.0, open_fds=None, reaped_disk_read=None)))
    nodes, defects = read(collector)
    assert nodes["1"].open_fds is None
    assert nodes["1"].resident == 200
    assert defects == (Reason.PERMISSION,)


def test_a_zombie_is_no_process_that_runs_but_what_it_used_counts(given, collector):
    given.give("1", (10, usage(3.0)), (11, usage(2.0, resident=0)), zombies=(11,))
    node = read(collector)[0]["1"]
    assert (node.count, node.cpu_seconds, node.resident) == (1, 5.0, 100)


def test_a_restarted_node_does_not_go_backwards(given, collector):
    given.give("1", (10, usage(300.0, reaped_disk_written=50)))
    read(collector)
    given.trees.clear()
    stopped = read(collector, 15.0)[0]["1"]
    assert (stopped.count, stopped.cpu_seconds, stopped.disk_written) == (0, 300.0, 50)
    assert (stopped.resident, stopped.started) == (None, None)
    given.give("1", (20, usage(1.0, reaped_disk_written=2)))
    again = read(collector, 30.0)[0]["1"]
    assert (again.cpu_seconds, again.disk_written) == (301.0, 52)


@pytest.mark.parametrize("was_in_the_tree", [True, False])
def test_a_script_that_was_away_counts_its_dead_trainer_once(given, collector, was_in_the_tree):
    script, trainer = (
        Row(pid=pid, parent=pid - 1, session=1, group=1, start=1.0) for pid in (10, 11)
    )
    given.usages = {10: usage(3.0), 11: usage(500.0)}
    rows = (script, trainer) if was_in_the_tree else (trainer,)
    given.trees["1"] = Tree(rows, rows[0].pid)
    given.away = (script,)
    first = read(collector)[0]["1"].cpu_seconds
    assert first == (503.0 if was_in_the_tree else 500.0)
    given.trees.clear()
    for reading in range(1, 60):
        assert read(collector, 15.0 * reading)[0]["1"].cpu_seconds == first
    given.give("1", (10, usage(3.0, reaped_cpu=501.0)), (12, usage(1.0)))
    assert read(collector, 900.0)[0]["1"].cpu_seconds == 505.0


def test_what_the_platform_lacks_is_absent_and_not_zero(given, collector):
    given.give("1", (10, usage(3.0)))
    node = read(collector)[0]["1"]
    assert node.energy_joules is None
    assert node.performance_cpu_seconds is None
    assert node.disk_read is None


def test_a_node_of_which_nothing_can_be_known_is_absent(given, collector):
    config = make_config(make_node("watched"), make_node("unknown"))
    assert {name: n.count for name, n in read(collector, config=config)[0].items()} == {
        "watched": 0
    }


def test_a_node_that_is_configured_no_more_is_forgotten(given, collector):
    given.give("1", (10, usage(3.0)))
    read(collector)
    assert read(collector, config=make_config(make_node("2")))[0] == {}


def test_the_cores_in_use_are_those_since_the_reading_before(given, collector):
    given.give("1", (10, usage(3.0)))
    assert read(collector, 0.0)[0]["1"].cores is None
    given.give("1", (10, usage(18.0)))
    assert read(collector, 10.0)[0]["1"].cores == 1.5
    # A machine that slept has a monotonic clock that stood still, or one that went on: never < 0.
    assert read(collector, 10.0)[0]["1"].cores is None


def test_the_start_is_the_same_though_the_clock_is_set(given, collector, monkeypatch):
    given.give("1", (10, usage(3.0)))
    first = read(collector, 0.0)[0]["1"].started
    assert first is not None
    assert read(collector, 5_000_000.0)[0]["1"].started == first


#: Holds memory, burns CPU in itself and in a child that ends, and says what it has used.
PROGRAM = """
import json, os, resource, subprocess, sys, time
block = bytearray(os.urandom(1 << 20) * 64)
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
burn(0.4)
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"])
helper = subprocess.Popen(["sleep", "600"])
with open(sys.argv[1], "wb", buffering=0) as file:
    file.write(block)
    os.fsync(file.fileno())
files = [open(os.devnull) for _ in range(25)]
own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
used = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
print(json.dumps({"cpu": used, "fds": len(os.listdir("/proc/self/fd")) - 1}), flush=True)
sys.stdin.read()
helper.kill()
"""
BLOCK = 64 << 20


@contextmanager
def node_that_uses(tmp_path):
    """A launched node that runs PROGRAM; gives what the program says it has used."""
    written = tmp_path / "written"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(written)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", MARKER: "measured"},
        start_new_session=True,
        cwd=tmp_path,
    )
    try:
        said = json.loads(process.stdout.readline())
        files = LauncherFiles(tmp_path).node("1")
        files.folder.mkdir(parents=True)
        run = {"runner": 1, "pid": process.pid, "marker": "measured", "started": time.time()}
        files.run.write_text(json.dumps(run))
        yield process, said
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(not LINUX, reason="agrees with Linux' own files")
def test_the_figures_agree_with_what_a_program_really_uses(tmp_path):
    config = make_config(make_node("1"), state_dir=tmp_path)
    with node_that_uses(tmp_path) as (process, said):
        trees = NodeTrees(shared=0.0)
        eventually(lambda: len(trees.look(config)["1"].rows) == 2, "program and helper")
        found = Processes(trees).read(look(config, time.time() - 1_800_000_000.0)).facts
        assert isinstance(found, ProcessUsage)
        node = found.nodes["1"]
        ticks = 0.02
        assert node.cpu_seconds == pytest.approx(said["cpu"], abs=0.05 + 4 * ticks)
        assert node.cpu_seconds >= 0.8 - ticks
        helper = psutil.Process(process.pid).children()[0]
        rss = psutil.Process(process.pid).memory_info().rss + helper.memory_info().rss
        assert node.resident == pytest.approx(rss, rel=0.02)
        assert node.resident >= BLOCK
        assert node.open_fds == said["fds"] + helper.num_fds()
        assert (node.count, node.threads) == (2, 2)
        assert node.started == pytest.approx(psutil.Process(process.pid).create_time(), abs=1.5)
        # A file system in memory has no disk below it.
        assert node.disk_written in (0, pytest.approx(BLOCK, rel=0.2))

        members = trees.members(config)
        memory = MemoryFootprint().read(
            Look(config=config, now=0.0, monotonic=0.0, members=lambda: members)
        )
        assert isinstance(memory.facts, Footprints)
        footprint = memory.facts.nodes["1"].size
        assert BLOCK <= footprint <= node.resident


@pytest.mark.skipif(not LINUX, reason="agrees with Linux' own files")
def test_the_processor_time_of_a_child_is_kept_when_it_ends(tmp_path):
    config = make_config(make_node("1"), state_dir=tmp_path)
    files = LauncherFiles(tmp_path).node("1")
    files.folder.mkdir(parents=True)
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(1, flush=True)\ninput()"
    shell = subprocess.Popen(
        ["bash", "-c", 'python3 -c "$0"; echo ended; read', burn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", MARKER: "child"},
        start_new_session=True,
    )
    try:
        run = {"runner": 1, "pid": shell.pid, "marker": "child", "started": time.time()}
        files.run.write_text(json.dumps(run))
        collector = Processes(NodeTrees(shared=0.0))
        shell.stdout.readline()
        with_child = collector.read(look(config)).facts.nodes["1"]
        shell.stdin.write(b"\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"ended\n"
        without = collector.read(look(config)).facts.nodes["1"]
        assert (with_child.count, without.count) == (2, 1)
        assert without.cpu_seconds >= with_child.cpu_seconds >= 0.48
    finally:
        shell.stdin.close()
        shell.wait()
        shell.stdout.close()
