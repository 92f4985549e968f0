from __future__ import annotations

import sys
from pathlib import Path

import pytest

from machine_support import FakeSysctl, make_look, make_tree
from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.memory import MachineMemory, Memory
from swarm_exporter.host.memory_darwin import darwin_memory
from swarm_exporter.host.memory_linux import linux_memory
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
KIB = 1024
MEMINFO = """\
MemTotal:       16000000 kB
MemFree:         2000000 kB
MemAvailable:   12000000 kB
Buffers:          300000 kB
Cached:          9000000 kB
SwapCached:            0 kB
Shmem:            100000 kB
Slab:             700000 kB
SReclaimable:     500000 kB
SwapTotal:       4000000 kB
SwapFree:        3000000 kB
HugePages_Total:       0
"""
VM_STAT = b"""\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               4001.
Pages active:                           281002.
Pages inactive:                         271003.
Pages speculative:                         905.
Pages wired down:                       211006.
Pages purgeable:                           107.
"Translation faults":                 16000008.
File-backed pages:                      241009.
Anonymous pages:                        321010.
Pages occupied by compressor:            71011.
Decompressions:                        1800012.
Compressions:                          2200013.
Swapins:                                 53014.
Swapouts:                                73015.
"""
PAGE = 16384


def linux(root: Path) -> tuple[Memory, tuple[Reason, ...]]:
    attempts = Attempts()
    return linux_memory(attempts, root), attempts.defects()


def darwin(sysctl: FakeSysctl, **more) -> tuple[Memory, tuple[Reason, ...]]:
    attempts = Attempts()
    given = {"run": lambda command, timeout: VM_STAT, "ask": lambda: (16 * 1024**3, 5 * 1024**3)}
    return darwin_memory(attempts, sysctl, **{**given, **more}), attempts.defects()


def failing(error: Exception):
    def read(*_):
        raise error

    return read


def test_linux_memory_is_that_of_meminfo_in_bytes(tmp_path):
    memory, defects = linux(make_tree(tmp_path, {"proc/meminfo": MEMINFO}))
    assert memory == Memory(
        sizes={
            "total": 16_000_000 * KIB,
            "available": 12_000_000 * KIB,
            "free": 2_000_000 * KIB,
            "used": 4_000_000 * KIB,
            "buffers": 300_000 * KIB,
            "cached": 9_000_000 * KIB,
            "shared": 100_000 * KIB,
            "slab": 700_000 * KIB,
        },
        available_ratio=0.75,
    )
    assert defects == ()


def test_a_row_that_a_kernel_lacks_is_absent_and_not_zero(tmp_path):
    rows = "".join(line for line in MEMINFO.splitlines(True) if "Available" not in line)
    memory, defects = linux(make_tree(tmp_path, {"proc/meminfo": rows}))
    assert not {"available", "used"} & memory.sizes.keys()
    assert memory.available_ratio is None
    assert memory.sizes["free"] == 2_000_000 * KIB
    assert defects == ()


def test_more_available_than_there_is_is_left_out(tmp_path):
    rows = MEMINFO.replace("12000000", "99000000")
    memory, defects = linux(make_tree(tmp_path, {"proc/meminfo": rows}))
    assert not {"available", "used"} & memory.sizes.keys()
    assert memory.available_ratio is None
    assert defects == (Reason.INVALID_VALUE,)


@pytest.mark.parametrize("content", ["", "MemTotal: much\n"])
def test_no_size_at_all_is_a_form_that_is_not_known(tmp_path, content):
    root = make_tree(tmp_path, {"proc/meminfo": content})
    with pytest.raises(SourceError) as failed:
        MachineMemory(lambda attempts: linux_memory(attempts, root)).read(make_look())
    assert failed.value.reason is Reason.MALFORMED


