"""The swap of Linux: /proc/meminfo, and pswpin and pswpout of /proc/vmstat (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.memory_linux import read_meminfo
from swarm_exporter.host.swap import Swap
from swarm_exporter.host.vmstat_linux import read_vmstat


def linux_swap(attempts: Attempts, root: Path) -> Swap:
    """Return how much is swapped; `root` holds /proc. Kernels without swap have no counters."""
    rows = attempts.of(read_meminfo, root) or {}
    counted = attempts.of(read_vmstat, root, "pswpin", "pswpout") or {}
    total, free = rows.get("SwapTotal"), rows.get("SwapFree")
    page = os.sysconf("SC_PAGE_SIZE")
    moved = {name: pages * page for name, pages in counted.items()}
    return Swap(
        used=max(total - free, 0) if total is not None and free is not None else None,
        total=total,
        swapped_in=moved.get("pswpin"),
        swapped_out=moved.get("pswpout"),
    )
