from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from machine_support import FakeSysctl, make_look, make_tree
from swarm_exporter.host.info_darwin import darwin_info
from swarm_exporter.host.info_linux import linux_info
from swarm_exporter.host.load import Load, LoadAverage, MachineInfo
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
MAC = MachineInfo(
    system="macOS", release="26.1", machine="arm64", model="Mac16,10", chip="Apple M4"
)
CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: 13th Gen   Example(R) Core(TM) i9
flags\t\t: fpu vme
"""


def facts(collector: LoadAverage) -> Load:
    found = collector.read(make_look()).facts
    assert isinstance(found, Load)
    return found


def refused() -> None:
    raise OSError("not to be had")


def test_what_a_mac_is_stands_in_sysctl():
    sysctl = FakeSysctl(
        kern__osproductversion="26.1", hw__model="Mac16,10", machdep__cpu__brand_string="Apple M4"
    )
    info = darwin_info(sysctl)
    assert info == MachineInfo(
        system="macOS",
        release="26.1",
        machine=os.uname().machine,
        model="Mac16,10",
        chip="Apple M4",
    )
    unknown = darwin_info(FakeSysctl())
    assert (unknown.release, unknown.model, unknown.chip) == ("", "", "")


def test_what_a_linux_machine_is_stands_in_its_files(tmp_path):
    root = make_tree(
        tmp_path,
        {"proc/cpuinfo": CPUINFO, "sys/class/dmi/id/product_name": "Example Desktop 5\n"},
    )
    info = linux_info(root)
    assert (info.model, info.chip) == ("Example Desktop 5", "13th Gen Example(R) Core(TM) i9")
    assert (info.system, info.release) == ("Linux", os.uname().release) or not LINUX


@pytest.mark.parametrize("nothing", ["System Product Name\n", "To Be Filled By O.E.M.\n", "\n"])
def test_what_stands_in_the_place_of_a_name_is_none(tmp_path, nothing):
    root = make_tree(
        tmp_path,
        {
            "sys/class/dmi/id/product_name": nothing,
            "proc/device-tree/model": b"Example Board Model B\0",
        },
    )
    assert linux_info(root).model == "Example Board Model B"


def test_a_machine_without_names_has_empty_ones(tmp_path):
    info = linux_info(tmp_path)
    assert (info.model, info.chip) == ("", "")


def test_the_start_of_the_machine_does_not_jitter_but_follows_a_clock_that_is_set():
    told = iter([1000.0, 1001.0, 999.5, 1009.9, 5000.0, 5001.0])
    collector = LoadAverage(lambda: MAC, boot_time=lambda: next(told))
    assert [facts(collector).boot_time for _ in range(6)] == [1000.0] * 4 + [5000.0] * 2


def test_what_the_machine_is_is_asked_until_it_is_known():
    answers = iter([SourceError(Reason.PERMISSION, "no"), MAC])

    def describe() -> MachineInfo:
        answer = next(answers)
        if isinstance(answer, SourceError):
            raise answer
        return answer

    collector = LoadAverage(describe)
    first = collector.read(make_look())
    assert first.defects == (Reason.PERMISSION,)
    assert [facts(collector).info for _ in range(3)] == [MAC] * 3


def test_one_value_that_fails_costs_itself_alone():
    def no_line() -> float:
        raise RuntimeError("line 'btime' not found")

    collector = LoadAverage(lambda: MAC, refused, no_line)
    found = collector.read(make_look())
    assert found.facts == Load(averages=None, boot_time=None, info=MAC)
    assert found.defects == (Reason.UNREADABLE, Reason.MALFORMED)
    assert found.summary == "Mac16,10, Apple M4, macOS 26.1"


def test_where_nothing_can_be_read_it_fails():
    with pytest.raises(SourceError):
        LoadAverage(refused, refused, refused).read(make_look())


@pytest.mark.skipif(not LINUX, reason="/proc")
def test_this_machine_s_figures_are_the_kernel_s():
    before = os.getloadavg()
    read = facts(LoadAverage())
    assert read.averages is not None
    assert before[2] == pytest.approx(read.averages[2], abs=0.5)
    (btime,) = (
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime")
    )
    assert read.boot_time == pytest.approx(btime, abs=1)
    assert read.info is not None
    assert read.info.release == Path("/proc/sys/kernel/osrelease").read_text().strip()
