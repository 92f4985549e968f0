"""Raw readings that a recording keeps beside what the collectors ask: files, NVML, psutil, macmon.

Never the environment or the command line of a process.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from swarm_exporter import __version__
from swarm_exporter.doctor.machine import About
from swarm_exporter.host.stream import LineStream

#: What Linux tells of the machine, below /.
_LINUX_FILES = (
    "proc/stat",
    "proc/meminfo",
    "proc/vmstat",
    "proc/loadavg",
    "proc/uptime",
    "proc/diskstats",
    "proc/net/dev",
    "proc/pressure/*",
    "sys/fs/cgroup/cgroup.controllers",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/memory.current",
    "sys/class/thermal/thermal_zone*/type",
    "sys/class/thermal/thermal_zone*/temp",
    "sys/class/hwmon/hwmon*/name",
    "sys/class/hwmon/hwmon*/*_label",
    "sys/class/hwmon/hwmon*/*_input",
    "sys/class/hwmon/hwmon*/*_average",
    "sys/block/*/stat",
    "sys/devices/cpu_*/cpus",
    "sys/class/drm/card[0-9]*/device/vendor",
    "sys/class/drm/card[0-9]*/device/product_name",
    "sys/class/drm/card[0-9]*/device/device",
    "sys/class/drm/card[0-9]*/device/gpu_busy_percent",
    "sys/class/drm/card[0-9]*/device/mem_busy_percent",
    "sys/class/drm/card[0-9]*/device/mem_info_*",
    "sys/class/drm/card[0-9]*/device/pp_dpm_*",
    "sys/class/drm/card[0-9]*/device/hwmon/hwmon*/*_label",
    "sys/class/drm/card[0-9]*/device/hwmon/hwmon*/*_input",
    "sys/class/drm/card[0-9]*/device/hwmon/hwmon*/*_average",
    "sys/class/drm/card[0-9]*/device/hwmon/hwmon*/*_cap",
    "sys/class/kfd/kfd/topology/nodes/*/gpu_id",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
)
_OF_A_PROCESS = ("stat", "io", "smaps_rollup")
_MOST_FILES = 4000
_LARGEST_FILE = 2**20
_MACMON_LINES = 3
_MACMON_SECONDS = 10.0

#: Questions about one GPU and what they are asked with; none tells a serial number.
_NVML = {
    "nvmlDeviceGetName": (),
    "nvmlDeviceGetMemoryInfo": (),
    "nvmlDeviceGetUtilizationRates": (),
    "nvmlDeviceGetTemperature": (0,),
    "nvmlDeviceGetPowerUsage": (),
    "nvmlDeviceGetEnforcedPowerLimit": (),
    "nvmlDeviceGetTotalEnergyConsumption": (),
    "nvmlDeviceGetFanSpeed": (),
    "nvmlDeviceGetPerformanceState": (),
    "nvmlDeviceGetCurrentClocksThrottleReasons": (),
    "nvmlDeviceGetCurrPcieLinkGeneration": (),
    "nvmlDeviceGetCurrPcieLinkWidth": (),
    "nvmlDeviceGetMigMode": (),
    "nvmlDeviceGetComputeRunningProcesses": (),
    "nvmlDeviceGetGraphicsRunningProcesses": (),
}
_NVML_CLOCKS = (0, 1, 2, 3)
_NVML_ECC = (0, 1)


def versions(about: About, collectors: Iterable[str]) -> bytes:
    """Return, as JSON, what was recorded where."""
    return as_json(
        {
            "swarm_exporter": __version__,
            "python": about.python,
            "implementation": platform.python_implementation(),
            "psutil": ".".join(map(str, psutil.version_info)),
            "system": about.system,
            "kernel": about.kernel,
            "machine": platform.machine(),
            "chip": about.chip,
            "translated": about.translated,
            "collectors": list(collectors),
        }
    )


def linux_files(root: Path, pids: Iterable[int]) -> dict[str, bytes]:
    """Return what the kernel's files below `root` say of the machine and of some processes."""
    found: dict[str, bytes] = {}
    for path in _linux_paths(root, pids):
        if len(found) >= _MOST_FILES:
            break
        with contextlib.suppress(OSError), path.open("rb") as file:
            found[str(path.relative_to(root))] = file.read(_LARGEST_FILE)
    return found


def _linux_paths(root: Path, pids: Iterable[int]) -> Iterator[Path]:
    for pattern in _LINUX_FILES:
        yield from sorted(root.glob(pattern))
    for pid in pids:
        folder = root / "proc" / str(pid)
        for name in _OF_A_PROCESS:
            yield folder / name
        yield from sorted((root / "sys/class/kfd/kfd/proc" / str(pid)).glob("vram_*"))
        with contextlib.suppress(OSError):
            # Other files than a GPU's tell what a process has open.
            yield from (p for p in sorted((folder / "fdinfo").iterdir()) if _is_gpus(p))


