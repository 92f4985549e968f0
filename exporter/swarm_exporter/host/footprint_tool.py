"""`/usr/bin/footprint`: what macOS says of GPU memory where the kernel's ledgers are not to be had.

Only rows that end in "(graphics)" are GPU memory: the plain "IOAccelerator" row is a tag that other
allocators use too. "Dirty" holds what is swapped or compressed, which "(Swapped)" tells apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from swarm_exporter.host.tool import Run

_TOOL = "/usr/bin/footprint"
#: It walks the memory of each process; 40 to 110 ms were seen for one.
_TIMEOUT_SECONDS = 5.0
_SECONDS_PER_PROCESS = 0.1
_PROCESS = re.compile(r".+ \[(\d+)\]: \d+-bit\s+Footprint: ")
_ROW = re.compile(r"\s*((?:\d+(?:\.\d+)? [KMGT]?B\s+)+)(\d+)\s+(\S.*?)\s*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ([KMGT]?B)")
_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_COLUMN = re.compile(r"\(?[A-Z][a-z]+\)?")


class GraphicsMemory(msgspec.Struct, frozen=True):
    """GPU memory of one process, bytes."""

    resident: int
    #: Compressed, or swapped out.
    compressed: int


def read_footprint(run: Run, pids: Sequence[int]) -> dict[int, GraphicsMemory]:
    """Return the GPU memory of processes by their pids, in one run of the tool.

    What it does not tell of is left out. Raises SourceError where the tool fails.
    """
    chosen = [word for pid in pids for word in ("-p", str(pid))]
    timeout = _TIMEOUT_SECONDS + _SECONDS_PER_PROCESS * len(pids)
    tables = parse_footprint(run([_TOOL, "-f", "bytes", "--swapped", *chosen], timeout))
    # `-p` matches names too, so that a stranger may have a table.
    return {pid: tables[pid] for pid in pids if pid in tables}


def parse_footprint(output: bytes) -> dict[int, GraphicsMemory]:
    """Return the GPU memory of each process that has a table with the columns it takes."""
    found: dict[int, GraphicsMemory] = {}
    pid: int | None = None
    columns: list[str] = []
    for line in output.decode("utf-8", "replace").splitlines():
        process = _PROCESS.match(line)
        if process is not None or "Footprint:" in line:
            # A name chooses processes too: only the pid in the heading tells which one this is.
            pid, columns = (int(process[1]) if process is not None else None), []
        elif "Dirty" in line and "Category" in line:
            columns = _COLUMN.findall(line)
            if pid is not None and {"Dirty", "(Swapped)"} <= set(columns):
                found[pid] = GraphicsMemory(0, 0)
        elif pid in found and (row := _ROW.fullmatch(line)) and row[3].endswith("(graphics)"):
            sizes = [_bytes(number, unit) for number, unit in _SIZE.findall(row[1])]
            figures = dict(zip(columns, sizes, strict=False))
            swapped = figures.get("(Swapped)", 0)
            found[pid] = GraphicsMemory(
                found[pid].resident + max(figures.get("Dirty", 0) - swapped, 0),
                found[pid].compressed + swapped,
            )
    return found


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * _UNITS[unit])
