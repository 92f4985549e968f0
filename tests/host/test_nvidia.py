from __future__ import annotations

import sys

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_nvml import FakeGpu, FakeNvml, process, sample
from support import make_config, make_node
from swarm_exporter.host import nvidia
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu
from swarm_exporter.host.nvidia import (
    _GONE,
    _LOST,
    _NOTHING_NOW,
    _OTHERS,
    _UNSUPPORTED,
    NvidiaCollector,
    has_driver,
    has_module,
    missing_extra,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

GIB = 2**30
MEMBERS = {"1": (Member(10, 1.0, root=True), Member(11, 1.0)), "2": (Member(20, 1.0, root=True),)}


NOW = 1_800_000_000.0


def at(seconds: float) -> int:
    """NVML's time of a sample, so many seconds after NOW."""
    return int((NOW + seconds) * 1e6)


def read(collector, members=MEMBERS, now=NOW):
    config = make_config(make_node("1"), make_node("2"))
    found = collector.read(Look(config=config, now=now, monotonic=0.0, members=lambda: members))
    return found.facts, found.defects


def read_again(collector, gpu: FakeGpu, *samples, now: float) -> dict[str, float | None]:
    """What each node uses of its GPU, by the samples that the driver has now."""
    gpu.samples[:] = samples
    facts, _ = read(collector, now=now)
    return {share.node: share.utilization for share in facts.nodes}


def shares(facts) -> dict[tuple[str, str], NodeGpu]:
    return {(share.node, share.gpu): share for share in facts.nodes}


def test_a_gpu_is_told_in_base_units():
    gpu = FakeGpu("GPU-a", throttle=pynvml.nvmlClocksEventReasonSwPowerCap, fan=1_450)
    nvml = FakeNvml(gpu)
    facts, defects = read(NvidiaCollector(nvml))
    assert facts.gpus == (
        Gpu(
            gpu="GPU-a",
            vendor="nvidia",
            model="NVIDIA L40S",
            index=0,
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
            fan_rpm=1_450.0,
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


def test_processes_of_the_multi_process_service_count_too():
    gpu = FakeGpu(compute=[process(99, GIB)], mps=[process(10, 2 * GIB), process(20, 3 * GIB)])
    facts, _ = read(NvidiaCollector(FakeNvml(gpu)))
    assert {node: share.memory for (node, _), share in shares(facts).items()} == {
        "1": 2 * GIB,
        "2": 3 * GIB,
    }
    assert facts.gpus[0].other_processes == 1


def test_a_list_that_may_not_be_read_makes_no_node_hold_less():
    gpu = FakeGpu(compute=[process(10, GIB)], graphics=[process(10, GIB)])
    gpu.fails = {"GetComputeRunningProcesses": pynvml.NVMLError_NoPermission}
    facts, defects = read(NvidiaCollector(FakeNvml(gpu)))
    assert (facts.nodes, facts.gpus[0].other_processes) == ((), None)
    assert defects == (Reason.PERMISSION,)


def test_memory_that_the_driver_does_not_tell_is_unknown_and_not_zero():
    gpu = FakeGpu(compute=[process(10, None), process(11, GIB), process(20, GIB)])
    found = shares(read(NvidiaCollector(FakeNvml(gpu)))[0])
    assert found["1", "GPU-a"].memory is None
    assert found["2", "GPU-a"].memory == GIB


def test_a_pid_that_is_a_strangers_now_is_no_nodes():
    gpu = FakeGpu(compute=[process(10, GIB), process(20, GIB)])
    collector = NvidiaCollector(FakeNvml(gpu))
    assert shares(read(collector)[0])["1", "GPU-a"].memory == GIB
    # The node's process has ended, and something else was given its pid.
    facts, _ = read(collector, {"1": (Member(12, 2.0, root=True),), "2": MEMBERS["2"]})
    assert set(shares(facts)) == {("2", "GPU-a")}
    assert facts.gpus[0].other_processes == 1


def test_the_use_of_a_node_is_the_mean_of_its_samples_since_the_reading_before():
    gpu = FakeGpu(compute=[process(10, GIB), process(11, GIB), process(20, GIB)])
    collector = NvidiaCollector(FakeNvml(gpu))
    samples = [
        sample(10, 90, at(-60)),  # The driver keeps what is long past.
        sample(10, 20, at(-2)),
        sample(10, 40, at(-1)),
        sample(11, 10, at(-1.5)),
    ]
    assert read_again(collector, gpu, *samples, now=NOW) == {"1": pytest.approx(0.4), "2": None}
    # Nothing new: NVML says that it found nothing, which is no zero.
    assert read_again(collector, gpu, *samples, now=NOW + 5) == {"1": None, "2": None}
    samples.append(sample(20, 70, at(7)))
    found = read_again(collector, gpu, *samples, now=NOW + 10)
    assert found == {"1": None, "2": pytest.approx(0.7)}


def test_places_that_the_driver_has_not_filled_are_no_samples():
    gpu = FakeGpu(compute=[process(10, GIB), process(20, GIB)])
    collector = NvidiaCollector(FakeNvml(gpu))
    rubbish = [
        sample(10, 2_147_483_632, at(-1)),
        sample(20, 5, 2**63),
        sample(20, 6, 0),
    ]
    found = read_again(collector, gpu, sample(10, 30, at(-1)), *rubbish, now=NOW)
    assert found == {"1": pytest.approx(0.3), "2": None}
    # A time that has not come yet would hide all that follow.
    found = read_again(collector, gpu, sample(20, 50, at(4)), *rubbish, now=NOW + 5)
    assert found == {"1": None, "2": pytest.approx(0.5)}


def test_the_use_of_a_node_is_told_though_the_clock_was_set_back():
    gpu = FakeGpu(compute=[process(10, GIB)])
    collector = NvidiaCollector(FakeNvml(gpu))
    assert read_again(collector, gpu, sample(10, 30, at(-1)), now=NOW) == {"1": pytest.approx(0.3)}
    found = read_again(collector, gpu, sample(10, 60, at(-3_601)), now=NOW - 3_600)
    assert found == {"1": pytest.approx(0.6)}


def test_no_samples_may_be_called_success():
    # The module raises whatever is not "too little room", though it be success with nothing.
    gpu = FakeGpu(
        compute=[process(10, GIB)],
        fails={"GetProcessUtilization": pynvml.NVMLError(pynvml.NVML_SUCCESS)},
    )
    facts, defects = read(NvidiaCollector(FakeNvml(gpu)))
    assert shares(facts)["1", "GPU-a"].utilization is None
    assert defects == ()


@pytest.mark.parametrize(
    ("error", "defects"),
    [
        (pynvml.NVMLError_NoPermission, (Reason.PERMISSION,)),
        (pynvml.NVMLError_Timeout, (Reason.TIMEOUT,)),
        (pynvml.NVMLError_Unknown, (Reason.MALFORMED,)),
        (pynvml.NVMLError_CorruptedInforom, (Reason.MALFORMED,)),
        (pynvml.NVMLError_IrqIssue, (Reason.MALFORMED,)),
        (pynvml.NVMLError(12_345), (Reason.MALFORMED,)),
        (pynvml.NVMLError_NoData, ()),
        (pynvml.NVMLError_NotFound, ()),
        (pynvml.NVMLError_InsufficientSize, ()),
    ],
)
def test_one_question_that_fails_costs_its_own_figure_and_is_asked_again(error, defects):
    gpu = FakeGpu(fails={"GetPowerUsage": error}, compute=[process(10, GIB)])
    collector = NvidiaCollector(FakeNvml(gpu))
    facts, found = read(collector)
    assert facts.gpus[0].power_watts is None
    assert facts.gpus[0].utilization == pytest.approx(0.47)
    assert shares(facts)["1", "GPU-a"].memory == GIB
    assert found == defects
    gpu.fails.clear()
    assert read(collector)[0].gpus[0].power_watts == pytest.approx(210.5)


def test_a_driver_that_is_too_old_for_a_question_leaves_out_its_answer():
    fails = {
        f"Get{kind}RunningProcesses": pynvml.NVMLLibraryMismatchError
        for kind in ("Compute", "Graphics", "MPSCompute")
    }
    nvml = FakeNvml(FakeGpu(fails=fails))
    collector = NvidiaCollector(nvml)
    for _ in range(2):
        facts, defects = read(collector)
        assert facts.gpus[0].other_processes is None
        assert facts.gpus[0].power_watts is not None
        assert defects == ()
    assert nvml.asked.count("GetComputeRunningProcesses") == 1


@pytest.mark.parametrize("lacking", ["nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV"])
def test_a_temperature_is_asked_by_the_function_that_there_is(lacking):
    """The newest replaces the older, which a later module will lack."""

    class Module(FakeNvml):
        def __getattr__(self, name):
            if name in (lacking, "nvmlDeviceGetFanSpeedRPM"):
                raise AttributeError(name)
            return super().__getattr__(name)

    (gpu,) = read(NvidiaCollector(Module(FakeGpu(fan=900))))[0].gpus
    assert gpu.temperature_celsius == {"core": 61.0}
    assert gpu.fan_rpm is None


def test_an_older_driver_is_asked_for_memory_and_heat_as_it_knows_them():
    fails = dict.fromkeys(("v2", "GetTemperatureV"), pynvml.NVMLError_FunctionNotFound)
    (gpu,) = read(NvidiaCollector(FakeNvml(FakeGpu(fails=fails))))[0].gpus
    assert gpu.temperature_celsius == {"core": 61.0}
    assert gpu.memory == {"total": 48 * GIB, "in_use": 21 * GIB, "free": 27 * GIB}


def test_energy_and_memory_errors_go_on_where_the_driver_begins_anew():
    gpu = FakeGpu(energy=5_000_000, corrected=3)
    collector = NvidiaCollector(FakeNvml(gpu))
    told = []
    for gpu.energy, gpu.corrected in ((5_000_000, 3), (7_000_000, 4), (1_000, 0), (501_000, 2)):
        found = read(collector)[0].gpus[0]
        told.append((found.energy_joules, found.ecc_errors["corrected"]))
    assert told == [(5_000.0, 3), (7_000.0, 4), (7_000.0, 4), (7_500.0, 6)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 10**15)), st.integers(0, 10)), max_size=12
    )
)
def test_energy_never_falls_whatever_the_driver_says(readings):
    gpu = FakeGpu()
    collector = NvidiaCollector(FakeNvml(gpu))
    before = 0.0
    for gpu.energy, gpu.corrected in readings:
        energy = read(collector)[0].gpus[0].energy_joules
        assert (energy is None) == (gpu.energy is None)
        if energy is not None:
            assert energy >= before
            before = energy


