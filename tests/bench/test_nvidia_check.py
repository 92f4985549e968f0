"""The comparison itself, on a GPU that a test says there is; the GPU's own part needs one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from fake_nvml import FakeGpu, FakeNvml, process
from support import ROOT
from swarm_exporter.host.nvidia import has_driver

SCRIPT = ROOT / "bench" / "nvidia_check.py"
UUID = "8a1b0c52-0d3e-4f6a-9b7c-2d1e0f3a4b5c"
MIB = 2**20


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("nvidia_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


class FakeDevice:
    """A GPU on which this process holds memory; NVML names it by `pid`."""

    uuid = UUID

    def __init__(self, gpu: FakeGpu, pid: int, told: float = 1.0) -> None:
        self.gpu = gpu
        self.pid = pid
        self.told = told
        self.others = gpu.used

    def open(self) -> None:
        self.hold(0)

    def hold(self, size: int) -> None:
        self.gpu.used = self.others + 300 * MIB + size
        self.gpu.compute = [process(self.pid, 300 * MIB + int(size * self.told))]

    def work(self, seconds: float) -> None:
        self.gpu.energy += 900_000

    def free(self) -> None:
        self.open()

    def close(self) -> None:
        self.gpu.used = self.others
        self.gpu.compute = []


def rows(check, device: FakeDevice):
    nvml = check.Recorder(FakeNvml(device.gpu))
    found = list(check.compare(check.reader(nvml, device), device, 512 * MIB))
    return [(row.what, row.verdict) for row in found], nvml


def test_a_gpu_that_tells_the_truth_agrees(check):
    found, _ = rows(check, FakeDevice(FakeGpu(f"GPU-{UUID}"), os.getpid()))
    assert found == [
        ("this process is on the GPU", "ok"),
        ("… with a context", "ok"),
        ("memory of this process", "ok"),
        ("memory in use on the GPU", "ok"),
        ("use by this process", "not told"),
        ("use of the GPU", "ok"),
        ("energy of the GPU", "ok"),
        ("memory when it is given back", "ok"),
        ("this process is on the GPU", "ok"),
    ]


def test_memory_of_another_size_differs(check):
    found, _ = rows(check, FakeDevice(FakeGpu(f"GPU-{UUID}"), os.getpid(), told=0.5))
    assert ("memory of this process", "DIFFERS") in found


def test_a_process_that_is_named_otherwise_is_not_found(check):
    found, _ = rows(check, FakeDevice(FakeGpu(f"GPU-{UUID}"), os.getpid() + 1))
    assert found[-1] == ("… with a context", "DIFFERS")


def test_what_nvml_said_is_kept_without_the_uuid(check, tmp_path):
    gpu = FakeGpu(f"GPU-{UUID}", fails={"GetEnforcedPowerLimit": pynvml.NVMLError_NotSupported})
    _, nvml = rows(check, FakeDevice(gpu, os.getpid()))
    file = tmp_path / "nvml.json"
    with check.recording(nvml, file, 512 * MIB):
        pass
    assert UUID not in file.read_text()
    kept = json.loads(file.read_text())
    assert (kept["pid"], kept["held_bytes"]) == (os.getpid(), 512 * MIB)
    steps = {step["step"]: step["calls"] for step in kept["steps"]}
    assert list(steps) == ["before", "opened", "held", "worked", "freed", "after"]
    calls = {call["ask"]: call for call in steps["before"]}
    assert calls["nvmlDeviceGetEnforcedPowerLimit"]["error"] == "NVMLError_NotSupported"
    assert calls["nvmlDeviceGetPowerUsage"] == {
        "ask": "nvmlDeviceGetPowerUsage",
        "with": ["gpu0"],
        "answer": 210_500,
    }
    (listed,) = (c for c in steps["held"] if c["ask"] == "nvmlDeviceGetComputeRunningProcesses")
    (line,) = listed["answer"]
    assert (line["pid"], line["usedGpuMemory"]) == (os.getpid(), 812 * MIB)


def test_structures_of_the_real_module_are_kept_by_their_fields(check):
    memory = pynvml.c_nvmlMemory_v2_t(total=10, used=7, free=2, reserved=1)
    nvml = check.Recorder(SimpleNamespace(nvmlDeviceGetMemoryInfo=lambda *_: memory))
    nvml.begin("one")
    assert nvml.nvmlDeviceGetMemoryInfo("handle", pynvml.nvmlMemory_v2) is memory
    answer = nvml.steps[0]["calls"][0]["answer"]
    assert {**answer, "version": 0} == {
        "version": 0, "total": 10, "reserved": 1, "free": 2, "used": 7,
    }  # fmt: skip


@pytest.mark.skipif(has_driver(), reason="this machine has the driver")
def test_without_the_driver_it_says_so(tmp_path):
    record = tmp_path / "nvml.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--record", record], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout.startswith("no NVIDIA driver here")
    assert not record.exists()
