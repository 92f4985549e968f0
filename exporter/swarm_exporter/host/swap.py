"""Collector `swap`: how much memory lies on the disk, and how much went there and came back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts


class Swap(HostFacts, frozen=True, kw_only=True):
    """One reading; bytes."""

    used: int | None = None
    #: What may be used; macOS makes it as it is needed.
    total: int | None = None
    #: Read back and written since the machine was started.
    swapped_in: int | None = None
    swapped_out: int | None = None


#: Read the swap; a failure is told to the attempts and costs its figures alone.
ReadSwap = Callable[[Attempts], Swap]


class MachineSwap(Collector):
    """Asks the kernel, on macOS also vm_stat."""

    name = "swap"
    about = "swap in use, swapped in and out (/proc/vmstat, vm.swapusage, vm_stat)"

    def __init__(self, read: ReadSwap | None = None) -> None:
        """Read by `read`, by default as this platform does."""
        self._read = read or platform_swap()

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where nothing can be read."""
        attempts = Attempts()
        facts = self._read(attempts)
        attempts.check(facts.used, facts.total, facts.swapped_in, facts.swapped_out)
        return Found(facts, attempts.defects(), "no swap" if facts.total == 0 else "")


def platform_swap() -> ReadSwap:
    """Return how this platform tells of its swap."""
    if sys.platform == "darwin":
        from swarm_exporter.host.swap_darwin import darwin_swap

        return darwin_swap
    from swarm_exporter.host.swap_linux import linux_swap

    return lambda attempts: linux_swap(attempts, Path("/"))
