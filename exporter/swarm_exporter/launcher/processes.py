"""Which processes are a node's own: by their marker, their ancestry and their session.

Every process of a node inherits the variable SWARM_EXPORTER_NODE. A child that has cleared its
environment is found as a descendant, or through the session of one that has not. A folder alone
proves nothing: a person's editor may be in it. psutil is the source of all of it; it tells a
process by its pid and start time, so that a stranger with a reused pid is never signalled.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator

import psutil

from swarm_exporter.host.table import (
    Known,
    Row,
    children_of,
    closure,
    lineage,
    read_row,
    read_table,
)
from swarm_exporter.launcher.marker import MARKER

#: So often is looked whether what is being ended has started something new; seconds.
_LOOK_SECONDS = 0.5
#: What has not ended so long after SIGKILL hangs in the kernel; seconds.
_FORCE_SECONDS = 10.0


class ProcessTable:
    """The machine's processes, as they were at the newest look."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._table: dict[int, Row] = {}
        self._markers = Known(marker_of)
        self._marks: dict[int, str] = {}

    def look(self) -> None:
        """Read the process table once."""
        table = read_table()
        self._table = {pid: row for pid, row in table.items() if not row.zombie}
        self._marks = self._markers.look(self._table)

    def members(self, marker: str, roots: Collection[int] = ()) -> list[psutil.Process]:
        """Return the processes of the node with `marker`, and the descendants of `roots`.

        The roots themselves (the node's runner), this process and its ancestors are none.
        """
        children = children_of(self._table)
        marked = [pid for pid, mark in self._marks.items() if mark == marker]
        below = [child for root in roots for child in children.get(root, ())]
        outside = {*roots, *lineage(os.getpid(), self._table)}
        found = closure(self._table, children, marked + below, outside)
        processes = (self._process(pid) for pid in sorted(found))
        return [process for process in processes if process is not None]

    def has(self, pid: int, word: str) -> bool:
        """Tell whether process `pid` is there and has `word` in its command line."""
        process = self._process(pid)
        return process is not None and word in command_line(process)

    def parent(self, pid: int) -> int | None:
        """Return the parent of a process."""
        row = self._table.get(pid)
        return row.parent if row is not None else None

    def processes(self) -> Iterator[psutil.Process]:
        """Return every process that is still there."""
        for pid in self._table:
            process = self._process(pid)
            if process is not None:
                yield process

    def _process(self, pid: int) -> psutil.Process | None:
        """Return a process of the newest look, or None where its pid is somebody else's now."""
        row = self._table.get(pid)
        if row is None:
            return None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # Looked at after psutil has noted whom it means.
            now = read_row(pid)
            if now is not None and now.start == row.start:
                return process
        return None


def end_tree(marker: str, roots: Collection[int], grace: float) -> list[psutil.Process]:
    """End every process of a node: SIGTERM, after `grace` seconds SIGKILL. Return survivors.

    Looks again until nothing is left: what is being ended may still start something.
    """
    table = ProcessTable()
    by_force = time.monotonic() + grace
    give_up = by_force + _FORCE_SECONDS
    asked: set[psutil.Process] = set()
    while True:
        table.look()
        members = table.members(marker, roots)
        now = time.monotonic()
        if not members or now >= give_up:
            return members
        if now < by_force:
            _signal(set(members) - asked, psutil.Process.terminate)
            asked.update(members)
            psutil.wait_procs(members, timeout=min(by_force - now, _LOOK_SECONDS))
        else:
            _signal(members, psutil.Process.kill)
            psutil.wait_procs(members, timeout=_LOOK_SECONDS)


def describe(processes: Iterable[psutil.Process]) -> str:
    """Return `123 (python3), 124 (node)`: pids and names, never command lines (secrets)."""
    return ", ".join(f"{process.pid} ({name_of(process)})" for process in processes)


def name_of(process: psutil.Process) -> str:
    """Return a process' name, or `?`."""
    try:
        return process.name()
    except psutil.Error:
        return "?"


def command_line(process: psutil.Process) -> str:
    """Return a process' command line as one text, empty where it cannot be read. May be secret."""
    try:
        return " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return ""


def folder_of(process: psutil.Process) -> str:
    """Return a process' current folder, empty where it cannot be read."""
    try:
        return process.cwd()
    except (psutil.Error, OSError):
        return ""


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the processor time that processes have used, seconds."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def marker_of(pid: int) -> str:
    """Return the marker that a process has inherited, empty where none can be read."""
    try:
        return psutil.Process(pid).environ().get(MARKER, "")
    except (psutil.Error, OSError, ValueError):
        return ""


def _signal(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            # psutil compares the start time first: a reused pid is somebody else.
            send(process)
