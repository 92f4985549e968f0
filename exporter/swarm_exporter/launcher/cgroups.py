"""What a container may use: limits of memory and processors of Linux control groups, v1 and v2.

Facts from /proc/self/cgroup and the files below /sys/fs/cgroup of Linux 4.5 and later.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

_GROUPS = "sys/fs/cgroup"


class MemoryLimit(msgspec.Struct, frozen=True):
    """One group's limit of memory, in bytes."""

    limit: int
    #: What its processes hold, less the file cache that the kernel gives up on demand.
    used: int


def memory_limits(root: Path) -> list[MemoryLimit]:
    """Return the limits of this process' groups; all of them hold. Empty without a limit."""
    limits = []
    for folder, version in _folders(root, "memory"):
        names = _MEMORY_FILES[version]
        limit = _number(folder / names.limit)
        if limit is not None:
            used = _number(folder / names.used) or 0
            cache = _field(folder / "memory.stat", names.cache) or 0
            limits.append(MemoryLimit(limit, max(0, used - cache)))
    return limits


def cpu_limit(root: Path) -> float | None:
    """Return how many processors' time this process' groups may use, or None without a limit."""
    limits = [
        quota / period
        for folder, version in _folders(root, "cpu")
        for quota, period in [_quota_v2(folder) if version == 2 else _quota_v1(folder)]
        if quota is not None and period is not None and quota > 0 and period > 0
    ]
    return min(limits, default=None)


class _MemoryFiles(msgspec.Struct, frozen=True):
    limit: str
    used: str
    cache: str


_MEMORY_FILES = {
    1: _MemoryFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: _MemoryFiles("memory.max", "memory.current", "inactive_file"),
}


def _folders(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder of every group above this process, with its version.

    In a container the path is often the host's and not there: then the mounted root alone counts.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, version = root / _GROUPS, 2
        elif controller in controllers.split(","):
            top, version = root / _GROUPS / controller, 1
        else:
            continue
        parts = [part for part in path.split("/") if part]
        if ".." in parts:
            parts = []
        for depth in range(len(parts), -1, -1):
            yield top.joinpath(*parts[:depth]), version


def _quota_v2(folder: Path) -> tuple[int | None, int | None]:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return _whole(quota), _whole(period)


def _quota_v1(folder: Path) -> tuple[int | None, int | None]:
    return _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")


def _number(path: Path) -> int | None:
    return _whole(_text(path))


def _field(path: Path, name: str) -> int | None:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _whole(value)
    return None


def _whole(text: str) -> int | None:
    """Return a whole number; `max` and `-1` are no limit."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
