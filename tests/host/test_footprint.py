from __future__ import annotations

import os
import sys

import psutil
import pytest

from support import make_config, make_node
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.footprint import Footprint, MemoryFootprint, linux_footprint
from swarm_exporter.reasons import Reason

ROLLUP = """\
55d0c0a00000-7ffd1a3fe000 ---p 00000000 00:00 0                          [rollup]
Rss:              123456 kB
Pss:              100000 kB
Pss_Dirty:         90000 kB
Shared_Clean:      20000 kB
Swap:               5000 kB
SwapPss:            4000 kB
"""


def rollup(tmp_path, content: str) -> str:
    (tmp_path / "44").mkdir()
    (tmp_path / "44" / "smaps_rollup").write_text(content)
    return str(tmp_path)


def test_the_share_of_shared_pages_and_of_swap_is_the_footprint(tmp_path):
    assert linux_footprint(44, rollup(tmp_path, ROLLUP)) == Footprint(104_000 * 1024)


def test_a_process_without_memory_of_its_own_is_gone(tmp_path):
    with pytest.raises(ProcessLookupError):
        linux_footprint(44, rollup(tmp_path, ""))
    with pytest.raises(ProcessLookupError):
        linux_footprint(45, str(tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a file of Linux")
def test_the_kernel_says_it_of_this_process():
    own = linux_footprint(os.getpid()).size
    assert 1_000_000 < own <= psutil.Process().memory_info().rss * 1.1


def read(members, figures):
    def one(pid: int) -> Footprint:
        figure = figures[pid]
        if isinstance(figure, Exception):
            raise figure
        return figure

    look = Look(config=make_config(make_node("1")), now=0.0, monotonic=0.0, members=lambda: members)
    found = MemoryFootprint(one).read(look)
    return found.facts.nodes, found.defects


def test_the_members_are_summed_and_the_peak_is_the_roots():
    members = {"1": (Member(10, 1.0, root=True), Member(11, 1.0))}
    nodes, defects = read(members, {10: Footprint(100, 400), 11: Footprint(50, 900)})
    assert nodes == {"1": Footprint(150, 400)}
    assert defects == ()


def test_a_process_that_vanishes_in_mid_read_adds_nothing():
    members = {"1": (Member(10, 1.0, root=True), Member(11, 1.0)), "2": (Member(12, 1.0),)}
    gone = ProcessLookupError(11)
    nodes, _ = read(members, {10: Footprint(100), 11: gone, 12: gone})
    assert nodes == {"1": Footprint(100)}


def test_a_member_that_may_not_be_read_makes_the_node_unknown_and_no_other():
    members = {"1": (Member(10, 1.0, root=True), Member(11, 1.0)), "2": (Member(12, 1.0),)}
    nodes, defects = read(members, {10: Footprint(100), 11: PermissionError(11), 12: Footprint(7)})
    assert nodes == {"2": Footprint(7)}
    assert defects == (Reason.PERMISSION,)


def test_a_strange_refusal_costs_its_node_alone():
    members = {"1": (Member(10, 1.0),), "2": (Member(12, 1.0),)}
    nodes, defects = read(members, {10: OSError(5, "Input/output error"), 12: Footprint(7)})
    assert nodes == {"2": Footprint(7)}
    assert defects == (Reason.UNREADABLE,)
