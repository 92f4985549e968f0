"""Collector `memory`: how the machine's memory is divided, and how much of it can still be had."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts

_GIB = 1024**3


class Memory(HostFacts, frozen=True, kw_only=True):
    """One reading. The kinds overlap and do not add up."""

    #: Bytes by kind. Both platforms: total, available, free. Linux: used, buffers, cached, shared,
    #: slab. macOS: active, inactive, wired, compressed, speculative, purgeable, file_backed,
    #: anonymous.
    sizes: Mapping[str, int]
    #: Share of the memory that programs can get, as the kernel judges.
    available_ratio: float | None = None
    #: macOS: pages that were compressed and decompressed since the machine was started.
    compressions: int | None = None
    decompressions: int | None = None
    #: Linux, in a control group with a limit below the machine's memory: the limit, and what the
    #: group takes of it; bytes.
    limit: int | None = None
    limit_used: int | None = None


#: Read the memory; a failure is told to the attempts and costs its figures alone.
ReadMemory = Callable[[Attempts], Memory]


class MachineMemory(Collector):
    """Asks the kernel, on macOS also vm_stat."""

    name = "memory"
    about = "memory by kind, and what is available (/proc/meminfo, vm_stat)"

    def __init__(self, read: ReadMemory | None = None) -> None:
        """Read by `read`, by default as this platform does."""
        self._read = read

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where nothing can be read."""
        read = self._read = self._read or platform_memory()
        attempts = Attempts()
        facts = read(attempts)
        attempts.check(facts.sizes or None, facts.available_ratio)
        total = facts.sizes.get("total")
        words = f"{total / _GIB:.0f} GiB" if total is not None else ""
        return Found(facts, attempts.defects(), words)


def platform_memory() -> ReadMemory:
    """Return how this platform tells of its memory."""
    if sys.platform == "darwin":
        from swarm_exporter.host.memory_darwin import darwin_memory
        from swarm_exporter.host.sysctl_darwin import sysctl_of_this_mac

        sysctl = sysctl_of_this_mac()
        return lambda attempts: darwin_memory(attempts, sysctl)
    from swarm_exporter.host.memory_linux import linux_memory

    return lambda attempts: linux_memory(attempts, Path("/"))
