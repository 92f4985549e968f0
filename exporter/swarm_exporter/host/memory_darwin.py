"""The memory of a Mac: vm_stat, sysctl's kern.memorystatus_level, and psutil for its size."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.memory import Memory
from swarm_exporter.host.sysctl_darwin import Sysctl
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.host.vm_stat import read_vm_stat
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_KINDS = (
    "free",
    "active",
    "inactive",
    "wired",
    "compressed",
    "speculative",
    "purgeable",
    "file_backed",
    "anonymous",
)


def total_and_available() -> tuple[int, int]:
    """Return what there is, and what programs can get without compressing or swapping; bytes."""
    memory = psutil.virtual_memory()
    return memory.total, memory.available


def darwin_memory(
    attempts: Attempts,
    sysctl: Sysctl,
    run: Run = run_tool,
    ask: Callable[[], tuple[int, int]] = total_and_available,
) -> Memory:
    """Return how the memory is divided now."""
    sizes: dict[str, int] = {}
    known = attempts.of(ask)
    if known is not None:
        sizes["total"], sizes["available"] = known
    parts = attempts.of(read_vm_stat, run)
    if parts is not None:
        told = {kind: getattr(parts, kind) for kind in _KINDS}
        sizes.update({kind: size for kind, size in told.items() if size is not None})
    return Memory(
        sizes=sizes,
        available_ratio=attempts.of(_available_ratio, sysctl),
        compressions=parts.compressions if parts else None,
        decompressions=parts.decompressions if parts else None,
    )


def _available_ratio(sysctl: Sysctl) -> float:
    percent = sysctl.sysctl_int("kern.memorystatus_level")
    if percent is None:
        raise SourceError(Reason.MISSING, "the kernel has no kern.memorystatus_level")
    if not 0 <= percent <= 100:
        raise SourceError(Reason.MALFORMED, "kern.memorystatus_level is no percentage")
    return percent / 100
