from __future__ import annotations

import sys

import pynvml
import pytest

from fake_nvml import FakeGpu, FakeNvml, process, sample
from support import make_config, make_node
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu
from swarm_exporter.host.nvidia import NvidiaCollector, has_driver, has_module
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

GIB = 2**30
MEMBERS = {"1": (Member(10, 1.0, root=True), Member(11, 1.0)), "2": (Member(20, 1.0, root=True),)}


def read(collector, members=MEMBERS):
    config = make_config(make_node("1"), make_node("2"))
    found = collector.read(Look(config=config, now=0.0, monotonic=0.0, members=lambda: members))
    return found.facts, found.defects


def shares(facts) -> dict[tuple[str, str], NodeGpu]:
    return {(share.node, share.gpu): share for share in facts.nodes}


def test_a_gpu_is_told_in_base_units():
    nvml = FakeNvml(FakeGpu("GPU-a", throttle=pynvml.nvmlClocksEventReasonSwPowerCap))
    facts, defects = read(NvidiaCollector(nvml))
    assert facts.gpus == (
        Gpu(
            gpu="GPU-a",
            vendor="nvidia",
            model="NVIDIA L40S",
            cores=18_176,
            utilization=pytest.approx(0.47),
            memory={"total": 48 * GIB, "in_use": 20 * GIB, "free": 27 * GIB, "reserved": GIB},
            power_watts=pytest.approx(210.5),
            power_limit_watts=pytest.approx(350.0),
            energy_joules=pytest.approx(5_000.0),
            temperature_celsius={"core": 61.0},
            clock_hertz={
                "graphics": 2.52e9,
                "sm": 2.52e9,
                "memory": 9.001e9,
                "video": 1.95e9,
            },
            ecc_errors={"corrected": 3, "uncorrected": 0},
            throttled={"power": True, "power_brake": False, "thermal": False, "hardware": False},
            other_processes=0,
        ),
    )
    assert (facts.nodes, defects) == ((), ())


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ("SwThermalSlowdown", {"thermal"}),
        ("HwThermalSlowdown", {"thermal"}),
        ("HwSlowdown", {"hardware"}),
        ("HwPowerBrakeSlowdown", {"power_brake"}),
        ("GpuIdle", set()),
        ("ApplicationsClocksSetting", set()),
    ],
)
def test_idling_and_set_clocks_are_no_throttling(bits, words):
    nvml = FakeNvml(FakeGpu(throttle=getattr(pynvml, f"nvmlClocksEventReason{bits}")))
    (gpu,) = read(NvidiaCollector(nvml))[0].gpus
    assert {reason for reason, on in gpu.throttled.items() if on} == words


def test_each_node_holds_what_its_processes_hold():
    first = FakeGpu("GPU-a", compute=[process(10, 5 * GIB), process(11, GIB), process(99, 7 * GIB)])
    second = FakeGpu("GPU-b", compute=[process(10, 2 * GIB), process(20, 3 * GIB)])
    facts, _ = read(NvidiaCollector(FakeNvml(first, second)))
    found = shares(facts)
    assert found["1", "GPU-a"].memory == 6 * GIB
    assert found["1", "GPU-b"].memory == 2 * GIB
    assert found["2", "GPU-b"].memory == 3 * GIB
    assert ("2", "GPU-a") not in found
    assert [gpu.other_processes for gpu in facts.gpus] == [1, 0]


def test_a_process_that_computes_and_draws_counts_once():
    gpu = FakeGpu(compute=[process(10, 5 * GIB)], graphics=[process(10, 5 * GIB)])
    assert shares(read(NvidiaCollector(FakeNvml(gpu)))[0])["1", "GPU-a"].memory == 5 * GIB


def test_memory_that_the_driver_does_not_tell_is_unknown_and_not_zero():
    gpu = FakeGpu(compute=[process(10, None), process(11, GIB), process(20, GIB)])
    found = shares(read(NvidiaCollector(FakeNvml(gpu)))[0])
    assert found["1", "GPU-a"].memory is None
    assert found["2", "GPU-a"].memory == GIB


def test_the_use_of_a_node_is_the_mean_of_its_samples_since_the_reading_before():
    gpu = FakeGpu(
        compute=[process(10, GIB), process(11, GIB), process(20, GIB)],
        samples=[
            sample(10, 90, 1_000),  # Long before the exporter.
            sample(10, 20, 5_000_000),
            sample(10, 40, 5_500_000),
            sample(11, 10, 5_500_000),
        ],
    )
    collector = NvidiaCollector(FakeNvml(gpu))
    found = shares(read(collector)[0])
    assert found["1", "GPU-a"].utilization == pytest.approx(0.4)
    assert found["2", "GPU-a"].utilization is None
    # Nothing new: NVML says that it found nothing, which is no zero.
    assert shares(read(collector)[0])["1", "GPU-a"].utilization is None
    gpu.samples.append(sample(20, 70, 6_000_000))
    found = shares(read(collector)[0])
    assert found["2", "GPU-a"].utilization == pytest.approx(0.7)
    assert found["1", "GPU-a"].utilization is None


