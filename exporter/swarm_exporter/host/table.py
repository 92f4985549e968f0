"""The machine's processes at one moment, in one pass, and which of them make up a tree.

Linux: /proc/PID/stat (proc(5)), one read for each process. macOS: psutil (sysctl KERN_PROC).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import psutil

_LINUX = sys.platform.startswith("linux")
_PROC = "/proc"
#: Enough for the longest line of /proc/PID/stat.
_STAT_BYTES = 1024
_TICKS = float(os.sysconf("SC_CLK_TCK"))
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Row(msgspec.Struct, frozen=True):
    """One process. What the platform does not tell in the same read is None."""

    pid: int
    parent: int
    #: Its session, as setsid(2) makes one; None where it may not be asked.
    session: int | None
    group: int | None
    #: Tells it from a later process with the same pid. Linux: clock ticks since the boot, which
    #: no change of the clock touches; macOS: Unix seconds.
    start: float
    #: Of its program, cut by the kernel. It changes with the program (execve(2)).
    name: bytes | str = ""
    zombie: bool = False
    #: Processor seconds of its own, and those of its children that have ended and been waited for.
    cpu: float | None = None
    reaped_cpu: float | None = None
    threads: int | None = None
    resident: int | None = None


Table = Mapping[int, Row]


def read_table(proc: str = _PROC) -> dict[int, Row]:
    """Return every process of the machine by its pid; what vanishes in mid-read is left out."""
    if _LINUX:
        return {row.pid: row for row in _linux_rows(proc)}
    return {row.pid: row for row in _psutil_rows()}


def read_row(pid: int, proc: str = _PROC) -> Row | None:
    """Return one process, or None where there is none."""
    if _LINUX:
        return _linux_row(proc, pid)
    with contextlib.suppress(psutil.Error, OSError):
        return _psutil_row(psutil.Process(pid))
    return None


def age_of(start: float) -> float:
    """Return for how many seconds a process with this `Row.start` has run."""
    if _LINUX:
        return time.clock_gettime(time.CLOCK_BOOTTIME) - start / _TICKS
    return time.time() - start


def children_of(table: Table) -> dict[int, list[int]]:
    """Return the children of each process that has some."""
    children: dict[int, list[int]] = {}
    for row in table.values():
        children.setdefault(row.parent, []).append(row.pid)
    return children


def lineage(pid: int, table: Table) -> list[int]:
    """Return a process and its ancestors, the nearest first."""
    found: list[int] = []
    while pid and pid not in found:
        found.append(pid)
        row = table.get(pid)
        pid = row.parent if row is not None else 0
    return found


def closure(
    table: Table,
    children: Mapping[int, Iterable[int]],
    roots: Iterable[int],
    outside: Collection[int] = (),
) -> set[int]:
    """Return `roots`, their descendants, and whatever shares a session with one of these.

    A child that has cleared its environment and outlived its parent is still in the session that
    the tree has led. `outside` and its sessions are left out.
    """
    foreign = {table[pid].session for pid in outside if pid in table} | {None}
    by_session: dict[int | None, list[int]] = {}
    for row in table.values():
        by_session.setdefault(row.session, []).append(row.pid)
    found: set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid in found or pid in outside or pid not in table:
            continue
        found.add(pid)
        queue += children.get(pid, ())
        session = table[pid].session
        if session not in foreign:
            foreign.add(session)
            queue += by_session[session]
    return found


class Known:
    """What is read once of each process and kept while it lives, such as its environment."""

    #: A process this old has replaced itself by the command it was started for; seconds.
    _SETTLED_SECONDS = 30.0

    def __init__(self, read: Callable[[int], str], *, inherited: bool = True) -> None:
        """Read by `read`, which gets a pid and returns "" where it cannot tell.

        What is inherited stays with a process that replaces its program; other things are read
        anew then.
        """
        self._read = read
        self._inherited = inherited
        self._kept: dict[tuple[int, float], tuple[bytes | str, str]] = {}

    def look(self, table: Table) -> dict[int, str]:
        """Return what is known of every process; zombies have nothing to read."""
        kept, result = {}, {}
        for row in table.values():
            if row.zombie:
                continue
            key = (row.pid, row.start)
            name, value = self._kept.get(key, (row.name, None))
            if value is None or (name != row.name and not (value and self._inherited)):
                value = self._read(row.pid)
            if (value and self._inherited) or age_of(row.start) > self._SETTLED_SECONDS:
                kept[key] = row.name, value
            result[row.pid] = value
        self._kept = kept
        return result


def _linux_rows(proc: str) -> Iterator[Row]:
    for name in os.listdir(proc):  # noqa: PTH208 - for speed, here and below
        if name.isdigit():
            row = _linux_row(proc, int(name))
            if row is not None:
                yield row


def _linux_row(proc: str, pid: int) -> Row | None:
    try:
        descriptor = os.open(f"{proc}/{pid}/stat", os.O_RDONLY)
        try:
            line = os.read(descriptor, _STAT_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    # The name is in parentheses and may hold any character, parentheses too.
    end_of_name = line.rfind(b")")
    fields = line[end_of_name + 2 :].split()
    if len(fields) < 22:
        return None
    return Row(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start=float(fields[19]),
        name=line[line.find(b"(") + 1 : end_of_name],
        zombie=fields[0] in (b"Z", b"X"),
        cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
        reaped_cpu=(int(fields[13]) + int(fields[14])) / _TICKS,
        threads=int(fields[17]),
        resident=int(fields[21]) * _PAGE,
    )


def _psutil_rows() -> Iterator[Row]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            yield _psutil_row(process)


def _psutil_row(process: psutil.Process) -> Row:
    with process.oneshot():
        return Row(
            pid=process.pid,
            parent=process.ppid(),
            session=_id_of(os.getsid, process.pid),
            group=_id_of(os.getpgid, process.pid),
            start=process.create_time(),
            name=process.name(),
            zombie=process.status() == psutil.STATUS_ZOMBIE,
        )


def _id_of(ask: Callable[[int], int], pid: int) -> int | None:
    try:
        return ask(pid)
    except OSError:
        return None


def path_of_folder(pid: int) -> str:
    """Return a process' current folder, empty where it cannot be read."""
    if _LINUX:
        with contextlib.suppress(OSError):
            return str(Path(f"{_PROC}/{pid}/cwd").readlink())
        return ""
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(pid).cwd()
    return ""
