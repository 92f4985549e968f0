"""Collector `pressure`: what the shortage of memory, processors and disks costs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts


class Pressure(HostFacts, frozen=True, kw_only=True):
    """One reading. A Mac tells a level, Linux how long there was something to wait for."""

    #: macOS: 1 normal, 2 warning, 4 critical.
    memory_level: int | None = None
    #: Linux: seconds since the start of the machine in which some, or all, tasks waited. By
    #: resource (memory, cpu, io), then `some` and `full`.
    stalled: Mapping[str, Mapping[str, float]] = {}
    #: Linux: processes that were killed for want of memory since the start of the machine.
    oom_kills: int | None = None


#: Read the pressure; a failure is told to the attempts and costs its figures alone.
ReadPressure = Callable[[Attempts], Pressure]


class MachinePressure(Collector):
    """Asks the kernel."""

    name = "pressure"
    about = "shortage of memory, CPU and disks, OOM kills (/proc/pressure, memorystatus)"

    def __init__(
        self, read: ReadPressure | None = None, is_told: Callable[[], bool] | None = None
    ) -> None:
        """Read by these, by default as this platform does."""
        self._read = read
        self._is_told = is_told or platform_is_told()

    def is_present(self) -> bool:
        """Tell whether this kernel knows of any pressure."""
        return self._is_told()

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where nothing can be read."""
        read = self._read = self._read or platform_pressure()
        attempts = Attempts()
        facts = read(attempts)
        attempts.check(facts.memory_level, facts.stalled or None, facts.oom_kills)
        return Found(facts, attempts.defects(), ", ".join(facts.stalled))


def platform_pressure() -> ReadPressure:
    """Return how this platform tells of pressure."""
    if sys.platform == "darwin":
        from swarm_exporter.host.pressure_darwin import darwin_pressure
        from swarm_exporter.host.sysctl_darwin import sysctl_of_this_mac

        sysctl = sysctl_of_this_mac()
        return lambda attempts: darwin_pressure(attempts, sysctl)
    from swarm_exporter.host.pressure_linux import linux_pressure

    return lambda attempts: linux_pressure(attempts, Path("/"))


def platform_is_told() -> Callable[[], bool]:
    """Return how to tell whether this kernel knows of pressure."""
    if sys.platform == "darwin":
        return lambda: True
    from swarm_exporter.host.pressure_linux import linux_is_told

    return lambda: linux_is_told(Path("/"))
