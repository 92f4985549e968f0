from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from machine_support import make_look, make_tree
from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.swap import MachineSwap, Swap
from swarm_exporter.host.swap_darwin import darwin_swap
from swarm_exporter.host.swap_linux import linux_swap
from swarm_exporter.host.vmstat_linux import parse_vmstat
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
MEMINFO = "MemTotal: 16000 kB\nSwapTotal: 4000 kB\nSwapFree: 2500 kB\n"
VMSTAT = "nr_free_pages 5\npgpgin 70\npgpgout 80\npswpin 11\npswpout 13\noom_kill 2\n"
VM_STAT = b"""\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pageins:                                430001.
Pageouts:                                43002.
Swapins:                                  5303.
Swapouts:                                 7304.
"""


def linux(root: Path) -> tuple[Swap, tuple[Reason, ...]]:
    attempts = Attempts()
    return linux_swap(attempts, root), attempts.defects()


def test_linux_swap_is_told_in_bytes(tmp_path):
    root = make_tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/vmstat": VMSTAT})
    page = os.sysconf("SC_PAGE_SIZE")
    swap = Swap(used=1500 * 1024, total=4000 * 1024, swapped_in=11 * page, swapped_out=13 * page)
    assert linux(root) == (swap, ())


def test_a_kernel_without_swap_has_no_counters(tmp_path):
    root = make_tree(
        tmp_path,
        {"proc/meminfo": "SwapTotal: 0 kB\nSwapFree: 0 kB\n", "proc/vmstat": "pgpgin 1\n"},
    )
    assert linux(root) == (Swap(used=0, total=0), ())
    found = MachineSwap(lambda attempts: linux_swap(attempts, root)).read(make_look())
    assert found.summary == "no swap"


def test_one_file_that_fails_costs_its_own_figures(tmp_path):
    swap, defects = linux(make_tree(tmp_path, {"proc/vmstat": VMSTAT}))
    assert (swap.used, swap.total) == (None, None)
    assert swap.swapped_in == 11 * os.sysconf("SC_PAGE_SIZE")
    assert defects == (Reason.MISSING,)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"pswpin 3\n", {"pswpin": 3}),
        (b"xpswpin 3\npswpin_x 4\n", {}),
        (b"a 1\npswpin 5", {"pswpin": 5}),
        (b"pswpin x\n", {}),
        (b"", {}),
    ],
)
def test_a_counter_is_found_by_its_whole_name(content, found):
    assert parse_vmstat(content, "pswpin") == found


@pytest.mark.skipif(not LINUX, reason="/proc")
def test_this_machine_s_figures_are_the_kernel_s():
    rows = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    page = os.sysconf("SC_PAGE_SIZE")
    swap = MachineSwap().read(make_look()).facts
    after = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    assert isinstance(swap, Swap)
    assert swap.total == psutil.swap_memory().total
    if "pswpin" in rows:
        assert int(rows["pswpin"]) * page <= swap.swapped_in <= int(after["pswpin"]) * page
        assert int(rows["pswpout"]) * page <= swap.swapped_out <= int(after["pswpout"]) * page


def test_a_mac_s_page_ins_of_files_are_no_swap(monkeypatch):
    monkeypatch.setattr(
        psutil,
        "swap_memory",
        lambda: SimpleNamespace(used=300, total=1024, sin=430_001 * 16384, sout=43_002 * 16384),
    )
    attempts = Attempts()
    swap = darwin_swap(attempts, lambda command, timeout: VM_STAT)
    assert swap == Swap(used=300, total=1024, swapped_in=5303 * 16384, swapped_out=7304 * 16384)
    assert attempts.defects() == ()


def test_on_a_mac_each_source_that_fails_costs_its_own_figures():
    def fails(*_):
        raise SourceError(Reason.TOOL_FAILED, "vm_stat ended with 1")

    attempts = Attempts()
    assert darwin_swap(attempts, fails, lambda: (1, 2)) == Swap(used=1, total=2)
    assert attempts.defects() == (Reason.TOOL_FAILED,)
    with pytest.raises(SourceError) as failed:
        MachineSwap(lambda attempts: darwin_swap(attempts, fails, fails)).read(make_look())
    assert failed.value.reason is Reason.TOOL_FAILED
