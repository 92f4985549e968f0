"""Pressure on Linux: stall information (/proc/pressure, 4.20) and oom_kill of /proc/vmstat (4.13).

Kernels may be built without the former, or started with psi=0.
"""

from __future__ import annotations

import re
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.kernel_file import read_kernel_file
from swarm_exporter.host.pressure import Pressure
from swarm_exporter.host.vmstat_linux import read_vmstat
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_OOM_KILLS = "oom_kill"
_LINE = re.compile(rb"^(some|full) .*\btotal=(\d{1,20})$", re.MULTILINE)
_MICROSECONDS = 1e6
#: There is always a task that runs while others wait for a processor: `full` of cpu is undefined,
#: and told as 0 since 5.13 (Documentation/accounting/psi.rst).
_KINDS = {"memory": ("some", "full"), "cpu": ("some",), "io": ("some", "full")}


def linux_pressure(attempts: Attempts, root: Path) -> Pressure:
    """Return the pressure since the start of the machine; `root` holds /proc."""
    stalled = {}
    for resource, kinds in _KINDS.items():
        seconds = attempts.of(read_stalled, root, resource)
        if seconds:
            stalled[resource] = {kind: seconds[kind] for kind in kinds if kind in seconds}
    counted = attempts.of(read_vmstat, root, _OOM_KILLS) or {}
    return Pressure(stalled=stalled, oom_kills=counted.get(_OOM_KILLS))


def linux_is_told(root: Path) -> bool:
    """Tell whether the kernel has any of it; what may not be read is there too."""
    try:
        return any(read_stalled(root, resource) for resource in _KINDS) or bool(
            read_vmstat(root, _OOM_KILLS)
        )
    except SourceError as error:
        return error.reason is not Reason.MISSING


def read_stalled(root: Path, resource: str) -> dict[str, float]:
    """Return the stalled seconds by kind; empty where the kernel does not count them.

    Raises SourceError.
    """
    content = read_kernel_file(root / "proc/pressure" / resource)
    if content is None:
        return {}
    seconds = parse_stalled(content)
    if not seconds:
        raise SourceError(Reason.MALFORMED, f"/proc/pressure/{resource}: no total")
    return seconds


def parse_stalled(content: bytes) -> dict[str, float]:
    """Read the totals of one file."""
    return {kind.decode(): int(total) / _MICROSECONDS for kind, total in _LINE.findall(content)}