def _is_gpus(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return b"drm-driver:" in file.read(4096)
    return False


def psutil_values() -> bytes:
    """Return, as JSON, what psutil says of the machine."""
    questions: dict[str, Callable[[], Any]] = {
        "cpu_times": lambda: psutil.cpu_times(percpu=True),
        "cpu_count": psutil.cpu_count,
        "virtual_memory": psutil.virtual_memory,
        "swap_memory": psutil.swap_memory,
        "disk_io_counters": lambda: psutil.disk_io_counters(perdisk=True),
        "net_io_counters": lambda: psutil.net_io_counters(pernic=True),
        "boot_time": psutil.boot_time,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return as_json({name: _answer(ask) for name, ask in questions.items()})


def nvml_values(nvml: Any) -> bytes:  # noqa: ANN401 - a module without types
    """Return, as JSON, what NVIDIA's library says of each GPU; errors in the library's words."""

    def ask(name: str, *arguments: Any) -> Any:  # noqa: ANN401
        return _answer(lambda: getattr(nvml, name)(*arguments))

    def of_gpu(index: int) -> dict[str, Any]:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        values = {name: ask(name, handle, *more) for name, more in _NVML.items()}
        values["nvmlDeviceGetClockInfo"] = [
            ask("nvmlDeviceGetClockInfo", handle, kind) for kind in _NVML_CLOCKS
        ]
        values["nvmlDeviceGetTotalEccErrors"] = [
            ask("nvmlDeviceGetTotalEccErrors", handle, kind, 0) for kind in _NVML_ECC
        ]
        values["nvmlDeviceGetProcessUtilization"] = ask(
            "nvmlDeviceGetProcessUtilization", handle, 0
        )
        return values

    began = _answer(nvml.nvmlInit)
    if began is not None:
        return as_json({"nvmlInit": began})
    try:
        count = ask("nvmlDeviceGetCount")
        gpus = range(count) if isinstance(count, int) else ()
        return as_json(
            {
                "driver": ask("nvmlSystemGetDriverVersion"),
                "library": ask("nvmlSystemGetNVMLVersion"),
                "count": count,
                "gpus": [_answer(partial(of_gpu, index)) for index in gpus],
            }
        )
    finally:
        _answer(nvml.nvmlShutdown)


def macmon_lines(binary: Path, seconds: float = _MACMON_SECONDS) -> bytes:
    """Return the first lines that `macmon pipe` prints, or how it has ended."""
    lines: list[bytes] = []
    enough = threading.Event()

    def take(line: bytes | None) -> None:
        lines.append(line if line is not None else b"(a line that was too long)")
        if len(lines) >= _MACMON_LINES:
            enough.set()

    def ended(how: str) -> None:
        lines.append(f"({how})".encode())
        enough.set()

    stream = LineStream(
        (str(binary), "-i", "1000", "pipe"), take=take, ended=ended, longest_silence=seconds
    )
    stream.start()
    enough.wait(seconds)
    stream.close()
    return b"".join(line + b"\n" for line in lines[:_MACMON_LINES])


def extra_readings(root: Path, pids: Iterable[int]) -> Mapping[str, bytes]:
    """Return what this platform has beyond the collectors' own readings."""
    found = {"psutil.json": psutil_values()}
    if sys.platform == "darwin":
        from swarm_exporter.host.macmon import usual_places

        binary = next((path for path in usual_places() if path.is_file()), None)
        if binary is not None:
            found["macmon-pipe.ndjson"] = macmon_lines(binary)
        return found
    found |= linux_files(root, pids)
    with contextlib.suppress(ImportError):
        import pynvml

        found["nvml.json"] = nvml_values(pynvml)
    return found


def as_json(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
    """Return JSON that a person can read."""
    return json.dumps(value, indent=1, default=repr).encode() + b"\n"


def _answer(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever a library answers
    """Return an answer as JSON can say it; a failure in words."""
    try:
        return _plain(ask())
    except Exception as error:  # noqa: BLE001 - libraries raise what they like
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "_fields_"):
        return {
            field[0]: _plain(getattr(value, field[0]))
            for field in value._fields_
            if field[0] != "version"
        }
    if hasattr(value, "__dict__"):
        # Friendly objects of nvidia-ml-py.
        return {name: _plain(each) for name, each in vars(value).items()}
    return value