def test_the_limit_of_a_container_is_told_with_what_it_takes(tmp_path):
    root = make_tree(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/box/inner\n",
            "sys/fs/cgroup/box/memory.max": "3000000000\n",
            "sys/fs/cgroup/box/memory.current": "2500000000\n",
            "sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 500000000\n",
            "sys/fs/cgroup/box/inner/memory.max": "max\n",
        },
    )
    memory, _ = linux(root)
    assert (memory.limit, memory.limit_used) == (3_000_000_000, 2_000_000_000)


def test_of_two_limits_the_one_counts_that_is_reached_first(tmp_path):
    root = make_tree(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/box/inner\n",
            "sys/fs/cgroup/box/memory.max": "8000000000\n",
            "sys/fs/cgroup/box/memory.current": "7900000000\n",
            "sys/fs/cgroup/box/inner/memory.max": "4000000000\n",
            "sys/fs/cgroup/box/inner/memory.current": "1000000000\n",
        },
    )
    memory, _ = linux(root)
    assert (memory.limit, memory.limit_used) == (8_000_000_000, 7_900_000_000)


def test_a_limit_above_the_machine_s_memory_is_none(tmp_path):
    root = make_tree(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/box\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    memory, _ = linux(root)
    assert (memory.limit, memory.limit_used) == (None, None)


@pytest.mark.skipif(not LINUX, reason="/proc/meminfo")
def test_this_machine_s_figures_are_the_kernel_s():
    rows = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if line
    )
    found = MachineMemory().read(make_look())
    memory = found.facts
    assert isinstance(memory, Memory)
    assert memory.sizes["total"] == int(rows["MemTotal"].split()[0]) * KIB
    for kind, row in {"free": "MemFree", "available": "MemAvailable", "cached": "Cached"}.items():
        # Others take and give back memory meanwhile.
        assert memory.sizes[kind] == pytest.approx(
            int(rows[row].split()[0]) * KIB, abs=memory.sizes["total"] * 0.05
        )
    assert memory.sizes["used"] == memory.sizes["total"] - memory.sizes["available"]
    assert found.defects == ()


def test_a_mac_s_memory_is_that_of_vm_stat_and_what_the_kernel_judges():
    memory, defects = darwin(FakeSysctl(kern__memorystatus_level=58))
    assert memory == Memory(
        sizes={
            "total": 16 * 1024**3,
            "available": 5 * 1024**3,
            "free": 4001 * PAGE,
            "active": 281_002 * PAGE,
            "inactive": 271_003 * PAGE,
            "wired": 211_006 * PAGE,
            "compressed": 71_011 * PAGE,
            "speculative": 905 * PAGE,
            "purgeable": 107 * PAGE,
            "file_backed": 241_009 * PAGE,
            "anonymous": 321_010 * PAGE,
        },
        available_ratio=0.58,
        compressions=2_200_013,
        decompressions=1_800_012,
    )
    assert defects == ()


def test_on_a_mac_each_source_that_fails_costs_its_own_figures():
    timeout = failing(SourceError(Reason.TIMEOUT, "vm_stat had not ended"))
    memory, defects = darwin(FakeSysctl(kern__memorystatus_level=58), run=timeout)
    assert memory.sizes == {"total": 16 * 1024**3, "available": 5 * 1024**3}
    assert (memory.available_ratio, memory.compressions) == (0.58, None)
    assert defects == (Reason.TIMEOUT,)

    memory, defects = darwin(FakeSysctl(), ask=failing(RuntimeError("host_statistics64 failed")))
    assert "total" not in memory.sizes
    assert memory.sizes["wired"] == 211_006 * PAGE
    assert memory.available_ratio is None
    assert defects == (Reason.UNREADABLE, Reason.MISSING)


@pytest.mark.parametrize("level", [-1, 101])
def test_what_is_no_percentage_is_left_out(level):
    memory, defects = darwin(FakeSysctl(kern__memorystatus_level=level))
    assert memory.available_ratio is None
    assert defects == (Reason.MALFORMED,)


def test_where_nothing_can_be_read_it_fails(tmp_path):
    with pytest.raises(SourceError) as failed:
        MachineMemory(lambda attempts: linux_memory(attempts, tmp_path)).read(make_look())
    assert failed.value.reason is Reason.MISSING
