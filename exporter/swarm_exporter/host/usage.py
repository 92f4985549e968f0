"""What one process uses at one moment; how it is read is the platform's (usage_linux.py, …)."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from swarm_exporter.host.table import Row


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One process: bytes, seconds, joules. What cannot be read, or the platform lacks, is None."""

    cpu: float | None = None
    #: Of its children that have ended and been waited for.
    reaped_cpu: float | None = None
    #: On performance cores only; part of `cpu`.
    performance_cpu: float | None = None
    resident: int | None = None
    threads: int | None = None
    open_fds: int | None = None
    disk_read: int | None = None
    disk_written: int | None = None
    #: The same with what children that were waited for have read and written.
    reaped_disk_read: int | None = None
    reaped_disk_written: int | None = None
    energy: float | None = None


ReadUsage = Callable[[Row], Usage]


def platform_reader() -> ReadUsage:
    """Return how this platform reads a process."""
    if sys.platform == "darwin":
        from swarm_exporter.host.usage_darwin import DarwinUsage

        return DarwinUsage().read
    from swarm_exporter.host.usage_linux import read_usage

    return read_usage
