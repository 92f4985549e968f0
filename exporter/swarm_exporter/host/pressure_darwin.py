"""Pressure on macOS: kern.memorystatus_vm_pressure_level of xnu."""

from __future__ import annotations

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.pressure import Pressure
from swarm_exporter.host.sysctl_darwin import Sysctl
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_LEVEL = "kern.memorystatus_vm_pressure_level"
_LEVELS = (1, 2, 4)


def darwin_pressure(attempts: Attempts, sysctl: Sysctl) -> Pressure:
    """Return the level of now."""
    return Pressure(memory_level=attempts.of(_level, sysctl))


def _level(sysctl: Sysctl) -> int:
    level = sysctl.sysctl_int(_LEVEL)
    if level is None:
        raise SourceError(Reason.MISSING, f"the kernel has no {_LEVEL}")
    if level not in _LEVELS:
        raise SourceError(Reason.MALFORMED, f"{_LEVEL} is {level}")
    return level
