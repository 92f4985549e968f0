"""File systems and disks of a Mac: stat(2), and the I/O registry's block storage through psutil."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping

import psutil

from swarm_exporter.host.disk import Mount, mountpoint_above
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: Where people's files really are: folders of / are joined to it by firmlinks, so that going up
#: from them would end at /Users (macOS 10.15 and later).
DATA = "/System/Volumes/Data"
_WHOLE_DISK = re.compile(r"disk\d{1,4}")
#: Disk images are disks too, and come and go.
_MOST_DISKS = 16


def read_and_written() -> Mapping[str, tuple[int, int]]:
    """Return bytes read and written by disk, since the machine was started."""
    found = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    return {name: (disk.read_bytes, disk.write_bytes) for name, disk in found.items()}


def device_of(path: str) -> int:
    """Return the device that a path is on. Raises OSError."""
    return os.stat(path).st_dev  # noqa: PTH116 - no more is wanted of it


class DarwinDisks:
    """Asks the system."""

    def __init__(
        self,
        ask: Callable[[], Mapping[str, tuple[int, int]]] = read_and_written,
        device_of: Callable[[str], int] = device_of,
        above: Callable[[str, int], str] = mountpoint_above,
    ) -> None:
        """Ask nothing yet."""
        self._ask = ask
        self._device_of = device_of
        self._above = above

    def mount(self, path: str, device: int) -> Mount:
        """Return what `path` lies on."""
        return Mount(DATA if self._is_data(device) else self._above(path, device), str(device))

    def devices(self, mounts: Iterable[Mount]) -> dict[str, tuple[int, int]]:  # noqa: ARG002
        """Return bytes read and written of all whole disks: APFS spreads a volume over them.

        Raises SourceError.
        """
        try:
            found = self._ask()
        except (OSError, RuntimeError):
            raise SourceError(Reason.UNREADABLE, "the I/O registry tells no disk") from None
        whole = [name for name in found if _WHOLE_DISK.fullmatch(name)]
        return {name: found[name] for name in sorted(whole, key=_number)[:_MOST_DISKS]}

    def _is_data(self, device: int) -> bool:
        try:
            return self._device_of(DATA) == device
        except OSError:
            return False


def _number(name: str) -> int:
    return int(name.removeprefix("disk"))
