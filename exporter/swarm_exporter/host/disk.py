"""Collector `disk`: room on the file systems that nodes and launcher use, and bytes of their disks.

A file system that hangs (a network that is gone) hangs this collector alone, and only those are
asked on which a folder of ours lies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.rising import RisingCounters
from swarm_exporter.model import HostFacts

_GIB = 1024**3


class FileSystem(msgspec.Struct, frozen=True, kw_only=True):
    """One file system; sizes in bytes."""

    mountpoint: str
    size: int
    #: What a user may still write; what is kept for root is not in it.
    free: int
    #: Files that can still be made; None where the file system has no such limit.
    inodes_free: int | None = None


class BlockDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A whole disk, or what a device mapper makes of some; bytes since the machine was started."""

    name: str
    read: int
    written: int


class Disks(HostFacts, frozen=True, kw_only=True):
    """One reading."""

    file_systems: tuple[FileSystem, ...] = ()
    devices: tuple[BlockDevice, ...] = ()


class Mount(msgspec.Struct, frozen=True):
    """Where a file system is mounted."""

    mountpoint: str
    #: Names the file system; on Linux MAJOR:MINOR of its device.
    key: str


class Platform(Protocol):
    """How one operating system knows its file systems and disks."""

    def mount(self, path: str, device: int) -> Mount:
        """Return what `path`, which has no links in it, lies on; `device` is its st_dev.

        Raises SourceError.
        """

    def devices(self, mounts: Iterable[Mount]) -> Mapping[str, tuple[int, int]]:
        """Return bytes read and written by device. Raises SourceError."""


StatVfs = Callable[[str], os.statvfs_result]


class MachineDisks(Collector):
    """Asks the file systems of the folders that the configuration names."""

    name = "disk"
    about = "free space and inodes where nodes and launcher write, bytes of those disks"

    def __init__(self, platform: Platform | None = None, statvfs: StatVfs = os.statvfs) -> None:
        """Read by these, by default as this platform does."""
        self._platform = platform or this_platform()
        self._statvfs = statvfs
        self._counters: RisingCounters[tuple[str, str]] = RisingCounters()

    def read(self, look: Look) -> Found:
        """Read each file system once. Raises SourceError where none can be read."""
        attempts = Attempts()
        mounts = self._mounts(folders(look.config), attempts)
        found = [attempts.of(self._ask, mount, path) for mount, path in mounts]
        file_systems = tuple(one for one in found if one is not None)
        devices = attempts.of(self._platform.devices, [mount for mount, _ in mounts])
        attempts.check(file_systems or None, devices or None)
        words = [f"{one.mountpoint} {one.free / _GIB:.0f} GiB free" for one in file_systems]
        return Found(
            Disks(file_systems=file_systems, devices=self._count(devices or {})),
            attempts.defects(),
            ", ".join(words),
        )

    def _mounts(self, paths: Iterable[Path], attempts: Attempts) -> list[tuple[Mount, str]]:
        """Return the file systems with one path on each."""
        seen: set[int] = set()
        mounts: dict[str, tuple[Mount, str]] = {}
        for path in paths:
            existing = attempts.of(nearest_existing, path)
            if existing is None or existing[1] in seen:
                continue
            real, device = os.path.realpath(existing[0]), existing[1]
            mount = attempts.of(self._platform.mount, real, device)
            if mount is not None:
                seen.add(device)
                mounts.setdefault(mount.key, (mount, real))
        return list(mounts.values())

    def _ask(self, mount: Mount, path: str) -> FileSystem | None:
        told = self._statvfs(path)
        if told.f_blocks == 0:
            return None  # It has no size, as those of the kernel itself.
        return FileSystem(
            mountpoint=mount.mountpoint,
            size=told.f_blocks * told.f_frsize,
            free=told.f_bavail * told.f_frsize,
            inodes_free=told.f_favail if told.f_files else None,
        )

    def _count(self, devices: Mapping[str, tuple[int, int]]) -> tuple[BlockDevice, ...]:
        self._counters.add(
            {
                (name, what): figure
                for name, figures in devices.items()
                for what, figure in zip(("read", "written"), figures, strict=True)
            }
        )
        totals = self._counters.totals
        return tuple(
            BlockDevice(
                name=name, read=int(totals[name, "read"]), written=int(totals[name, "written"])
            )
            for name in devices
        )


def folders(config: Config) -> list[Path]:
    """Return the folders that fill: of the nodes, of their logs, and of the exporter's state."""
    named = [node.folder for node in config.nodes if node.folder is not None]
    return [config.state_dir, *(part for folder in named for part in (folder, folder / "logs"))]


def nearest_existing(path: Path) -> tuple[str, int]:
    """Return the path, or the nearest folder above it that is there, and its st_dev.

    Raises OSError where it may not be looked for.
    """
    place = os.path.abspath(path)  # noqa: PTH100 - links are left as they are
    while True:
        try:
            return place, os.stat(place).st_dev  # noqa: PTH116 - for speed
        except (FileNotFoundError, NotADirectoryError):
            above = os.path.dirname(place)  # noqa: PTH120
            if above == place:
                raise
            place = above


def mountpoint_above(path: str, device: int) -> str:
    """Return the highest folder above `path` that is on the same device."""
    while True:
        above = os.path.dirname(path)  # noqa: PTH120
        if above == path or os.stat(above).st_dev != device:  # noqa: PTH116
            return path
        path = above


def this_platform() -> Platform:
    """Return how this operating system knows its disks."""
    if sys.platform == "darwin":
        from swarm_exporter.host.disk_darwin import DarwinDisks

        return DarwinDisks()
    from swarm_exporter.host.disk_linux import LinuxDisks

    return LinuxDisks()
