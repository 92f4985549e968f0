from __future__ import annotations

import errno
import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def read(processes, members, run=None, environment=lambda _: {}, runs=lambda _: True, **libc):
    darwin = Darwin(FakeLibc({os.getpid(): OWN, **processes}, names=NAMES, **libc))
    collector = MpsCollector(darwin, run or never, environment, "darwin", runs)
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


def table(pid: int, resident: int, swapped: int = 0) -> str:
    return (
        f"python3.12 [{pid}]: 64-bit    Footprint: 1 B (16384 bytes per page)\n"
        "  Dirty  (Swapped)      Clean  Reclaimable    Regions    Category\n"
        f" {resident + swapped} B  {swapped} B   0 B   0 B    4    IOAccelerator (graphics)\n"
        f" 9999 B  0 B   0 B   0 B    4    IOAccelerator\n"
    )


class Tool:
    """Stands for `footprint`: prints tables of those that it is asked for and that it knows."""

    def __init__(self, tables: dict[int, str], always: str = "") -> None:
        self.tables = tables
        self.always = always
        self.asked: list[list[int]] = []

    def __call__(self, command, timeout):
        pids = [int(word) for word in command[5::2]]
        assert command[4::2] == ["-p"] * len(pids)
        self.asked.append(pids)
        known = [self.tables[pid] for pid in pids if pid in self.tables]
        if not known:
            raise SourceError(Reason.TOOL_FAILED, "footprint ended with 66")
        return (self.always + "".join(known)).encode()


def test_the_tool_is_run_once_for_all_nodes_and_a_strangers_table_is_nobodys():
    tool = Tool({10: table(10, 3000, 100), 20: table(20, 7)}, always=table(99, 50_000))
    nodes, defects = read({}, {"1": members(10), "2": members(20)}, run=tool, ledger=False)
    assert nodes == {
        "1": NodeMps(resident=3000, compressed=100),
        "2": NodeMps(resident=7, compressed=0),
    }
    assert defects == ()
    assert tool.asked == [[10, 20]]


def test_a_running_process_of_which_the_tool_does_not_tell_makes_its_node_unknown():
    tool = Tool({10: table(10, 3000), 20: table(20, 7)})
    nodes, defects = read({}, {"1": members(10, 11), "2": members(20)}, run=tool, ledger=False)
    assert nodes == {"1": NodeMps(), "2": NodeMps(resident=7, compressed=0)}
    assert defects == (Reason.PERMISSION,)


def test_a_process_that_has_ended_is_not_asked_for_and_adds_nothing():
    tool = Tool({10: table(10, 3000)})
    nodes, defects = read(
        {},
        {"1": members(10, 11), "2": members(12)},
        run=tool,
        runs=lambda pid: pid == 10,
        ledger=False,
    )
    assert nodes == {"1": NodeMps(resident=3000, compressed=0), "2": NodeMps()}
    assert (defects, tool.asked) == ((), [[10]])


def test_where_no_process_runs_the_tool_does_not_either():
    nodes, defects = read({}, {"1": members(10)}, runs=lambda _: False, ledger=False)
    assert (nodes, defects) == ({"1": NodeMps()}, ())


@pytest.mark.parametrize("fails", [True, False])
def test_a_process_that_ends_while_the_tool_runs_is_no_defect(fails):
    running = {10, 11}
    asked = []

    def run(command, timeout):
        asked.append(command[5::2])
        if 11 in running:
            running.remove(11)
            if fails:
                raise SourceError(Reason.TOOL_FAILED, "footprint ended with 66")
        return table(10, 3000).encode()

    nodes, defects = read(
        {}, {"1": members(10, 11)}, run=run, runs=running.__contains__, ledger=False
    )
    assert (nodes, defects) == ({"1": NodeMps(resident=3000, compressed=0)}, ())
    assert asked == ([["10", "11"], ["10"]] if fails else [["10", "11"]])


@pytest.mark.parametrize("fails", [True, False])
def test_where_every_process_ends_while_the_tool_runs_nothing_went_wrong(fails):
    running = {10}

    def run(command, timeout):
        running.clear()
        if fails:
            raise SourceError(Reason.TOOL_FAILED, "footprint ended with 66")
        return b""

    nodes, defects = read({}, {"1": members(10)}, run=run, runs=running.__contains__, ledger=False)
    assert (nodes, defects) == ({"1": NodeMps()}, ())


BYTES = st.integers(0, 2**40)
HELD = st.dictionaries(st.integers(100, 160), st.tuples(BYTES, BYTES), min_size=1)


@settings(deadline=None)
@given(held=HELD, split=st.integers(100, 160), strangers=HELD)
def test_both_ways_tell_the_same_and_no_byte_counts_twice(held, split, strangers):
    given_members = {
        "1": members(*(pid for pid in held if pid < split)),
        "2": members(*(pid for pid in held if pid >= split)),
    }
    tables = {pid: table(pid, *sizes) for pid, sizes in held.items()}
    noise = "".join(table(1000 + pid, *sizes) for pid, sizes in strangers.items())
    by_tool = read({}, given_members, run=Tool(tables, noise), ledger=False)
    ledgers = {pid: holding(*sizes) for pid, sizes in {**strangers, **held}.items()}
    by_ledger = read(ledgers, given_members)
    assert by_tool == by_ledger
    for at, figure in enumerate(("resident", "compressed")):
        said = [getattr(node, figure) for node in by_tool[0].values()]
        assert sum(size or 0 for size in said) == sum(sizes[at] for sizes in held.values())


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


def test_an_environment_that_cannot_be_read_now_is_read_again():
    answers = iter([None, {"PYTORCH_MPS_HIGH_WATERMARK_RATIO": "0.43"}])
    darwin = Darwin(FakeLibc({os.getpid(): OWN, 10: holding(1)}, names=NAMES))
    collector = MpsCollector(darwin, never, lambda _: next(answers), platform="darwin")
    said = [again(collector, {"1": members(10)})[0]["1"].high_watermark for _ in range(3)]
    assert said == [None, 0.43, 0.43]


def test_real_processes_tell_whether_they_run_and_what_they_were_started_with():
    darwin = Darwin(FakeLibc({os.getpid(): OWN}, names=NAMES, ledger=False))
    asked = []

    def run(command, timeout):
        asked.append([int(word) for word in command[5::2]])
        return "".join(table(pid, 5) for pid in asked[-1]).encode()

    collector = MpsCollector(darwin, run, platform="darwin")
    environment = {"PYTORCH_MPS_HIGH_WATERMARK_RATIO": "0.28", "PATH": os.environ["PATH"]}
    # It says when it has replaced the copy of this process that it was.
    child = subprocess.Popen(
        ["/bin/sh", "-c", "echo; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with child:
        child.stdout.readline()
        nodes, _ = again(collector, {"1": members(child.pid)})
        assert nodes["1"] == NodeMps(resident=5, compressed=0, high_watermark=0.28)
        child.stdin.close()
        # Ended, and not waited for.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        nodes, defects = again(collector, {"1": members(child.pid)})
        assert (nodes["1"].resident, defects) == (None, ())
    nodes, defects = again(collector, {"1": members(child.pid)})
    assert (nodes["1"].resident, defects) == (None, ())
    assert asked == [[child.pid]]


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
