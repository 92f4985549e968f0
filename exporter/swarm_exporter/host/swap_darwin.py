"""The swap of a Mac: vm.swapusage through psutil, and Swapins and Swapouts of vm_stat.

psutil's own `sin` and `sout` are page-ins and page-outs there, files included.
"""

from __future__ import annotations

from collections.abc import Callable

import psutil

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.swap import Swap
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.host.vm_stat import read_vm_stat


def used_and_total() -> tuple[int, int]:
    """Return what lies on the disk, and the size of the files that it lies in; bytes."""
    swap = psutil.swap_memory()
    return swap.used, swap.total


def darwin_swap(
    attempts: Attempts,
    run: Run = run_tool,
    ask: Callable[[], tuple[int, int]] = used_and_total,
) -> Swap:
    """Return how much is swapped."""
    used, total = attempts.of(ask) or (None, None)
    moved = attempts.of(read_vm_stat, run)
    return Swap(
        used=used,
        total=total,
        swapped_in=moved.swapins if moved else None,
        swapped_out=moved.swapouts if moved else None,
    )
