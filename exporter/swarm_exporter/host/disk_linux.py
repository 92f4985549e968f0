"""File systems and disks of Linux: /proc/self/mountinfo (proc(5)), /sys/dev/block and `stat` there.

The kernel documents the counters in Documentation/block/stat.rst; its sectors have 512 bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from swarm_exporter.host.disk import Mount, mountpoint_above
from swarm_exporter.host.kernel_file import read_kernel_file, require_kernel_file
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_SECTOR = 512
_SECTORS_READ, _SECTORS_WRITTEN = 2, 6
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_LEAST_FIELDS = 5


class MountedHere(msgspec.Struct, frozen=True):
    """One line of mountinfo."""

    mountpoint: str
    #: MAJOR:MINOR.
    device: str


class LinuxDisks:
    """Reads what the kernel tells; `root` holds /proc and /sys."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Read nothing yet."""
        self._root = root

    def mount(self, path: str, device: int) -> Mount:
        """Return what `path` lies on. Raises SourceError."""
        mounts = parse_mountinfo(require_kernel_file(self._root / "proc/self/mountinfo"))
        number = f"{os.major(device)}:{os.minor(device)}"
        found = find_mount(mounts, path, number)
        if found is None:  # As in a chroot that begins inside a file system.
            return Mount(mountpoint_above(path, device), number)
        return Mount(found.mountpoint, found.device)

    def devices(self, mounts: Iterable[Mount]) -> dict[str, tuple[int, int]]:
        """Return bytes read and written by whole disk. Raises SourceError.

        A file system that lies on no block device of its own (tmpfs, overlay, btrfs, NFS) has none.
        """
        found = {}
        for mount in mounts:
            folder = whole_disk(self._root / "sys/dev/block" / mount.key)
            if folder is not None:
                # A slash in a device's name, as in cciss/c0d0, is an exclamation mark in sysfs.
                name = folder.name.replace("!", "/")
                content = read_kernel_file(folder / "stat")
                if content is not None:
                    found[name] = parse_block_stat(content)
        return found


def whole_disk(device: Path) -> Path | None:
    """Return the folder of the disk that a device is, or is a partition of."""
    try:
        folder = device.resolve(strict=True)
    except OSError:
        return None
    return folder.parent if (folder / "partition").exists() else folder


def parse_block_stat(content: bytes) -> tuple[int, int]:
    """Return bytes read and written. Raises SourceError (malformed)."""
    fields = content.split()
    try:
        return int(fields[_SECTORS_READ]) * _SECTOR, int(fields[_SECTORS_WRITTEN]) * _SECTOR
    except (IndexError, ValueError):
        raise SourceError(Reason.MALFORMED, "a disk's stat has no sectors") from None


def parse_mountinfo(content: bytes) -> list[MountedHere]:
    """Read /proc/self/mountinfo; later lines lie over earlier ones."""
    rows = (line.split() for line in content.splitlines())
    return [
        MountedHere(os.fsdecode(_unescape(fields[4])), fields[2].decode("ascii", "replace"))
        for fields in rows
        if len(fields) >= _LEAST_FIELDS
    ]


def find_mount(mounts: Iterable[MountedHere], path: str, device: str) -> MountedHere | None:
    """Return the mount that `path` lies on: the deepest of its device, else the deepest of all.

    A subvolume of btrfs has a device number of its own, which is not that of its mount.
    """
    above = [mount for mount in mounts if is_below(path, mount.mountpoint)]
    own = [mount for mount in above if mount.device == device]
    # Of equally deep ones the last lies on top.
    return max(reversed(own or above), key=lambda mount: len(mount.mountpoint), default=None)


def is_below(path: str, folder: str) -> bool:
    """Tell whether `path` is `folder` or in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unescape(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8) & 0xFF]), field)
