"""Collector `nvidia`: NVIDIA's GPUs through its management library (NVML, nvidia-ml-py).

What a GPU or driver does not support is left out for good; NVML's word for "not available" is
None, never zero. In a container the driver names processes by the host's pids: run the exporter
on the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu, NvidiaGpus
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

T = TypeVar("T")

_LIBRARY = "libnvidia-ml.so.1"
_MODULE = "pynvml"
_MILLI = 1e-3
_MEGA = 1e6
_PERCENT = 1e-2
_MICROSECONDS = 1_000_000
#: Clocks by NVML's number for them.
_CLOCKS = {"graphics": 0, "sm": 1, "memory": 2, "video": 3}
#: Why a GPU is slowed down, by the names of NVML's bits. Idling and clocks that a person has set
#: are no throttling.
_THROTTLES = {
    "power": ("SwPowerCap",),
    "power_brake": ("HwPowerBrakeSlowdown",),
    "thermal": ("SwThermalSlowdown", "HwThermalSlowdown"),
    "hardware": ("HwSlowdown",),
}
_ECC_KINDS = {"corrected": 0, "uncorrected": 1}
#: Errors since the driver was loaded, not over the life of the board.
_VOLATILE = 0


class _LostError(Exception):
    """One GPU does not answer any more."""


class NvidiaCollector(Collector):
    """Reads every GPU, and what the processes of each node hold of it."""

    name = "nvidia"
    about = "NVIDIA GPUs: use, memory, power, heat, errors, and each node's share (NVML)"

    def __init__(self, nvml: Any = None) -> None:  # noqa: ANN401 - the module, which has no types
        """Ask through `nvml`, by default the module of nvidia-ml-py."""
        self._given = nvml
        self._nvml: Any = None
        #: What GPUs do not support, by GPU and question.
        self._unsupported: set[tuple[str, str]] = set()
        self._defects: list[Reason] = []
        #: NVML's time of the newest sample of processes, by GPU, microseconds.
        self._sampled: dict[str, int] = {}

    def is_present(self) -> bool:
        """Tell whether the driver is there, and the module that asks it."""
        return self._given is not None or (has_driver() and has_module())

    def read(self, look: Look) -> Found:
        """Read every GPU. Raises SourceError: missing, device_lost."""
        self._begin()
        self._defects = []
        owners = {m.pid: name for name, own in look.members().items() for m in own}
        gpus: list[Gpu] = []
        nodes: list[NodeGpu] = []
        try:
            lost = 0
            count = self._nvml.nvmlDeviceGetCount()
            for index in range(count):
                try:
                    self._read_gpu(index, owners, gpus, nodes)
                except _LostError:
                    lost += 1
                    self._defects.append(Reason.DEVICE_LOST)
        except self._nvml.NVMLError as error:
            # The driver was unloaded or exchanged: begin anew at the next reading.
            self.close()
            raise SourceError(Reason.MISSING, f"NVML: {error}") from None
        if lost and lost == count:
            raise SourceError(Reason.DEVICE_LOST, "the driver has lost every GPU")
        order = {name: number for number, name in enumerate(look.members())}
        nodes.sort(key=lambda share: (order[share.node], share.gpu))
        words = ", ".join(gpu.model for gpu in gpus if gpu.model) or "no GPU"
        return Found(NvidiaGpus(gpus=tuple(gpus), nodes=tuple(nodes)), tuple(self._defects), words)

    def close(self) -> None:
        """Let go of the driver, so that it can be unloaded."""
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
            self._nvml = None

    # --- inside --------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._nvml is not None:
            return
        nvml = self._given or importlib.import_module(_MODULE)
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise SourceError(Reason.MISSING, f"NVML: {error}") from None
        self._nvml = nvml
        self._unsupported.clear()

    def _read_gpu(
        self, index: int, owners: Mapping[int, str], gpus: list[Gpu], nodes: list[NodeGpu]
    ) -> None:
        nvml = self._nvml
        handle = self._of(str(index), "handle", nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is None:
            return
        name = _text(self._of(str(index), "uuid", nvml.nvmlDeviceGetUUID, handle)) or f"gpu{index}"
        parts = self._partitions(name, handle)
        gpu = self._gpu(name, handle)
        if parts:
            # Where a GPU is partitioned, its processes are those of the parts.
            gpus.append(gpu)
            for part, part_handle in parts:
                gpus.append(
                    self._with_shares(
                        Gpu(
                            gpu=part,
                            vendor="nvidia",
                            model=gpu.model,
                            memory=self._memory(part, part_handle),
                        ),
                        part_handle,
                        owners,
                        nodes,
                    )
                )
        else:
            gpus.append(self._with_shares(gpu, handle, owners, nodes))

    def _gpu(self, name: str, handle: Any) -> Gpu:  # noqa: ANN401 - NVML's handle
        nvml = self._nvml
        use = self._of(name, "use", nvml.nvmlDeviceGetUtilizationRates, handle)
        power = self._of(name, "power", nvml.nvmlDeviceGetPowerUsage, handle)
        limit = self._of(name, "limit", nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        energy = self._of(name, "energy", nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        heat = self._of(name, "heat", nvml.nvmlDeviceGetTemperature, handle, 0)
        clocks = {
            clock: self._of(name, f"clock {clock}", nvml.nvmlDeviceGetClockInfo, handle, number)
            for clock, number in _CLOCKS.items()
        }
        errors = {
            kind: self._of(
                name, f"ecc {kind}", nvml.nvmlDeviceGetTotalEccErrors, handle, number, _VOLATILE
            )
            for kind, number in _ECC_KINDS.items()
        }
        return Gpu(
            gpu=name,
            vendor="nvidia",
            model=_text(self._of(name, "model", nvml.nvmlDeviceGetName, handle)),
            cores=self._of(name, "cores", nvml.nvmlDeviceGetNumGpuCores, handle),
            utilization=use.gpu * _PERCENT if use is not None else None,
            memory=self._memory(name, handle),
            power_watts=power * _MILLI if power is not None else None,
            power_limit_watts=limit * _MILLI if limit is not None else None,
            energy_joules=energy * _MILLI if energy is not None else None,
            temperature_celsius={} if heat is None else {"core": float(heat)},
            clock_hertz={k: v * _MEGA for k, v in clocks.items() if v is not None},
            ecc_errors={kind: count for kind, count in errors.items() if count is not None},
            throttled=self._throttled(name, handle),
        )

    def _memory(self, name: str, handle: Any) -> dict[str, int]:  # noqa: ANN401
        nvml = self._nvml
        ask = nvml.nvmlDeviceGetMemoryInfo
        memory = self._of(name, "memory v2", ask, handle, nvml.nvmlMemory_v2)
        if memory is None:
            memory = self._of(name, "memory", ask, handle)
        if memory is None:
            return {}
        kinds = {"total": "total", "in_use": "used", "free": "free", "reserved": "reserved"}
        return {
            kind: int(getattr(memory, field))
            for kind, field in kinds.items()
            if hasattr(memory, field)
        }

    def _throttled(self, name: str, handle: Any) -> dict[str, bool]:  # noqa: ANN401
        nvml = self._nvml
        bits = self._of(name, "throttle", nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if bits is None:
            return {}
        return {
            reason: any(bits & getattr(nvml, f"nvmlClocksEventReason{flag}") for flag in flags)
            for reason, flags in _THROTTLES.items()
        }

    def _partitions(self, name: str, handle: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
        """Return the instances of a GPU that is partitioned (MIG)."""
        nvml = self._nvml
        mode = self._of(name, "mig", nvml.nvmlDeviceGetMigMode, handle)
        if mode is None or not mode[0]:
            return []
        most = self._of(name, "mig count", nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
        found = []
        for index in range(most):
            try:
                part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                found.append((_text(nvml.nvmlDeviceGetUUID(part)), part))
            except (nvml.NVMLError_NotFound, nvml.NVMLError_InvalidArgument):
                continue
        return found

    def _with_shares(
        self,
        gpu: Gpu,
        handle: Any,  # noqa: ANN401
        owners: Mapping[int, str],
        nodes: list[NodeGpu],
    ) -> Gpu:
        """Add what each node holds of one GPU; return it with the number of strangers on it."""
        held = self._processes(gpu.gpu, handle)
        if held is None:
            return gpu
        use = self._use_of_processes(gpu.gpu, handle)
        for node in dict.fromkeys(owners[pid] for pid in held if pid in owners):
            pids = [pid for pid in held if owners.get(pid) == node]
            sizes = [held[pid] for pid in pids]
            known = [size for size in sizes if size is not None]
            shares = [use[pid] for pid in pids if pid in use]
            nodes.append(
                NodeGpu(
                    node=node,
                    gpu=gpu.gpu,
                    memory=sum(known) if len(known) == len(sizes) else None,
                    utilization=min(sum(shares), 1.0) if shares else None,
                )
            )
        strangers = sum(pid not in owners for pid in held)
        return msgspec.structs.replace(gpu, other_processes=strangers)

    def _processes(self, name: str, handle: Any) -> dict[int, int | None] | None:  # noqa: ANN401
        """Return the bytes that each process holds, None where the driver does not tell.

        A process that computes and draws is in two lists, with the same figure in both.
        """
        nvml = self._nvml
        lists = (
            self._of(name, "compute", nvml.nvmlDeviceGetComputeRunningProcesses, handle),
            self._of(name, "graphics", nvml.nvmlDeviceGetGraphicsRunningProcesses, handle),
            self._of(name, "mps", nvml.nvmlDeviceGetMPSComputeRunningProcesses, handle),
        )
        if all(found is None for found in lists):
            return None
        held: dict[int, dict[object, int | None]] = {}
        for found in lists:
            for process in found or ():
                part = getattr(process, "gpuInstanceId", None)
                parts = held.setdefault(int(process.pid), {})
                size = process.usedGpuMemory
                before = parts.get(part)
                parts[part] = size if before is None else max(before, size or 0)
        return {pid: _whole_sum(parts.values()) for pid, parts in held.items()}

    def _use_of_processes(self, name: str, handle: Any) -> dict[int, float]:  # noqa: ANN401
        """Return the mean share of the GPU of each process since the reading before.

        The driver keeps samples of processes that used it; one that idled has none.
        """
        nvml = self._nvml
        since = self._sampled.get(name, 0)
        try:
            samples = self._of(
                name, "process use", nvml.nvmlDeviceGetProcessUtilization, handle, since
            )
        except nvml.NVMLError_NotFound:
            return {}
        if not samples:
            return {}
        newest = max(int(sample.timeStamp) for sample in samples)
        self._sampled[name] = newest
        # At the first reading the driver gives all that it remembers: only the newest second.
        oldest = since or newest - _MICROSECONDS
        shares: dict[int, list[float]] = {}
        for sample in samples:
            if int(sample.timeStamp) > oldest:
                shares.setdefault(int(sample.pid), []).append(sample.smUtil * _PERCENT)
        return {pid: sum(found) / len(found) for pid, found in shares.items()}

    def _of(self, gpu: str, what: str, ask: Callable[..., T], *arguments: object) -> T | None:
        """Ask one thing; None where it is not supported, and then not again.

        Raises _LostError where the GPU is gone, NVMLError where the driver is.
        """
        nvml = self._nvml
        if (gpu, what) in self._unsupported:
            return None
        try:
            return ask(*arguments)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            self._unsupported.add((gpu, what))
            return None
        except nvml.NVMLError_NoPermission:
            self._defects.append(Reason.PERMISSION)
            return None
        except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_ResetRequired):
            raise _LostError(gpu) from None
        except (nvml.NVMLError_InvalidArgument, nvml.NVMLError_ArgumentVersionMismatch):
            # An older driver does not know the version of a structure.
            self._unsupported.add((gpu, what))
            return None
        except nvml.NVMLError_Unknown:
            self._defects.append(Reason.MALFORMED)
            return None


def has_driver() -> bool:
    """Tell whether NVIDIA's driver has installed its library."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def has_module() -> bool:
    """Tell whether nvidia-ml-py is installed (`pip install "swarm-exporter[nvidia]"`)."""
    return importlib.util.find_spec(_MODULE) is not None


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _whole_sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
