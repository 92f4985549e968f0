"""The machine's own metrics: every fact has its sample, what is not known has none."""

from __future__ import annotations

import msgspec
import pytest

from host_facts import MACHINE
from support import make_snapshot
from swarm_exporter.host.cpu import Cluster, CpuTimes
from swarm_exporter.host.disk import Disks
from swarm_exporter.host.load import Load
from swarm_exporter.host.memory import Memory
from swarm_exporter.host.network import Interfaces
from swarm_exporter.host.pressure import Pressure
from swarm_exporter.host.swap import Swap
from swarm_exporter.metrics import disk, machine, memory, network
from swarm_exporter.metrics.catalogue import Kind
from swarm_exporter.model import HostFacts

METRICS = machine.METRICS + memory.METRICS + disk.METRICS + network.METRICS


def samples(*facts: HostFacts) -> dict[str, dict[str, float]]:
    """What all metrics say of these facts: by name, then by the values of the labels."""
    snapshot = msgspec.structs.replace(make_snapshot(), host={type(fact): fact for fact in facts})
    found = {}
    for metric in METRICS:
        for labels, value in metric.read(snapshot):
            assert set(labels) <= set(metric.labels)
            found.setdefault(metric.name, {})[",".join(labels.values())] = value
    return found


def test_every_fact_has_its_sample():
    assert samples(*MACHINE) == {
        "swarm_host_info": {"macOS,26.1,arm64,Mac16,10,Apple M4": 1.0},
        "swarm_host_boot_time_seconds": {"": 1_799_000_000.0},
        "swarm_host_load1": {"": 1.5},
        "swarm_host_load5": {"": 1.25},
        "swarm_host_load15": {"": 1.0},
        "swarm_host_cpu_seconds_total": {
            "performance,user": 10.5,
            "performance,idle": 90.0,
            "efficiency,user": 3.5,
            "efficiency,idle": 40.0,
        },
        "swarm_host_cpus": {"performance": 4.0, "efficiency": 6.0},
        "swarm_host_memory_bytes": {"total": 1000.0, "free": 100.0},
        "swarm_host_memory_available_ratio": {"": 0.5},
        "swarm_host_memory_compressions_total": {"": 7.0},
        "swarm_host_memory_decompressions_total": {"": 5.0},
        "swarm_host_memory_limit_bytes": {"": 800.0},
        "swarm_host_memory_limit_used_bytes": {"": 600.0},
        "swarm_host_swap_bytes": {"used": 10.0, "total": 20.0},
        "swarm_host_swap_in_bytes_total": {"": 30.0},
        "swarm_host_swap_out_bytes_total": {"": 40.0},
        "swarm_host_memory_pressure_level": {"": 2.0},
        "swarm_host_memory_pressure_stalled_seconds_total": {"some": 1.5, "full": 0.5},
        "swarm_host_cpu_pressure_stalled_seconds_total": {"": 2.5},
        "swarm_host_io_pressure_stalled_seconds_total": {"some": 3.5, "full": 3.0},
        "swarm_host_oom_kills_total": {"": 1.0},
        "swarm_host_disk_size_bytes": {"/": 5000.0, "/data": 7000.0},
        "swarm_host_disk_free_bytes": {"/": 50.0, "/data": 70.0},
        "swarm_host_disk_inodes_free": {"/": 9.0},
        "swarm_host_disk_read_bytes_total": {"sda": 11.0},
        "swarm_host_disk_written_bytes_total": {"sda": 12.0},
        "swarm_host_network_receive_bytes_total": {"en0": 1.0},
        "swarm_host_network_transmit_bytes_total": {"en0": 2.0},
        "swarm_host_network_receive_errors_total": {"en0": 3.0},
        "swarm_host_network_transmit_errors_total": {"en0": 4.0},
        "swarm_host_network_receive_drops_total": {"en0": 5.0},
        "swarm_host_network_transmit_drops_total": {"en0": 6.0},
    }


def test_what_is_not_known_has_no_sample():
    assert samples() == {}
    assert (
        samples(
            CpuTimes(clusters={}),
            Load(averages=None, boot_time=None, info=None),
            Memory(sizes={}),
            Swap(),
            Pressure(),
            Disks(),
            Interfaces(interfaces={}),
        )
        == {}
    )


def test_zero_is_a_value():
    assert samples(Swap(used=0, total=0), Pressure(oom_kills=0)) == {
        "swarm_host_swap_bytes": {"used": 0.0, "total": 0.0},
        "swarm_host_oom_kills_total": {"": 0.0},
    }


def test_processors_that_are_alike_have_no_cluster():
    snapshot = msgspec.structs.replace(
        make_snapshot(), host={CpuTimes: CpuTimes(clusters={"": Cluster(2, {"user": 1.0})})}
    )
    by_name = {metric.name: list(metric.read(snapshot)) for metric in machine.METRICS}
    assert by_name["swarm_host_cpus"] == [({}, 2.0)]
    assert by_name["swarm_host_cpu_seconds_total"] == [({"mode": "user"}, 1.0)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_follows_the_conventions_and_has_a_sample(metric):
    assert metric.name.startswith("swarm_host_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert metric.help.endswith(".")
    assert metric.platforms
    snapshot = msgspec.structs.replace(make_snapshot(), host={type(fact): fact for fact in MACHINE})
    assert list(metric.read(snapshot))


def test_no_family_is_defined_twice():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
