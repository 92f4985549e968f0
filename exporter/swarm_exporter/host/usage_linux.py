"""What one process uses, on Linux: /proc/PID/stat, /proc/PID/fd and /proc/PID/io (proc(5))."""

from __future__ import annotations

import os

from swarm_exporter.host.table import Row, read_row
from swarm_exporter.host.usage import Usage

_PROC = "/proc"


def read_usage(row: Row, proc: str = _PROC) -> Usage:
    """Read one process; what this user may not read is None.

    Raises ProcessLookupError where the process of `row` is gone.
    """
    now = read_row(row.pid, proc)
    if now is None or now.start != row.start:
        raise ProcessLookupError(row.pid)
    if now.zombie:
        return Usage(cpu=now.cpu, reaped_cpu=now.reaped_cpu, threads=0, open_fds=0, resident=0)
    read, written = _disk(proc, row.pid)
    return Usage(
        cpu=now.cpu,
        reaped_cpu=now.reaped_cpu,
        resident=now.resident,
        threads=now.threads,
        open_fds=_open_fds(proc, row.pid),
        reaped_disk_read=read,
        reaped_disk_written=written,
    )


def _open_fds(proc: str, pid: int) -> int | None:
    """Return how many files are open. Raises ProcessLookupError where it has ended meanwhile."""
    try:
        return len(os.listdir(f"{proc}/{pid}/fd"))  # noqa: PTH208 - for speed
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    except OSError:
        return None


def _disk(proc: str, pid: int) -> tuple[int | None, int | None]:
    """Return bytes read from and written to disks, children that were waited for included."""
    try:
        with open(f"{proc}/{pid}/io", "rb") as file:  # noqa: PTH123 - for speed
            fields = dict(line.split(b": ", 1) for line in file.read().splitlines())
        return int(fields[b"read_bytes"]), int(fields[b"write_bytes"])
    except (OSError, KeyError, ValueError):
        return None, None
