"""What this machine has: memory, cores, GPUs, disk. What is unknown is None or absent, never zero.

Facts from psutil, sysctlbyname (macOS 12 to 26), /proc and control groups (Linux), nvidia-smi.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from swarm_exporter.host.darwin import Darwin
from swarm_exporter.launcher.cgroups import cpu_limit, memory_limits

Pressure = Literal["normal", "warning", "critical"]
#: Reads a kernel state by its name, None where the kernel does not know it.
Sysctl = Callable[[str], bytes | None]

#: Linux: memory is short when, of the last 10 seconds, so many percent some process waited for it.
PRESSURE_WARNING_PERCENT = 10.0
#: Linux: it is critical when so many percent of them every process waited.
PRESSURE_CRITICAL_PERCENT = 10.0
#: macOS: what kern.memorystatus_vm_pressure_level says.
_PRESSURE_LEVELS: dict[int, Pressure] = {1: "normal", 2: "warning", 4: "critical"}
_NVIDIA_QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
_NVIDIA_SECONDS = 5.0
_MIB = 2**20


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA GPU. Memory in bytes, None where the driver does not say."""

    name: str
    total_memory: int | None
    free_memory: int | None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What nodes can use of this machine, or of the container around them. Sizes in bytes."""

    platform: Literal["darwin", "linux"]
    total_memory: int
    #: What programs can get now without swapping.
    available_memory: int
    #: On machines of one kind of core, all of them; hyper-threads are not counted.
    performance_cores: int | None
    #: 0 where the kinds of cores are unknown.
    efficiency_cores: int
    logical_cpus: int | None
    #: True where GPU and processors share the memory, as on Apple silicon.
    unified_memory: bool
    #: In the order of the PCI bus.
    gpus: tuple[Gpu, ...]
    #: Free space of the disk that holds the nodes' folders.
    disk_free: int | None
    #: How short the machine is of memory.
    pressure: Pressure | None


def read_machine(folder: Path) -> Machine:
    """Return what this machine has; the nodes' folders are, or will be, in `folder`."""
    if sys.platform == "darwin":
        return read_darwin(folder, Darwin().sysctl)
    return read_linux(folder, Path("/"))


def available_memory() -> int:
    """Return the bytes that programs can get now without swapping. Takes well under 1 ms."""
    if sys.platform == "darwin":
        return psutil.virtual_memory().available
    return _linux_memory(Path("/"))[1]


def pressure() -> Pressure | None:
    """Return how short the machine is of memory, None where it cannot tell. Takes under 1 ms."""
    if sys.platform == "darwin":
        return darwin_pressure(Darwin().sysctl)
    return linux_pressure(Path("/"))


def read_darwin(folder: Path, sysctl: Sysctl) -> Machine:
    """Return what a Mac has."""
    memory = psutil.virtual_memory()
    performance, efficiency = _darwin_cores(sysctl)
    return Machine(
        platform="darwin",
        total_memory=memory.total,
        available_memory=memory.available,
        performance_cores=performance or psutil.cpu_count(logical=False),
        efficiency_cores=efficiency,
        logical_cpus=psutil.cpu_count(),
        unified_memory=_number(sysctl("hw.optional.arm64")) == 1,
        gpus=(),
        disk_free=_disk_free(folder),
        pressure=darwin_pressure(sysctl),
    )


def read_linux(folder: Path, root: Path) -> Machine:
    """Return what a Linux machine has, within the limits of the container; `root` holds /proc."""
    total, available = _linux_memory(root)
    cores, logical = _linux_cores(root)
    return Machine(
        platform="linux",
        total_memory=total,
        available_memory=available,
        performance_cores=cores,
        efficiency_cores=0,
        logical_cpus=logical,
        unified_memory=False,
        gpus=read_gpus(),
        disk_free=_disk_free(folder),
        pressure=linux_pressure(root),
    )


def darwin_pressure(sysctl: Sysctl) -> Pressure | None:
    """Return what the kernel of a Mac says."""
    level = _number(sysctl("kern.memorystatus_vm_pressure_level"))
    return None if level is None else _PRESSURE_LEVELS.get(level)


def linux_pressure(root: Path) -> Pressure | None:
    """Return what the kernel's pressure stall information says; kernels may lack it."""
    try:
        lines = (root / "proc/pressure/memory").read_text().splitlines()
        stalled = {
            kind: float(dict(field.split("=") for field in fields)["avg10"])
            for kind, *fields in (line.split() for line in lines)
        }
        if stalled["full"] > PRESSURE_CRITICAL_PERCENT:
            return "critical"
        return "warning" if stalled["some"] > PRESSURE_WARNING_PERCENT else "normal"
    except (OSError, ValueError, KeyError):
        return None


def read_gpus(timeout: float = _NVIDIA_SECONDS) -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs, or none where nvidia-smi is missing, fails or takes too long."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run(  # noqa: S603 - no shell, and fixed arguments
            [program, *_NVIDIA_QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=timeout,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(answer.stdout.decode(errors="replace"))


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of nvidia-smi's lines: name, total MiB, free MiB; others are no GPUs."""
    gpus = []
    for line in text.splitlines():
        name, *memory = line.rsplit(",", 2)
        if len(memory) == 2:
            total, free = (_mebibytes(part) for part in memory)
            gpus.append(Gpu(name=name.strip(), total_memory=total, free_memory=free))
    return tuple(gpus)


def _number(value: bytes | None) -> int | None:
    if value is None or len(value) not in (4, 8):
        return None
    return int.from_bytes(value, "little", signed=True)


def _darwin_cores(sysctl: Sysctl) -> tuple[int, int]:
    """Return the performance and the efficiency cores, zeros where the kernel knows no kinds.

    Level 0 is the fastest. Chips since the M5 have levels named Super and Performance: both are
    fit for training; only those named Efficiency are not.
    """
    performance = efficiency = 0
    for level in range(_number(sysctl("hw.nperflevels")) or 0):
        cores = _number(sysctl(f"hw.perflevel{level}.physicalcpu")) or 0
        name = (sysctl(f"hw.perflevel{level}.name") or b"").rstrip(b"\0")
        if level == 0 or (name and name != b"Efficiency"):
            performance += cores
        else:
            efficiency += cores
    return performance, efficiency


def _linux_memory(root: Path) -> tuple[int, int]:
    """Return the total and the available memory."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    for group in memory_limits(root):
        if group.limit < memory.total:
            total = min(total, group.limit)
            available = min(available, max(0, group.limit - group.used))
    return total, available


def _linux_cores(root: Path) -> tuple[int | None, int | None]:
    """Return the cores and the logical processors that this process may use."""
    logical = psutil.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        logical = len(os.sched_getaffinity(0)) or logical
    quota = cpu_limit(root)
    if quota is not None and logical is not None:
        logical = max(1, min(logical, int(quota)))
    cores = psutil.cpu_count(logical=False) or logical
    return (min(cores, logical) if cores is not None and logical is not None else cores), logical


def _disk_free(folder: Path) -> int | None:
    """Return the free space where `folder` is or will be."""
    try:
        place = next(place for place in (folder, *folder.parents) if place.exists())
        return shutil.disk_usage(place).free
    except OSError:
        return None


def _mebibytes(text: str) -> int | None:
    text = text.strip()
    return int(text) * _MIB if text.isascii() and text.isdigit() else None
