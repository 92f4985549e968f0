from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_support import make_look, make_tree
from swarm_exporter.host import cpu_darwin
from swarm_exporter.host.cpu import MODES, Cluster, Cpu, CpuTimes
from swarm_exporter.host.cpu_linux import linux_clusters, linux_times, parse_cpu_list, parse_stat
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
STAT = """\
cpu  1200 40 600 80000 90 0 30 70 500 20
cpu0 700 20 300 40000 50 0 10 40 500 20
cpu2 500 20 300 40000 40 0 20 30 0 0
intr 123456 0 0 0
ctxt 987654
btime 1790000000
"""


class Given:
    """Processors and their kinds as a test gives them."""

    def __init__(self, clusters: dict[int, str] | None = None) -> None:
        self.times: dict[int, dict[str, float]] = {}
        self.clusters = clusters or {}
        self.asked = 0
        self.collector = Cpu(lambda: self.times, self._ask)

    def _ask(self):
        self.asked += 1
        return self.clusters

    def read(self, at: float = 0.0) -> dict[str, Cluster]:
        facts = self.collector.read(make_look(at=at)).facts
        assert isinstance(facts, CpuTimes)
        return dict(facts.clusters)


def test_processors_of_linux_have_their_own_numbers_and_modes():
    assert parse_stat(STAT.encode(), 100) == {
        0: dict(zip(MODES, (7.0, 0.2, 3.0, 400.0, 0.5, 0.0, 0.1, 0.4), strict=True)),
        2: dict(zip(MODES, (5.0, 0.2, 3.0, 400.0, 0.4, 0.0, 0.2, 0.3), strict=True)),
    }


def test_modes_that_an_old_kernel_lacks_are_left_out():
    assert parse_stat(b"cpu0 1 2 3 4\n", 1) == {0: {"user": 1, "nice": 2, "system": 3, "idle": 4}}


@pytest.mark.parametrize("content", [b"cpu0 1 x 3 4\n", b"cpux 1 2 3 4\n"])
def test_figures_that_are_none_fail(content):
    with pytest.raises(SourceError) as failed:
        parse_stat(content, 100)
    assert failed.value.reason is Reason.MALFORMED


def test_a_system_that_names_no_processor_fails(tmp_path):
    root = make_tree(tmp_path, {"proc/stat": "intr 1\n"})
    with pytest.raises(SourceError) as failed:
        Cpu(lambda: linux_times(root), dict).read(make_look())
    assert failed.value.reason is Reason.MALFORMED
    with pytest.raises(SourceError) as failed:
        linux_times(tmp_path / "elsewhere")
    assert failed.value.reason is Reason.MISSING


@pytest.mark.skipif(not LINUX, reason="/proc/stat")
def test_this_machine_s_figures_lie_between_two_readings_of_the_kernel_s():
    def kernel() -> dict[str, float]:
        figures = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        return {
            mode: int(figure) / os.sysconf("SC_CLK_TCK")
            for mode, figure in zip(MODES, figures, strict=False)
        }

    before = kernel()
    collector = Cpu(clusters=dict)
    facts = collector.read(make_look()).facts
    after = kernel()
    assert isinstance(facts, CpuTimes)
    (cluster,) = facts.clusters.values()
    assert cluster.cpus == psutil.cpu_count()
    # The kernel sums before it rounds to ticks; idle time of a core may step back.
    slack = 0.01 * cluster.cpus + 0.1
    for mode in MODES:
        assert before[mode] - slack <= cluster.seconds[mode] <= after[mode] + slack


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3,8", (0, 1, 2, 3, 8)),
        ("5\n", (5,)),
        ("\n", ()),
        ("3-1", ()),
        ("a-b", ()),
        ("0-99999999", ()),
    ],
)
def test_a_list_of_processors_is_read_or_none_is(text, cpus):
    assert parse_cpu_list(text.encode()) == cpus


def test_a_hybrid_chip_has_clusters_and_others_have_none(tmp_path):
    hybrid = make_tree(
        tmp_path / "hybrid",
        {
            "sys/devices/cpu_core/cpus": "0-3\n",
            "sys/devices/cpu_atom/cpus": "4-7\n",
            "sys/devices/cpu_lowpower/cpus": "8\n",
        },
    )
    assert linux_clusters(hybrid) == {
        **dict.fromkeys(range(4), "performance"),
        **dict.fromkeys(range(4, 9), "efficiency"),
    }
    assert linux_clusters(tmp_path / "plain") == {}


