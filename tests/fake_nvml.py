"""NVIDIA's management library as a test says it is: real errors and constants, given answers."""

from __future__ import annotations

import pynvml

_ECC = {0: "corrected", 1: "uncorrected"}
_CLOCKS = {0: 2_520, 1: 2_520, 2: 9_001, 3: 1_950}
_GIB = 2**30
#: What NVML has for a process on a GPU that is not partitioned.
_NO_PART = 2**32 - 1


class FakeGpu:
    def __init__(self, uuid: str = "GPU-a", **more) -> None:
        self.uuid = uuid
        self.model = more.get("model", b"NVIDIA L40S")
        self.compute = list(more.get("compute", ()))
        self.graphics = list(more.get("graphics", ()))
        self.mps = list(more.get("mps", ()))
        self.samples = more.get("samples", [])
        self.energy = more.get("energy", 5_000_000)
        self.used = more.get("used", 20 * _GIB)
        self.fan: int | None = more.get("fan")
        self.corrected = more.get("corrected", 3)
        self.throttle = more.get("throttle", 0)
        #: Question -> the error that it ends with.
        self.fails: dict[str, type[Exception] | Exception] = more.get("fails", {})
        self.parts: list[FakeGpu] = more.get("parts", [])
        self.lost = False


def process(pid: int, memory: int | None, part: int | None = None) -> pynvml.nvmlFriendlyObject:
    """One line of a list, as the module gives it: None for memory that the driver does not tell."""
    found = pynvml.nvmlStructToFriendlyObject(pynvml.c_nvmlProcessInfo_v3_t(pid=pid))
    found.usedGpuMemory = memory
    found.gpuInstanceId = _NO_PART if part is None else part
    return found


def sample(pid: int, use: int, at: int) -> pynvml.c_nvmlProcessUtilizationSample_t:
    return pynvml.c_nvmlProcessUtilizationSample_t(pid=pid, smUtil=use, timeStamp=at)


class FakeNvml:
    """The module; each function it has is one of the real one's."""

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.down: Exception | None = None
        self.asked: list[str] = []
        self.begun = 0

    def __getattr__(self, name: str):
        if name.startswith("nvmlDevice"):
            return lambda gpu, *arguments: self._ask(
                name.removeprefix("nvmlDevice"), gpu, arguments
            )
        return getattr(pynvml, name)

    def nvmlInit(self) -> None:
        if self.down is not None:
            raise self.down
        self.begun += 1

    def nvmlShutdown(self) -> None:
        self.begun -= 1

    def nvmlDeviceGetCount(self) -> int:
        if self.down is not None:
            raise self.down
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self.gpus[index]

    def _ask(self, question: str, gpu: FakeGpu, arguments: tuple):
        assert hasattr(pynvml, f"nvmlDevice{question}"), question
        assert self.begun == 1
        self.asked.append(question)
        if gpu.lost:
            raise pynvml.NVMLError_GpuIsLost
        if question in gpu.fails:
            raise gpu.fails[question]
        return getattr(self, f"_{question}")(gpu, *arguments)

    def _GetUUID(self, gpu):
        return gpu.uuid

    def _GetName(self, gpu):
        return gpu.model

    def _GetNumGpuCores(self, gpu):
        return 18_176

    def _GetUtilizationRates(self, gpu):
        return pynvml.c_nvmlUtilization_t(gpu=47, memory=12)

    def _GetPowerUsage(self, gpu):
        return 210_500

    def _GetEnforcedPowerLimit(self, gpu):
        return 350_000

    def _GetTotalEnergyConsumption(self, gpu):
        return gpu.energy

    def _GetTemperature(self, gpu, sensor):
        return self._GetTemperatureV(gpu, sensor)

    def _GetTemperatureV(self, gpu, sensor):
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return 61

    def _GetClockInfo(self, gpu, clock):
        return _CLOCKS[clock]

    def _GetTotalEccErrors(self, gpu, kind, counter):
        assert counter == pynvml.NVML_VOLATILE_ECC
        return {"corrected": gpu.corrected, "uncorrected": 0}[_ECC[kind]]

    def _GetFanSpeedRPM(self, gpu):
        if gpu.fan is None:
            raise pynvml.NVMLError_NotSupported
        return gpu.fan

    def _GetMemoryInfo(self, gpu, version=None):
        if version is not None:
            assert version == pynvml.nvmlMemory_v2
            if "v2" in gpu.fails:
                raise gpu.fails["v2"]
            return pynvml.c_nvmlMemory_v2_t(
                total=48 * _GIB, used=gpu.used, free=47 * _GIB - gpu.used, reserved=_GIB
            )
        # The older structure counts what is reserved as used.
        return pynvml.c_nvmlMemory_t(
            total=48 * _GIB, used=gpu.used + _GIB, free=47 * _GIB - gpu.used
        )

    def _GetCurrentClocksEventReasons(self, gpu):
        return gpu.throttle

    def _GetMigMode(self, gpu):
        return (1, 1) if gpu.parts else (0, 0)

    def _GetMaxMigDeviceCount(self, gpu):
        return 7

    def _GetMigDeviceHandleByIndex(self, gpu, index):
        if index >= len(gpu.parts):
            raise pynvml.NVMLError_NotFound
        return gpu.parts[index]

    def _GetComputeRunningProcesses(self, gpu):
        return gpu.compute

    def _GetGraphicsRunningProcesses(self, gpu):
        return gpu.graphics

    def _GetMPSComputeRunningProcesses(self, gpu):
        return gpu.mps

    def _GetProcessUtilization(self, gpu, since):
        found = [each for each in gpu.samples if each.timeStamp > since]
        if not found:
            raise pynvml.NVMLError_NotFound
        return found
