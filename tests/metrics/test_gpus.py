from __future__ import annotations

import msgspec
import pytest

from support import make_snapshot
from swarm_exporter.host.gpu_facts import AmdGpus, AppleGpus, Gpu, NodeGpu, NvidiaGpus
from swarm_exporter.metrics.catalogue import Kind
from swarm_exporter.metrics.gpus import METRICS

APPLE = Gpu(
    gpu="gpu0",
    vendor="apple",
    model="Apple M4",
    cores=10,
    utilization=0.5,
    memory={"in_use": 100, "allocated": 300},
    recoveries=0,
)
NVIDIA = Gpu(
    gpu="GPU-1f",
    vendor="nvidia",
    model="L40S",
    index=0,
    utilization=0.25,
    memory={"in_use": 10, "total": 50, "free": 39, "reserved": 1},
    power_watts=200.5,
    power_limit_watts=350.0,
    energy_joules=9000.0,
    temperature_celsius={"core": 60.0, "memory": 70.0},
    clock_hertz={"graphics": 2.5e9},
    fan_rpm=1500.0,
    ecc_errors={"corrected": 1, "uncorrected": 0},
    throttled={"power": True, "thermal": False},
    other_processes=1,
)
APPLES = AppleGpus(
    gpus=(APPLE,), nodes=(NodeGpu(node="1", gpu="gpu0", seconds=7.5),), wired_limit=1024
)
NVIDIAS = NvidiaGpus(
    gpus=(NVIDIA,), nodes=(NodeGpu(node="2", gpu="GPU-1f", memory=8, utilization=0.125),)
)


def samples(*facts) -> dict[str, dict[str, float]]:
    """What all metrics say of these facts: by name, then by the values of the labels."""
    snapshot = msgspec.structs.replace(make_snapshot(), host={type(fact): fact for fact in facts})
    found = {}
    for metric in METRICS:
        for labels, value in metric.read(snapshot):
            assert tuple(labels) == metric.labels
            found.setdefault(metric.name, {})[",".join(labels.values())] = value
    return found


def test_a_mac_has_its_own_figures_and_no_others():
    assert samples(APPLES) == {
        "swarm_gpu_seconds_total": {"1,gpu0": 7.5},
        "swarm_host_gpu_info": {"gpu0,apple,Apple M4,10,": 1.0},
        "swarm_host_gpu_utilization_ratio": {"gpu0": 0.5},
        "swarm_host_gpu_memory_bytes": {"gpu0,in_use": 100.0, "gpu0,allocated": 300.0},
        "swarm_host_mps_memory_bytes": {"": 100.0},
        "swarm_host_gpu_wired_limit_bytes": {"": 1024.0},
        "swarm_host_gpu_recoveries_total": {"gpu0": 0.0},
    }


def test_a_card_on_linux_has_all_that_its_driver_tells():
    assert samples(NVIDIAS) == {
        "swarm_gpu_memory_bytes": {"2,GPU-1f": 8.0},
        "swarm_gpu_utilization_ratio": {"2,GPU-1f": 0.125},
        "swarm_host_gpu_info": {"GPU-1f,nvidia,L40S,,0": 1.0},
        "swarm_host_gpu_utilization_ratio": {"GPU-1f": 0.25},
        "swarm_host_gpu_memory_bytes": {
            "GPU-1f,in_use": 10.0,
            "GPU-1f,total": 50.0,
            "GPU-1f,free": 39.0,
            "GPU-1f,reserved": 1.0,
        },
        "swarm_host_gpu_power_watts": {"GPU-1f": 200.5},
        "swarm_host_gpu_power_limit_watts": {"GPU-1f": 350.0},
        "swarm_host_gpu_energy_joules_total": {"GPU-1f": 9000.0},
        "swarm_host_gpu_temperature_celsius": {"GPU-1f,core": 60.0, "GPU-1f,memory": 70.0},
        "swarm_host_gpu_clock_hertz": {"GPU-1f,graphics": 2.5e9},
        "swarm_host_gpu_fan_speed_rpm": {"GPU-1f": 1500.0},
        "swarm_host_gpu_ecc_errors_total": {"GPU-1f,corrected": 1.0, "GPU-1f,uncorrected": 0.0},
        "swarm_host_gpu_throttled": {"GPU-1f,power": 1.0, "GPU-1f,thermal": 0.0},
        "swarm_host_gpu_other_processes": {"GPU-1f": 1.0},
    }


def test_cards_of_two_vendors_stand_in_the_same_families():
    amd = AmdGpus(gpus=(Gpu(gpu="0000:03:00.0", vendor="amd", utilization=1.0),))
    found = samples(NVIDIAS, amd)
    assert found["swarm_host_gpu_utilization_ratio"] == {"GPU-1f": 0.25, "0000:03:00.0": 1.0}
    assert found["swarm_host_gpu_info"]["0000:03:00.0,amd,,,"] == 1.0


def test_what_is_not_known_has_no_sample():
    unknown = AppleGpus(
        gpus=(Gpu(gpu="gpu0", vendor="apple"),), nodes=(NodeGpu(node="1", gpu="gpu0"),)
    )
    assert samples(unknown) == {"swarm_host_gpu_info": {"gpu0,apple,,,": 1.0}}
    assert samples(AppleGpus()) == {}
    assert samples() == {}


def test_memory_of_metal_is_the_sum_of_all_gpus_or_unknown():
    two = msgspec.structs.replace(APPLE, gpu="gpu1", memory={"in_use": 11})
    silent = msgspec.structs.replace(APPLE, gpu="gpu1", memory={"allocated": 11})
    assert samples(AppleGpus(gpus=(APPLE, two)))["swarm_host_mps_memory_bytes"] == {"": 111.0}
    assert "swarm_host_mps_memory_bytes" not in samples(AppleGpus(gpus=(APPLE, silent)))


def test_names_from_a_driver_are_made_fit_for_labels():
    odd = msgspec.structs.replace(APPLE, model="Apple\n" + "x" * 500)
    ((label,),) = (samples(AppleGpus(gpus=(odd,)))["swarm_host_gpu_info"],)
    assert "\n" not in label
    assert len(label) < 160


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_follows_the_conventions_and_has_a_sample(metric):
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert metric.help.endswith(".")
    assert metric.platforms
    snapshot = msgspec.structs.replace(
        make_snapshot(), host={AppleGpus: APPLES, NvidiaGpus: NVIDIAS}
    )
    assert list(metric.read(snapshot))


def test_no_family_is_defined_twice():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
