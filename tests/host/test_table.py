from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from support import eventually
from swarm_exporter.host import table as module
from swarm_exporter.host.table import (
    Known,
    Row,
    age_of,
    children_of,
    closure,
    lineage,
    read_row,
    read_table,
)

LINUX = sys.platform.startswith("linux")


def row(pid: int, parent: int = 1, session: int | None = None, **more) -> Row:
    return Row(pid=pid, parent=parent, session=session or pid, group=pid, start=1.0, **more)


def table(*rows: Row) -> dict[int, Row]:
    return {r.pid: r for r in rows}


def test_this_process_is_in_the_table_with_what_the_kernel_says_of_it():
    found = read_table()[os.getpid()]
    assert found.parent == os.getppid()
    assert found.session == os.getsid(0)
    assert found.group == os.getpgrp()
    started = psutil.Process().create_time()
    assert time.time() - age_of(found.start) == pytest.approx(started, abs=1.5)


@pytest.mark.skipif(not LINUX, reason="the figures come with the table on Linux alone")
def test_the_figures_agree_with_the_kernel():
    found = read_row(os.getpid())
    times = psutil.Process().cpu_times()
    assert found.cpu == pytest.approx(times.user + times.system, abs=0.1)
    assert found.reaped_cpu == pytest.approx(times.children_user + times.children_system, abs=0.1)
    assert found.resident == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
    assert found.threads == psutil.Process().num_threads()


@pytest.mark.skipif(not LINUX, reason="a tree of files like Linux' /proc")
@pytest.mark.parametrize("name", ["plain", "a (b) c", ")))", "with space 1 2 3"])
def test_a_name_may_hold_any_character(tmp_path, name):
    fields = (
        "S 40 41 42 0 -1 0 0 0 0 0 100 50 20 10 20 0 7 0 12345 1000000 256 18446744073709551615"
    )
    (tmp_path / "44").mkdir()
    (tmp_path / "44" / "stat").write_text(f"44 ({name}) {fields} 0 0\n")
    (tmp_path / "self").mkdir()
    (found,) = read_table(str(tmp_path)).values()
    ticks = os.sysconf("SC_CLK_TCK")
    assert found == Row(
        pid=44,
        parent=40,
        group=41,
        session=42,
        start=12345.0,
        name=name.encode(),
        cpu=150 / ticks,
        reaped_cpu=30 / ticks,
        threads=7,
        resident=256 * os.sysconf("SC_PAGE_SIZE"),
    )


@pytest.mark.parametrize("content", ["", "44", "44 (x)", "44 (x) S 1 2"])
def test_a_line_that_is_cut_off_is_a_process_that_has_vanished(tmp_path, content):
    (tmp_path / "44").mkdir()
    (tmp_path / "44" / "stat").write_text(content)
    (tmp_path / "45").mkdir()
    assert read_table(str(tmp_path)) == {}


def test_a_zombie_is_told(monkeypatch):
    child = subprocess.Popen(["true"])
    try:
        eventually(lambda: read_row(child.pid).zombie, "its end")
    finally:
        child.wait()
    assert read_row(child.pid) is None


def test_a_process_that_has_vanished_is_none():
    child = subprocess.Popen(["true"])
    child.wait()
    assert read_row(child.pid) is None


def test_ancestors_are_the_nearest_first_and_end_with_the_table():
    rows = table(row(1, 0), row(2, 1), row(3, 2), row(9, 8))
    assert lineage(3, rows) == [3, 2, 1]
    assert lineage(9, rows) == [9, 8]
    assert lineage(5, table(row(5, 6), row(6, 5))) == [5, 6]


def test_descendants_and_their_sessions_are_found_and_what_is_outside_is_not():
    rows = table(
        row(1, 0),
        row(10, 1, session=10),
        row(11, 10, session=10),
        row(12, 11, session=12),
        row(13, 1, session=12),  # It has lost its parent, but led no session of its own.
        row(20, 1, session=20),
    )
    children = children_of(rows)
    assert closure(rows, children, [11]) == {10, 11, 12, 13}
    assert closure(rows, children, [11], outside=[10]) == {11, 12, 13}
    assert closure(rows, children, [99]) == set()


def test_a_tree_of_five_hundred_processes_is_found_whole():
    rows = table(row(1, 0), *(row(n, n // 3, session=2) for n in range(2, 502)), row(900, 1))
    assert closure(rows, children_of(rows), [2]) == set(range(2, 502))


def test_what_is_known_of_a_process_is_read_once_it_has_settled(monkeypatch):
    reads: list[int] = []

    def read(pid: int) -> str:
        reads.append(pid)
        return "mine" if pid == 1 else ""

    monkeypatch.setattr(module, "age_of", lambda start: 1000.0 - start)
    known = Known(read)
    old, young, marked = row(3), row(4), row(1)
    young = Row(pid=4, parent=1, session=4, group=4, start=999.0)
    for _ in range(3):
        assert known.look(table(old, young, marked)) == {1: "mine", 3: "", 4: ""}
    # A young process may still become the command that it was started for.
    assert reads.count(1) == reads.count(3) == 1
    assert reads.count(4) == 3
    other = Row(pid=3, parent=1, session=3, group=3, start=500.0)
    known.look(table(other))
    assert reads.count(3) == 2  # the same pid, another process


def test_a_process_that_replaces_its_program_late_is_read_anew(monkeypatch):
    said = {5: ""}
    monkeypatch.setattr(module, "age_of", lambda start: 1000.0 - start)
    script, program = row(5, name=b"bash"), row(5, name=b"python")
    signs, markers = (Known(said.__getitem__, inherited=kind) for kind in (False, True))
    for known in (signs, markers):
        said[5] = ""
        assert known.look(table(script)) == {5: ""}
        said[5] = "of the program"
        assert known.look(table(script)) == {5: ""}
        assert known.look(table(program)) == {5: "of the program"}
        said[5] = ""
    assert signs.look(table(script)) == {5: ""}
    assert markers.look(table(script)) == {5: "of the program"}


def test_what_a_young_process_does_not_inherit_is_not_final(monkeypatch):
    said = {5: "/"}
    monkeypatch.setattr(module, "age_of", lambda start: 2.0)
    known = Known(said.__getitem__, inherited=False)
    assert known.look(table(row(5))) == {5: "/"}
    said[5] = "/node"
    assert known.look(table(row(5))) == {5: "/node"}


def test_of_a_zombie_nothing_is_read():
    assert Known(lambda pid: pytest.fail("read")).look(table(row(3, zombie=True))) == {}


def test_a_process_that_ends_in_mid_read_costs_nothing():
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(20)]
    try:
        for child in children[::2]:
            child.send_signal(signal.SIGKILL)
        found = read_table()
        assert all(child.pid in found for child in children[1::2])
    finally:
        for child in children:
            child.kill()
            child.wait()
