"""Collector `nvidia`: NVIDIA's GPUs through its management library (NVML, nvidia-ml-py).

What a GPU or driver does not support is left out for good; NVML's word for "not available" is
None, never zero. In a container the driver names processes by the host's pids: run the exporter
on the host. Drivers before R510 do not tell of processes in the form that is asked for here.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu, NvidiaGpus
from swarm_exporter.host.rising import RisingCounters
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_LIBRARY = "libnvidia-ml.so.1"
_MODULE = "pynvml"
_MILLI = 1e-3
_MEGA = 1e6
_PERCENT = 1e-2
_MICROSECONDS = 1_000_000
#: How far back the first reading looks for the use of processes; the driver has a sample of each
#: process every few seconds.
_FIRST_LOOK = 5 * _MICROSECONDS
_MOST_PERCENT = 100
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

#: NVML's errors by the names of their classes, of which an older module lacks some. What is asked
#: is not known to this GPU or driver, and will not be:
_UNSUPPORTED = {
    "NotSupported",
    "FunctionNotFound",
    "ArgumentVersionMismatch",
    "VgpuEccNotSupported",
    "Deprecated",
}
#: There is no answer now, and nothing is wrong. A list that grew while it was asked for is too
#: large for its room.
_NOTHING_NOW = {"NotFound", "NoData", "NotReady", "InvalidArgument", "InsufficientSize"}
_LOST = {"GpuIsLost", "ResetRequired", "GpuNotFound"}
#: The driver was unloaded, or exchanged by another version.
_GONE = {"Uninitialized", "DriverNotLoaded", "LibraryNotFound", "LibRmVersionMismatch"}
_OTHERS = {"NoPermission": Reason.PERMISSION, "Timeout": Reason.TIMEOUT}


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
        self._counters: dict[str, RisingCounters[str]] = {}
        #: When this reading began, microseconds of Unix time.
        self._now = 0

    def is_present(self) -> bool:
        """Tell whether the driver is there, and the module that asks it."""
        return self._given is not None or (has_driver() and has_module())

    def read(self, look: Look) -> Found:
        """Read every GPU. Raises SourceError: missing, permission, device_lost."""
        self._begin()
        self._defects = []
        self._now = int(look.now * _MICROSECONDS)
        members = look.members()
        owners = {member.pid: name for name, own in members.items() for member in own}
        gpus: list[Gpu] = []
        nodes: list[NodeGpu] = []
        lost = 0
        try:
            count = self._nvml.nvmlDeviceGetCount()
            for index in range(count):
                try:
                    found, shares = self._read_gpu(index, owners)
                except _LostError:
                    lost += 1
                    self._defects.append(Reason.DEVICE_LOST)
                else:
                    gpus += found
                    nodes += shares
        except self._nvml.NVMLError as error:
            # Begin anew at the next reading.
            self.close()
            raise SourceError(Reason.MISSING, f"NVML: {error}") from None
        if lost and lost == count:
            raise SourceError(Reason.DEVICE_LOST, "the driver has lost every GPU")
        order = {name: number for number, name in enumerate(members)}
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
            refused = _kind(error) == "NoPermission"
            reason = Reason.PERMISSION if refused else Reason.MISSING
            raise SourceError(reason, f"NVML: {error}") from None
        self._nvml = nvml
        self._unsupported.clear()
        self._sampled.clear()

    def _read_gpu(self, index: int, owners: Mapping[int, str]) -> tuple[list[Gpu], list[NodeGpu]]:
        """Return a GPU with its instances, and what each node holds of them.

        Raises _LostError, and NVMLError where the driver has gone.
        """
        handle = self._of(str(index), "handle", "nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            return [], []
        name = _text(self._of(str(index), "uuid", "nvmlDeviceGetUUID", handle)) or f"gpu{index}"
        gpu = msgspec.structs.replace(self._gpu(name, handle), index=index)
        parts = self._partitions(name, handle)
        if not parts:
            gpu, nodes = self._with_shares(gpu, handle, owners)
            return [gpu], nodes
        # Where a GPU is partitioned, its processes are those of the parts.
        gpus, nodes = [gpu], []
        for part, part_handle in parts:
            memory = self._memory(part, part_handle)
            instance = Gpu(gpu=part, vendor="nvidia", model=gpu.model, memory=memory)
            instance, shares = self._with_shares(instance, part_handle, owners)
            gpus.append(instance)
            nodes += shares
        return gpus, nodes

    def _gpu(self, name: str, handle: Any) -> Gpu:  # noqa: ANN401 - NVML's handle
        use = self._of(name, "use", "nvmlDeviceGetUtilizationRates", handle)
        power = self._of(name, "power", "nvmlDeviceGetPowerUsage", handle)
        limit = self._of(name, "limit", "nvmlDeviceGetEnforcedPowerLimit", handle)
        heat = self._of(name, "heat", "nvmlDeviceGetTemperatureV", handle, 0)
        if heat is None:
            # Drivers before R560.
            heat = self._of(name, "heat v1", "nvmlDeviceGetTemperature", handle, 0)
        clocks = {
            clock: self._of(name, f"clock {clock}", "nvmlDeviceGetClockInfo", handle, number)
            for clock, number in _CLOCKS.items()
        }
        # The first fan; most drivers know only percents.
        fan = self._of(name, "fan", "nvmlDeviceGetFanSpeedRPM", handle)
        energy, errors = self._counted(name, handle)
        return Gpu(
            gpu=name,
            vendor="nvidia",
            model=_text(self._of(name, "model", "nvmlDeviceGetName", handle)),
            cores=self._of(name, "cores", "nvmlDeviceGetNumGpuCores", handle),
            utilization=use.gpu * _PERCENT if use is not None else None,
            memory=self._memory(name, handle),
            power_watts=power * _MILLI if power is not None else None,
            power_limit_watts=limit * _MILLI if limit is not None else None,
            energy_joules=energy * _MILLI if energy is not None else None,
            temperature_celsius={} if heat is None else {"core": float(heat)},
            clock_hertz={k: v * _MEGA for k, v in clocks.items() if v is not None},
            fan_rpm=float(fan) if fan is not None else None,
            ecc_errors=errors,
            throttled=self._throttled(name, handle),
        )

    def _counted(self, name: str, handle: Any) -> tuple[float | None, dict[str, int]]:  # noqa: ANN401
        """Return energy, mJ, and memory errors by kind; they go on where a driver begins anew."""
        energy = self._of(name, "energy", "nvmlDeviceGetTotalEnergyConsumption", handle)
        errors = {
            kind: self._of(
                name, f"ecc {kind}", "nvmlDeviceGetTotalEccErrors", handle, number, _VOLATILE
            )
            for kind, number in _ECC_KINDS.items()
        }
        told = {"energy": energy, **errors}
        known = {kind: float(figure) for kind, figure in told.items() if figure is not None}
        counters = self._counters.setdefault(name, RisingCounters())
        counters.add(known)
        totals = {kind: counters.totals[kind] for kind in known}
        return totals.pop("energy", None), {kind: int(count) for kind, count in totals.items()}

    def _memory(self, name: str, handle: Any) -> dict[str, int]:  # noqa: ANN401
        nvml = self._nvml
        ask = "nvmlDeviceGetMemoryInfo"
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
        bits = self._of(name, "throttle", "nvmlDeviceGetCurrentClocksEventReasons", handle)
        if bits is None:
            return {}
        return {
            reason: any(bits & getattr(nvml, f"nvmlClocksEventReason{flag}") for flag in flags)
            for reason, flags in _THROTTLES.items()
        }

    def _partitions(self, name: str, handle: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
        """Return the instances of a GPU that is partitioned (MIG)."""
        mode = self._of(name, "mig", "nvmlDeviceGetMigMode", handle)
        if mode is None or not mode[0]:
            return []
        most = self._of(name, "mig count", "nvmlDeviceGetMaxMigDeviceCount", handle) or 0
        found = []
        for index in range(most):
            # Most of the places are empty.
            part = self._of(
                name, "mig device", "nvmlDeviceGetMigDeviceHandleByIndex", handle, index
            )
            if part is not None:
                uuid = _text(self._of(name, "mig uuid", "nvmlDeviceGetUUID", part))
                found.append((uuid or f"{name}/{index}", part))
        return found

    def _with_shares(
        self,
        gpu: Gpu,
        handle: Any,  # noqa: ANN401
        owners: Mapping[int, str],
    ) -> tuple[Gpu, list[NodeGpu]]:
        """Return a GPU with the number of strangers on it, and what each node holds of it."""
        held = self._processes(gpu.gpu, handle)
        if held is None:
            return gpu, []
        use = self._use_of_processes(gpu.gpu, handle)
        nodes = []
        for node in dict.fromkeys(owners[pid] for pid in held if pid in owners):
            pids = [pid for pid in held if owners.get(pid) == node]
            shares = [use[pid] for pid in pids if pid in use]
            nodes.append(
                NodeGpu(
                    node=node,
                    gpu=gpu.gpu,
                    memory=_whole_sum(held[pid] for pid in pids),
                    utilization=min(sum(shares), 1.0) if shares else None,
                )
            )
        strangers = sum(pid not in owners for pid in held)
        return msgspec.structs.replace(gpu, other_processes=strangers), nodes

    def _processes(self, name: str, handle: Any) -> dict[int, int | None] | None:  # noqa: ANN401
        """Return the bytes that each process holds, None where the driver does not tell.

        A process that computes and draws is in two lists, with the same figure in both; those
        that compute through the multi-process service are in a third.
        """
        compute = self._of(name, "compute", "nvmlDeviceGetComputeRunningProcesses", handle)
        if compute is None:
            return None
        graphics = self._of(name, "graphics", "nvmlDeviceGetGraphicsRunningProcesses", handle)
        shared = self._of(name, "mps", "nvmlDeviceGetMPSComputeRunningProcesses", handle)
        held: dict[int, dict[object, int | None]] = {}
        for found in (compute, graphics or (), shared or ()):
            for process in found:
                part = getattr(process, "gpuInstanceId", None)
                parts = held.setdefault(int(process.pid), {})
                size = process.usedGpuMemory
                before = parts.get(part)
                parts[part] = size if before is None else max(before, size or 0)
        return {pid: _whole_sum(parts.values()) for pid, parts in held.items()}

    def _use_of_processes(self, name: str, handle: Any) -> dict[int, float]:  # noqa: ANN401
        """Return the mean share of the GPU of each process since the reading before.

        The driver keeps samples of processes that used it, by Unix time. One that idled has none,
        and that is not told from one that was not sampled: no zero.
        """
        since = self._sampled.get(name, self._now)
        if since >= self._now:
            # At the first reading, or where the clock was set back.
            since = self._now - _FIRST_LOOK
        ask = "nvmlDeviceGetProcessUtilization"
        shares: dict[int, list[float]] = {}
        for sample in self._of(name, "process use", ask, handle, since) or ():
            time, use = int(sample.timeStamp), int(sample.smUtil)
            # Places that the driver has not filled hold anything.
            if since < time <= self._now + _MICROSECONDS and use <= _MOST_PERCENT:
                shares.setdefault(int(sample.pid), []).append(use * _PERCENT)
                self._sampled[name] = max(time, self._sampled.get(name, 0))
        return {pid: sum(found) / len(found) for pid, found in shares.items()}

    def _of(self, gpu: str, what: str, name: str, *arguments: object) -> Any:  # noqa: ANN401
        """Ask one thing; None where there is no answer. What is not supported is not asked again.

        Raises _LostError where the GPU is gone, NVMLError where the driver is.
        """
        nvml = self._nvml
        ask = getattr(nvml, name, None)
        if ask is None or (gpu, what) in self._unsupported:
            # The module, too, gains and loses functions.
            return None
        try:
            return ask(*arguments)
        except nvml.NVMLLibraryMismatchError:
            # The module's word for a function that the driver is too old for.
            self._unsupported.add((gpu, what))
        except nvml.NVMLError as error:
            kind = _kind(error)
            if kind in _GONE:
                raise
            if kind in _LOST:
                raise _LostError(gpu) from None
            if kind in _UNSUPPORTED:
                self._unsupported.add((gpu, what))
            elif kind not in _NOTHING_NOW and error.value != nvml.NVML_SUCCESS:
                # Where there are no samples of processes, the module raises success.
                self._defects.append(_OTHERS.get(kind, Reason.MALFORMED))
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


def missing_extra() -> bool:
    """Tell whether only nvidia-ml-py is missing: the driver is there, and nothing asks it."""
    return has_driver() and not has_module()


def _kind(error: Exception) -> str:
    """Return the name of one of NVML's errors; errors that the module does not know have none."""
    return type(error).__name__.removeprefix("NVMLError").removeprefix("_")


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _whole_sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
