"""The processors of Linux: /proc/stat (proc(5)), and the kinds of cores of a hybrid Intel chip.

psutil reads the same file, but numbers the processors by their lines: with one switched off, all
behind it would be taken for their neighbours.
"""

from __future__ import annotations

import os
from pathlib import Path

from swarm_exporter.host.cpu import MODES
from swarm_exporter.host.kernel_file import read_kernel_file, require_kernel_file
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: Performance counters of each kind of core (perf of Linux 5.13, the last one of 6.12).
_KINDS = {
    "cpu_core": "performance",
    "cpu_atom": "efficiency",
    "cpu_lowpower": "efficiency",
}
_MOST_CPUS = 16_384


def linux_times(root: Path) -> dict[int, dict[str, float]]:
    """Return the times of the processors that are switched on. Raises SourceError."""
    return parse_stat(require_kernel_file(root / "proc/stat"), os.sysconf("SC_CLK_TCK"))


def parse_stat(content: bytes, ticks: int) -> dict[int, dict[str, float]]:
    """Read /proc/stat, with `ticks` a second. Raises SourceError (malformed)."""
    times: dict[int, dict[str, float]] = {}
    for line in content.splitlines():
        if not line.startswith(b"cpu"):
            break  # They are the first lines; those of interrupts are long.
        name, *figures = line.split()
        if name == b"cpu":
            continue
        try:
            times[int(name[3:])] = {
                mode: int(figure) / ticks for mode, figure in zip(MODES, figures, strict=False)
            }
        except ValueError:
            raise SourceError(Reason.MALFORMED, "/proc/stat: no number of a processor") from None
    return times


def linux_clusters(root: Path) -> dict[int, str]:
    """Return the kind of each core; empty where all are of one kind."""
    clusters: dict[int, str] = {}
    for device, kind in _KINDS.items():
        try:
            content = read_kernel_file(root / "sys/devices" / device / "cpus")
        except SourceError:
            continue
        clusters.update(dict.fromkeys(parse_cpu_list(content or b""), kind))
    return clusters


def parse_cpu_list(content: bytes) -> tuple[int, ...]:
    """Read a list of processors such as 0-7,12; empty where it is none."""
    cpus: list[int] = []
    for part in content.decode("ascii", "replace").strip().split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            return ()
        end = int(last or first)
        if end >= _MOST_CPUS:
            return ()
        cpus += range(int(first), end + 1)
    return tuple(cpus)
