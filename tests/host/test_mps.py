from __future__ import annotations

import errno
import os

import pytest

from darwin_libc import FakeLibc, Process
from support import make_config, make_node
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.footprint_tool import GraphicsMemory, parse_footprint
from swarm_exporter.host.mps import MpsCollector, NodeMps
from swarm_exporter.host.thermal import ThermalCollector, ThermalPressure
from swarm_exporter.host.tool import run_tool
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

MIB = 2**20
NAMES = ["graphics_footprint_compressed", "phys_footprint", "graphics_footprint"]
OWN = Process({"phys_footprint": 100}, phys_footprint=100)


def holding(resident: int, compressed: int = 0) -> Process:
    return Process({NAMES[2]: resident, NAMES[0]: compressed, NAMES[1]: resident})


def read(processes, members, run=None, environment=lambda _: {}, **libc):
    darwin = Darwin(FakeLibc({os.getpid(): OWN, **processes}, names=NAMES, **libc))
    collector = MpsCollector(darwin, run or never, environment, platform="darwin")
    assert collector.is_present()
    return again(collector, members)


def again(collector, members):
    look = Look(config=make_config(make_node("1")), now=0.0, monotonic=0.0, members=lambda: members)
    found = collector.read(look)
    return found.facts.nodes, found.defects


def never(command, timeout):
    pytest.fail("the tool is not needed")


def members(*pids: int) -> tuple[Member, ...]:
    return tuple(Member(pid, 1.0, root=pid == pids[0]) for pid in pids)


def test_each_node_is_the_sum_of_its_processes():
    processes = {10: holding(3000, 100), 11: holding(500), 20: holding(7)}
    nodes, defects = read(processes, {"1": members(10, 11), "2": members(20)})
    assert nodes == {
        "1": NodeMps(resident=3500, compressed=100),
        "2": NodeMps(resident=7, compressed=0),
    }
    assert defects == ()


def test_a_process_that_vanishes_in_mid_read_adds_nothing():
    nodes, defects = read({10: holding(3000)}, {"1": members(10, 11), "2": members(12)})
    assert nodes["1"].resident == 3000
    assert nodes["2"].resident is None
    assert defects == ()


def test_a_process_that_may_not_be_read_makes_its_node_unknown_and_no_other():
    processes = {10: holding(3000), 11: Process(fails=errno.EPERM), 20: holding(7)}
    nodes, defects = read(processes, {"1": members(10, 11), "2": members(20)})
    assert (nodes["1"].resident, nodes["1"].compressed) == (None, None)
    assert nodes["2"].resident == 7
    assert defects == (Reason.PERMISSION,)


def test_a_balance_below_zero_counts_as_nothing():
    nodes, _ = read({10: holding(-4096, -1), 11: holding(5)}, {"1": members(10, 11)})
    assert nodes["1"] == NodeMps(resident=5, compressed=0)


def test_a_ledger_that_the_kernel_has_no_more_is_absent_and_not_zero():
    names = ["phys_footprint", "graphics_footprint"]
    darwin = Darwin(FakeLibc({os.getpid(): OWN, 10: holding(7)}, names=names))
    collector = MpsCollector(darwin, never, lambda _: {}, platform="darwin")
    nodes, _ = again(collector, {"1": members(10)})
    assert nodes == {"1": NodeMps(resident=7, compressed=None)}


def test_a_refusal_that_nobody_expected_costs_its_node_alone():
    processes = {10: Process(fails=errno.ENOMEM), 20: holding(7)}
    nodes, defects = read(processes, {"1": members(10), "2": members(20)})
    assert (nodes["1"].resident, nodes["2"].resident) == (None, 7)
    assert defects == (Reason.UNREADABLE,)


TABLES = """\
======================================================================
python3.12 [10]: 64-bit    Footprint: 5404360704 B (16384 bytes per page)
======================================================================

      Dirty     (Swapped)         Clean  Reclaimable    Regions    Category
        ---           ---           ---          ---        ---    ---
5000000000 B  4000000000 B           0 B          0 B       1144    IOAccelerator (graphics)
 382000000 B           0 B           0 B          0 B         21    IOAccelerator
     16384 B           0 B           0 B          0 B          1    Owned physical footprint (unmapped) (graphics)
  91000000 B    89000000 B           0 B          0 B         72    MALLOC_SMALL
        ---           ---           ---          ---        ---    ---
5473016384 B  4089000000 B        4096 B          0 B       4275    TOTAL

Auxiliary data:
    phys_footprint: 5404360704 B
    phys_footprint_peak: 9000000000 B

======================================================================
python3 [oddly [12]]: 64-bit [11]: 64-bit    Footprint: 2000000 B (16384 bytes per page)
======================================================================

   Dirty  (Swapped)      Clean  Reclaimable    (Wired)    Regions    Category
  1.5 MB     512 KB        0 B          0 B        0 B          4    IOAccelerator (graphics)
  300 KB        0 B        0 B          0 B        0 B          9    Malloc Small

Summary Footprint: 7404360704 B
   Dirty  (Swapped)      Clean  Reclaimable    Regions    Category
 9000 MB     100 MB        0 B          0 B          4    IOAccelerator (graphics)
"""


