"""The machine itself: chip, memory, swap, Python, and room for what nodes and exporter write."""

from __future__ import annotations

import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.doctor.check import Check, Group, existing
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.launcher.capacity import gib
from swarm_exporter.launcher.machine import Machine, read_machine

GROUP = Group("machine")
#: Below this a node's logs and models soon fill the disk.
LEAST_DISK_FREE = 10 * 2**30
#: So much of the memory in swap says that the nodes do not fit.
_MOST_SWAPPED = 0.25


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the operating system says of itself and of the chip; empty where it does not."""

    system: str
    kernel: str
    chip: str
    python: str
    #: An x86 Python on Apple Silicon.
    translated: bool = False
    swap_total: int | None = None
    swap_used: int | None = None


def read_about() -> About:
    """Return what there is to say of this machine."""
    chip, translated = _chip()
    total = used = None
    with warnings.catch_warnings():
        # psutil warns where a container hides a part.
        warnings.simplefilter("ignore")
        try:
            swap = psutil.swap_memory()
            total, used = swap.total, swap.used
        except (OSError, RuntimeError, psutil.Error):
            pass
    return About(
        system=_system(),
        kernel=f"{platform.system()} {platform.release()}",
        chip=chip,
        python=platform.python_version(),
        translated=translated,
        swap_total=total,
        swap_used=used,
    )


def check_machine(
    folders: Iterable[Path],
    about: Callable[[], About] = read_about,
    machine: Callable[[Path], Machine] = read_machine,
    free: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free,
) -> list[Check]:
    """Return the checks; something is written, or will be, in each of `folders`."""
    places = list(dict.fromkeys(folders))
    said = about()
    found = machine(places[0] if places else Path.cwd())
    checks = [_chip_check(said, found), _python(said), _memory(found), _swap(said, found)]
    checks += [
        GROUP.good(f"GPU {gpu.name}", gib(gpu.total_memory) if gpu.total_memory else "no size told")
        for gpu in found.gpus
    ]
    return checks + _disks(places, free)


def _chip_check(about: About, machine: Machine) -> Check:
    cores = ""
    if machine.performance_cores:
        cores = f", {machine.performance_cores} cores"
    if machine.efficiency_cores:
        cores = (
            f", {machine.performance_cores} performance and {machine.efficiency_cores} "
            "efficiency cores"
        )
    return GROUP.good("system", f"{about.system} ({about.kernel}), {about.chip}{cores}")


def _python(about: About) -> Check:
    if about.translated:
        return GROUP.warning(
            "python",
            f"{about.python} for Intel runs under Rosetta, which slows it down",
            "install a Python for Apple Silicon (brew install python), and swarm-exporter with it",
        )
    return GROUP.good("python", about.python)


def _memory(machine: Machine) -> Check:
    what = f"{gib(machine.total_memory)}, {gib(machine.available_memory)} available"
    if machine.pressure in ("warning", "critical"):
        return GROUP.warning(
            "memory",
            f"{what}; the pressure is {machine.pressure}",
            "run fewer nodes (`swarm-exporter plan` says how many fit), or close other programs",
        )
    return GROUP.good("memory", what + ("; no pressure" if machine.pressure == "normal" else ""))


def _swap(about: About, machine: Machine) -> Check:
    if about.swap_total is None or about.swap_used is None:
        return GROUP.absent("swap", "the system does not tell")
    if about.swap_total == 0:
        return GROUP.good("swap", "none in use")
    what = f"{gib(about.swap_used)} of {gib(about.swap_total)} in use"
    if about.swap_used > _MOST_SWAPPED * machine.total_memory:
        return GROUP.warning(
            "swap", what, "run fewer nodes: what trains from swap is slow and wears the disk"
        )
    return GROUP.good("swap", what)


def _disks(folders: list[Path], free: Callable[[Path], int]) -> list[Check]:
    checks, seen = [], set[int]()
    for folder in folders:
        place = existing(folder)
        try:
            if place is None or (device := place.stat().st_dev) in seen:
                continue
            seen.add(device)
            left = free(place)
        except OSError as error:
            checks.append(
                GROUP.failure(
                    f"disk of {folder}",
                    f"cannot be asked ({(error.strerror or '').lower()})",
                    "correct the path or its permissions",
                )
            )
            continue
        subject, what = f"disk of {folder}", f"{gib(left)} free"
        if left < LEAST_DISK_FREE:
            fix = "make room: logs, old models in ~/.cache/huggingface, unused environments"
            checks.append(GROUP.warning(subject, what, fix))
        else:
            checks.append(GROUP.good(subject, what))
    return checks


def _system() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _chip() -> tuple[str, bool]:
    """Return the chip's name, and whether this Python is translated for it."""
    if sys.platform == "darwin":
        darwin = Darwin()
        name = (darwin.sysctl("machdep.cpu.brand_string") or b"").rstrip(b"\0").decode()
        return name or platform.machine(), darwin.sysctl_int("sysctl.proc_translated") == 1
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model na"))
    except (OSError, StopIteration):
        name = platform.machine()
    return name, False