def test_what_is_not_supported_is_absent_and_not_asked_again():
    fails = dict.fromkeys(
        (
            "GetPowerUsage",
            "GetTotalEnergyConsumption",
            "GetTotalEccErrors",
            "GetCurrentClocksEventReasons",
            "GetClockInfo",
            "GetTemperature",
            "GetUtilizationRates",
            "GetProcessUtilization",
            "GetMPSComputeRunningProcesses",
            "GetMigMode",
            "v2",
        ),
        pynvml.NVMLError_NotSupported,
    )
    nvml = FakeNvml(FakeGpu(fails=fails, compute=[process(10, GIB)]))
    collector = NvidiaCollector(nvml)
    for _ in range(2):
        facts, defects = read(collector)
        (gpu,) = facts.gpus
        assert (gpu.power_watts, gpu.energy_joules, gpu.utilization) == (None, None, None)
        assert (gpu.ecc_errors, gpu.throttled, gpu.clock_hertz) == ({}, {}, {})
        assert gpu.temperature_celsius == {}
        assert gpu.memory == {"total": 48 * GIB, "in_use": 21 * GIB, "free": 27 * GIB}
        assert shares(facts)["1", "GPU-a"].memory == GIB
        assert defects == ()
    assert nvml.asked.count("GetPowerUsage") == 1


def test_processes_that_are_not_told_at_all_are_no_strangers():
    lists = ("Compute", "Graphics", "MPSCompute")
    fails = {f"Get{kind}RunningProcesses": pynvml.NVMLError_NotSupported for kind in lists}
    facts, _ = read(NvidiaCollector(FakeNvml(FakeGpu(fails=fails))))
    assert facts.gpus[0].other_processes is None
    assert facts.nodes == ()


def test_a_figure_that_may_not_be_read_is_absent_and_told():
    fails = {"GetPowerUsage": pynvml.NVMLError_NoPermission}
    facts, defects = read(NvidiaCollector(FakeNvml(FakeGpu(fails=fails))))
    assert facts.gpus[0].power_watts is None
    assert facts.gpus[0].utilization is not None
    assert defects == (Reason.PERMISSION,)


def test_one_lost_gpu_costs_no_other():
    lost, healthy = FakeGpu("GPU-a", compute=[process(10, GIB)]), FakeGpu("GPU-b")
    collector = NvidiaCollector(FakeNvml(lost, healthy))
    read(collector)
    lost.lost = True
    facts, defects = read(collector)
    assert [gpu.gpu for gpu in facts.gpus] == ["GPU-b"]
    assert facts.nodes == ()
    assert defects == (Reason.DEVICE_LOST,)
    healthy.lost = True
    with pytest.raises(SourceError) as caught:
        read(collector)
    assert caught.value.reason is Reason.DEVICE_LOST
    lost.lost = healthy.lost = False
    assert len(read(collector)[0].gpus) == 2


@pytest.mark.parametrize(
    "error",
    [
        pynvml.NVMLError_Uninitialized,
        pynvml.NVMLError_DriverNotLoaded,
        pynvml.NVMLError_LibraryNotFound,
        pynvml.NVMLError_Timeout,
    ],
)
def test_a_driver_that_goes_in_mid_run_is_asked_anew(error):
    nvml = FakeNvml(FakeGpu())
    collector = NvidiaCollector(nvml)
    read(collector)
    nvml.down = error()
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            read(collector)
        assert caught.value.reason is Reason.MISSING
    nvml.down = None
    assert len(read(collector)[0].gpus) == 1
    collector.close()
    assert nvml.begun == 0


def test_the_parts_of_a_partitioned_gpu_hold_its_processes():
    parts = [
        FakeGpu("MIG-1", compute=[process(10, GIB)]),
        FakeGpu("MIG-2", compute=[process(20, 2 * GIB)]),
    ]
    whole = FakeGpu("GPU-a", parts=parts, compute=[process(10, GIB), process(20, 2 * GIB)])
    facts, _ = read(NvidiaCollector(FakeNvml(whole)))
    assert [gpu.gpu for gpu in facts.gpus] == ["GPU-a", "MIG-1", "MIG-2"]
    found = shares(facts)
    assert set(found) == {("1", "MIG-1"), ("2", "MIG-2")}
    assert facts.gpus[0].power_watts is not None
    assert facts.gpus[1].power_watts is None


def test_every_function_that_is_asked_is_one_of_the_real_module():
    assert has_module()
    for name in ("NotSupported", "FunctionNotFound", "NoPermission", "GpuIsLost", "ResetRequired",
                 "InvalidArgument", "ArgumentVersionMismatch", "Unknown", "NotFound"):  # fmt: skip
        assert issubclass(getattr(pynvml, f"NVMLError_{name}"), pynvml.NVMLError)


@pytest.mark.skipif(has_driver(), reason="this machine has the driver")
def test_without_the_driver_there_is_no_such_collector():
    assert not NvidiaCollector().is_present()
    with pytest.raises(SourceError) as caught:
        read(NvidiaCollector())
    assert caught.value.reason is Reason.MISSING


def test_on_a_mac_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not has_driver()