def test_what_is_not_supported_is_absent_and_not_asked_again():
    fails = dict.fromkeys(
        (
            "GetPowerUsage",
            "GetTotalEnergyConsumption",
            "GetTotalEccErrors",
            "GetCurrentClocksEventReasons",
            "GetClockInfo",
            "GetTemperature",
            "GetTemperatureV",
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


def test_a_driver_that_goes_between_two_questions_is_asked_anew():
    gpu = FakeGpu()
    nvml = FakeNvml(gpu)
    collector = NvidiaCollector(nvml)
    gpu.fails = {"GetTemperatureV": pynvml.NVMLError_Uninitialized}
    with pytest.raises(SourceError) as caught:
        read(collector)
    assert caught.value.reason is Reason.MISSING
    gpu.fails = {}
    assert read(collector)[0].gpus[0].temperature_celsius == {"core": 61.0}
    assert nvml.begun == 1


def test_what_was_not_supported_is_asked_again_of_a_driver_that_was_exchanged():
    gpu = FakeGpu(fails={"GetPowerUsage": pynvml.NVMLError_NotSupported})
    nvml = FakeNvml(gpu)
    collector = NvidiaCollector(nvml)
    read(collector)
    nvml.down, gpu.fails = pynvml.NVMLError_LibRmVersionMismatch(), {}
    with pytest.raises(SourceError):
        read(collector)
    nvml.down = None
    assert read(collector)[0].gpus[0].power_watts == pytest.approx(210.5)


def test_a_library_that_this_user_may_not_open_is_told_so():
    nvml = FakeNvml(FakeGpu())
    nvml.down = pynvml.NVMLError_NoPermission()
    with pytest.raises(SourceError) as caught:
        read(NvidiaCollector(nvml))
    assert caught.value.reason is Reason.PERMISSION


def test_a_gpu_whose_part_is_lost_is_lost_whole():
    parts = [FakeGpu("MIG-1", compute=[process(10, GIB)]), FakeGpu("MIG-2")]
    collector = NvidiaCollector(FakeNvml(FakeGpu("GPU-a", parts=parts), FakeGpu("GPU-b")))
    parts[1].lost = True
    facts, defects = read(collector)
    assert [gpu.gpu for gpu in facts.gpus] == ["GPU-b"]
    assert (facts.nodes, defects) == ((), (Reason.DEVICE_LOST,))


def test_the_parts_of_a_partitioned_gpu_hold_its_processes():
    parts = [
        FakeGpu("MIG-1", compute=[process(10, GIB)]),
        FakeGpu("MIG-2", compute=[process(20, 2 * GIB)]),
    ]
    whole = FakeGpu("GPU-a", parts=parts, compute=[process(10, GIB), process(20, 2 * GIB)])
    facts, _ = read(NvidiaCollector(FakeNvml(whole)))
    assert [(gpu.gpu, gpu.index) for gpu in facts.gpus] == [
        ("GPU-a", 0),
        ("MIG-1", None),
        ("MIG-2", None),
    ]
    found = shares(facts)
    assert set(found) == {("1", "MIG-1"), ("2", "MIG-2")}
    assert facts.gpus[0].power_watts is not None
    assert facts.gpus[1].power_watts is None


def test_every_error_that_is_told_apart_is_one_of_the_real_module():
    assert has_module()
    for name in (*_UNSUPPORTED, *_NOTHING_NOW, *_LOST, *_GONE, *_OTHERS):
        assert issubclass(getattr(pynvml, f"NVMLError_{name}"), pynvml.NVMLError)


@pytest.mark.skipif(has_driver(), reason="this machine has the driver")
def test_without_the_driver_there_is_no_such_collector():
    assert not NvidiaCollector().is_present()
    assert not missing_extra()
    with pytest.raises(SourceError) as caught:
        read(NvidiaCollector())
    assert caught.value.reason is Reason.MISSING


def test_on_a_mac_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not has_driver()


@pytest.mark.parametrize("module", [True, False])
def test_a_driver_without_the_module_is_told_from_a_machine_without_driver(monkeypatch, module):
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    monkeypatch.setattr(nvidia, "has_module", lambda: module)
    assert NvidiaCollector().is_present() is module
    assert missing_extra() is not module
