"""Collector `footprint`: the memory that a node really takes, of shared pages only its share.

Linux: Pss and SwapPss of /proc/PID/smaps_rollup (4.14). macOS: ri_phys_footprint of
proc_pid_rusage, what Activity Monitor shows as memory, GPU buffers included.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason

_KIB = 1024


class Footprint(msgspec.Struct, frozen=True):
    """The memory of one process, or of a whole node; bytes."""

    size: int
    #: The largest that it ever was; None where the platform does not tell.
    peak: int | None = None


ReadFootprint = Callable[[int], Footprint]


class Footprints(HostFacts, frozen=True, kw_only=True):
    """The footprint of each node that runs, by its name.

    The peak is that of the process that the node begins with: peaks at different times do not add
    up.
    """

    nodes: Mapping[str, Footprint]


class MemoryFootprint(Collector):
    """Reads the footprint of each process of each node."""

    name = "footprint"
    about = "memory that each node really takes (smaps_rollup, proc_pid_rusage)"
    # On Linux the kernel walks the page tables: milliseconds for each gigabyte.
    shortest_interval = 0.0 if sys.platform == "darwin" else 60.0

    def __init__(self, read: ReadFootprint | None = None) -> None:
        """Read by `read`, by default as this platform does."""
        self._read = read

    def read(self, look: Look) -> Found:
        """Read every process of every node once; a node that cannot be read whole is absent."""
        read = self._read = self._read or platform_footprint()
        nodes, defects = {}, []
        for name, members in look.members().items():
            total, peak, found = 0, None, False
            try:
                for member in members:
                    one = _of(member.pid, read)
                    if one is not None:
                        total, found = total + one.size, True
                        peak = one.peak if member.root else peak
            except OSError as error:
                refusal = isinstance(error, PermissionError)
                defects.append(Reason.PERMISSION if refusal else Reason.UNREADABLE)
                continue
            if found:
                nodes[name] = Footprint(total, peak)
        return Found(
            Footprints(nodes=nodes),
            tuple(defects),
            f"memory of {len(nodes)} nodes",
        )


def platform_footprint() -> ReadFootprint:
    """Return how this platform reads a process' footprint.

    It raises ProcessLookupError where the process is gone, PermissionError where this user may not
    read it.
    """
    if sys.platform == "darwin":
        from swarm_exporter.host.darwin import Darwin

        darwin = Darwin()

        def read(pid: int) -> Footprint:
            used = darwin.rusage(pid)
            return Footprint(used.footprint, used.peak_footprint)

        return read
    return linux_footprint


def linux_footprint(pid: int, proc: str = "/proc") -> Footprint:
    """Return a process' proportional memory. Raises as `platform_footprint` says."""
    try:
        with open(f"{proc}/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 - for speed
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    sizes = [
        int(line.split()[1]) * _KIB for line in lines if line.startswith((b"Pss:", b"SwapPss:"))
    ]
    if not sizes:  # A kernel thread, or a process that is ending.
        raise ProcessLookupError(pid)
    return Footprint(sum(sizes))


def _of(pid: int, read: ReadFootprint) -> Footprint | None:
    try:
        return read(pid)
    except ProcessLookupError:
        return None
