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
from collections.abc import Callable, Collection, Iterable

import psutil

from swarm_exporter.launcher.marker import MARKER

#: A process this old has replaced itself by the command it was started for; seconds.
_SETTLED_SECONDS = 30.0
#: So often is looked whether what is being ended has started something new; seconds.
_LOOK_SECONDS = 0.5
#: What has not ended so long after SIGKILL hangs in the kernel; seconds.
_FORCE_SECONDS = 10.0


class ProcessTable:
    """The machine's processes, as they were at the newest look."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._processes: dict[int, psutil.Process] = {}
        self._parents: dict[int, int] = {}
        self._marks: dict[int, str] = {}
        #: What does not change any more: the marker of settled processes, by pid and start.
        self._settled: dict[tuple[int, float], str] = {}

    def look(self) -> None:
        """Read the process table once."""
        self._processes, self._parents, self._marks = {}, {}, {}
        settled: dict[tuple[int, float], str] = {}
        now = time.time()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                key = (process.pid, process.create_time())
                mark = self._settled.get(key)
                if mark is None:
                    mark = _marker(process)
                if mark or now - key[1] > _SETTLED_SECONDS:
                    settled[key] = mark
                self._processes[process.pid] = process
                self._parents[process.pid] = process.ppid()
                self._marks[process.pid] = mark
        self._settled = settled

    def members(self, marker: str, roots: Collection[int] = ()) -> list[psutil.Process]:
        """Return the processes of the node with `marker`, and the descendants of `roots`.

        The roots themselves (the node's runner), this process and its ancestors are none.
        """
        children: dict[int, list[int]] = {}
        for pid, parent in self._parents.items():
            children.setdefault(parent, []).append(pid)
        outside = {*roots, *_lineage(os.getpid(), self._parents)}
        own_sessions = {_session(pid) for pid in outside} | {None}
        found: set[int] = set()
        queue = [pid for pid, mark in self._marks.items() if mark == marker]
        queue += [child for root in roots for child in children.get(root, ())]
        while queue:
            pid = queue.pop()
            if pid in found or pid in outside:
                continue
            found.add(pid)
            queue += children.get(pid, ())
            session = _session(pid)
            if session not in own_sessions:
                own_sessions.add(session)
                queue += [other for other in self._processes if _session(other) == session]
        return [self._processes[pid] for pid in sorted(found) if pid in self._processes]

    def has(self, pid: int, word: str) -> bool:
        """Tell whether process `pid` is there and has `word` in its command line."""
        process = self._processes.get(pid)
        return process is not None and word in command_line(process)

    def parent(self, pid: int) -> int | None:
        """Return the parent of a process."""
        return self._parents.get(pid)

    def processes(self) -> Iterable[psutil.Process]:
        """Return every process."""
        return self._processes.values()


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


def _marker(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARKER, "")
    except (psutil.Error, OSError, ValueError):
        return ""


def _lineage(pid: int, parents: dict[int, int]) -> set[int]:
    """Return a process and its ancestors."""
    found = set()
    while pid and pid not in found:
        found.add(pid)
        pid = parents.get(pid, 0)
    return found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            # psutil compares the start time first: a reused pid is somebody else.
            send(process)
