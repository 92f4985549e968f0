"""The memory of Linux: /proc/meminfo (proc(5)), and the limits of control groups.

psutil gives 0 for a row that a kernel or container lacks; here it is absent.
"""

from __future__ import annotations

import re
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.kernel_file import require_kernel_file
from swarm_exporter.host.memory import Memory
from swarm_exporter.launcher.cgroups import MemoryLimit, memory_limits
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_ROW = re.compile(rb"^(\w+):[ \t]+(\d{1,15}) kB$", re.MULTILINE)
_KIB = 1024
_KINDS = {
    "total": "MemTotal",
    "available": "MemAvailable",
    "free": "MemFree",
    "buffers": "Buffers",
    "cached": "Cached",
    "shared": "Shmem",
    "slab": "Slab",
}


def read_meminfo(root: Path) -> dict[str, int]:
    """Return the rows of /proc/meminfo that are sizes, in bytes. Raises SourceError."""
    rows = parse_meminfo(require_kernel_file(root / "proc/meminfo"))
    if not rows:
        raise SourceError(Reason.MALFORMED, "/proc/meminfo: no row of it is a size")
    return rows


def parse_meminfo(content: bytes) -> dict[str, int]:
    """Read the rows that are sizes, in bytes."""
    return {name.decode(): int(figure) * _KIB for name, figure in _ROW.findall(content)}


def linux_memory(attempts: Attempts, root: Path) -> Memory:
    """Return how the memory is divided now; `root` holds /proc and /sys."""
    rows = attempts.of(read_meminfo, root) or {}
    sizes = {kind: rows[row] for kind, row in _KINDS.items() if row in rows}
    total, available = sizes.get("total"), sizes.get("available")
    if total is None:
        return Memory(sizes=sizes)
    if available is not None and available > total:
        # Some containers are told their own total and the machine's rest.
        attempts.fail(Reason.INVALID_VALUE, "/proc/meminfo: more is available than there is")
        del sizes["available"]
        available = None
    if available is not None:
        sizes["used"] = total - available
    limit = _tightest(root, total)
    return Memory(
        sizes=sizes,
        available_ratio=available / total if available is not None and total else None,
        limit=limit.limit if limit else None,
        limit_used=limit.used if limit else None,
    )


def _tightest(root: Path, total: int) -> MemoryLimit | None:
    """Return the limit that is reached first; those above the machine's memory limit nothing."""
    limits = [limit for limit in memory_limits(root) if limit.limit < total]
    return min(limits, key=lambda limit: limit.limit - limit.used, default=None)