def test_processors_are_summed_by_cluster():
    given = Given({0: "efficiency", 1: "performance", 2: "performance"})
    given.times = {cpu: {"user": 10.0 + cpu, "idle": 100.0} for cpu in range(3)}
    assert given.read() == {
        "efficiency": Cluster(1, {"user": 10.0, "idle": 100.0}),
        "performance": Cluster(2, {"user": 23.0, "idle": 200.0}),
    }


def test_a_processor_that_is_switched_off_keeps_its_part_and_goes_on_after():
    given = Given()
    given.times = {0: {"idle": 100.0}, 1: {"idle": 50.0}}
    assert given.read() == {"": Cluster(2, {"idle": 150.0})}
    given.times = {0: {"idle": 101.0}}
    assert given.read() == {"": Cluster(1, {"idle": 151.0})}
    # Its idle time has begun anew.
    given.times = {0: {"idle": 102.0}, 1: {"idle": 5.0}}
    assert given.read() == {"": Cluster(2, {"idle": 152.0})}
    given.times = {0: {"idle": 102.0}, 1: {"idle": 6.5}}
    assert given.read() == {"": Cluster(2, {"idle": 153.5})}


def test_idle_time_that_steps_back_is_waited_for():
    given = Given()
    seen = []
    for idle in (100.0, 99.5, 99.75, 101.0):
        given.times = {0: {"idle": idle}}
        seen.append(given.read()[""].seconds["idle"])
    assert seen == [100.0, 100.0, 100.0, 101.0]


def test_a_processor_that_is_switched_on_later_brings_no_past():
    given = Given()
    given.times = {0: {"user": 10.0}}
    given.read()
    given.times = {0: {"user": 11.0}, 1: {"user": 5000.0}}
    assert given.read() == {"": Cluster(2, {"user": 11.0})}


@given(
    st.lists(
        st.dictionaries(st.integers(0, 3), st.floats(0, 1e9), min_size=1), min_size=1, max_size=10
    )
)
def test_no_sum_ever_falls_whatever_the_processors_do(readings):
    given = Given({0: "performance", 1: "performance", 2: "efficiency"})
    before: dict[str, Cluster] = {}
    for reading in readings:
        given.times = {cpu: {"idle": idle} for cpu, idle in reading.items()}
        now = given.read()
        assert now.keys() >= before.keys()
        assert all(now[name].seconds["idle"] >= was.seconds["idle"] for name, was in before.items())
        assert sum(cluster.cpus for cluster in now.values()) == len(reading)
        before = now


def test_clusters_are_asked_once_where_all_are_known():
    given = Given({0: "performance"})
    given.times = {0: {"user": 1.0}}
    for at in (0.0, 15.0, 6000.0):
        given.read(at)
    assert given.asked == 1


def test_clusters_that_are_not_known_are_asked_again_later_and_where_a_processor_is_new():
    given = Given()
    given.times = {0: {"user": 1.0}}
    given.read(0.0)
    given.read(15.0)
    assert given.asked == 1
    given.times[1] = {"user": 1.0}
    given.read(30.0)
    assert given.asked == 2
    given.clusters = {0: "performance", 1: "efficiency"}
    assert given.read(600.0).keys() == {""}
    assert given.read(631.0).keys() == {"performance", "efficiency"}
    assert given.asked == 3


def test_a_core_that_was_switched_off_keeps_its_cluster():
    given = Given({0: "performance", 1: "efficiency"})
    given.times = {0: {"user": 1.0}, 1: {"user": 2.0}}
    given.read()
    given.clusters = {0: "performance"}
    given.times = {0: {"user": 1.0}}
    assert given.read()["efficiency"] == Cluster(0, {"user": 2.0})


def test_a_mac_s_processors_are_read_through_psutil(monkeypatch):
    def cpu_times(percpu):
        assert percpu
        return [
            SimpleNamespace(user=1.0, nice=0.0, system=2.0, idle=9.0),
            SimpleNamespace(user=3.0, nice=0.5, system=4.0, idle=8.0),
        ]

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    assert cpu_darwin.darwin_times() == {
        0: {"user": 1.0, "nice": 0.0, "system": 2.0, "idle": 9.0},
        1: {"user": 3.0, "nice": 0.5, "system": 4.0, "idle": 8.0},
    }


def test_a_mac_whose_kernel_refuses_fails(monkeypatch):
    def refused(percpu):
        raise RuntimeError("host_processor_info(PROCESSOR_CPU_LOAD_INFO) syscall failed")

    monkeypatch.setattr(psutil, "cpu_times", refused)
    with pytest.raises(SourceError) as failed:
        cpu_darwin.darwin_times()
    assert failed.value.reason is Reason.UNREADABLE