def test_the_tools_tables_are_read_by_their_columns():
    assert parse_footprint(TABLES.encode()) == {
        10: GraphicsMemory(1_000_016_384, 4_000_000_000),
        11: GraphicsMemory(MIB, MIB // 2),
    }


def test_a_table_without_the_column_that_tells_them_apart_is_not_guessed_at():
    table = TABLES.replace("(Swapped)", "         ")
    assert parse_footprint(table.encode()) == {}
    assert parse_footprint(b"") == {}
    assert parse_footprint(b"\xff\xfe nonsense [10]: 64-bit\n") == {}


@pytest.mark.parametrize("libc", [{"ledger": False}, {"template_fails": errno.EPERM}])
def test_where_there_are_no_ledgers_the_tool_tells(libc):
    commands = []

    def run(command, timeout):
        commands.append(list(command))
        return TABLES.encode()

    nodes, defects = read({}, {"1": members(10, 11)}, run=run, **libc)
    assert nodes["1"] == NodeMps(resident=1_000_016_384 + MIB, compressed=4_000_000_000 + MIB // 2)
    assert commands == [["/usr/bin/footprint", "-f", "bytes", "--swapped", "-p", "10", "-p", "11"]]
    assert defects == ()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Unable to find pid' >&2; exit 66", Reason.TOOL_FAILED),
        ("exec sleep 600", Reason.TIMEOUT),
        ("echo nothing that is known", Reason.MALFORMED),
    ],
)
def test_a_tool_that_fails_makes_the_node_unknown(tmp_path, script, reason):
    tool = tmp_path / "footprint"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)

    def run(command, timeout):
        return run_tool([str(tool), *command[1:]], 0.3 if reason is Reason.TIMEOUT else 5.0)

    nodes, defects = read({}, {"1": members(10)}, run=run, ledger=False)
    assert nodes["1"].resident is None
    assert defects == (reason,)


@pytest.mark.parametrize(
    ("high", "low", "said"),
    [
        ("0.28", "0.22", (0.28, 0.22)),
        ("0.0", None, (0.0, None)),
        ("high", "-1", (None, None)),
        ("nan", "inf", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_the_watermarks_are_those_the_node_was_started_with(high, low, said):
    given = {
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO": high,
        "PYTORCH_MPS_LOW_WATERMARK_RATIO": low,
        "SECRET": "never kept",
    }
    asked = []

    def environment(pid):
        asked.append(pid)
        return {k: v for k, v in given.items() if v is not None} if pid == 11 else {}

    darwin = Darwin(FakeLibc({os.getpid(): OWN, 10: holding(1), 11: holding(2)}, names=NAMES))
    collector = MpsCollector(darwin, never, environment, platform="darwin")
    for _ in range(2):
        node = again(collector, {"1": members(10, 11)})[0]["1"]
        assert (node.high_watermark, node.low_watermark) == said
    assert sorted(asked) == [10, 11]
    assert "never kept" not in repr(vars(collector))


def test_elsewhere_than_on_a_mac_there_are_no_such_collectors():
    assert not MpsCollector(platform="linux").is_present()
    assert not ThermalCollector(platform="linux").is_present()


# --- thermal pressure --------------------------------------------------------------------------

LOOK = Look(config=make_config(make_node("1")), now=0.0, monotonic=0.0, members=dict)
KEY = b"com.apple.system.thermalpressurelevel"


def test_the_level_is_the_systems():
    collector = ThermalCollector(Darwin(FakeLibc(thermal=2)), never, platform="darwin")
    assert collector.is_present()
    assert collector.read(LOOK).facts == ThermalPressure(level=2)


def test_the_tool_tells_where_the_library_does_not():
    collector = ThermalCollector(Darwin(FakeLibc(thermal=None)), lambda *_: KEY + b" 3\n")
    assert collector.read(LOOK).facts == ThermalPressure(level=3)


@pytest.mark.parametrize(
    "answer", [KEY + b": Failed with code 9\n", KEY + b" 7\n", KEY + b" 12\n", b"", b"0\n"]
)
def test_no_level_is_no_zero(answer):
    collector = ThermalCollector(Darwin(FakeLibc(thermal=None)), lambda *_: answer)
    with pytest.raises(SourceError) as caught:
        collector.read(LOOK)
    assert caught.value.reason is Reason.MALFORMED
