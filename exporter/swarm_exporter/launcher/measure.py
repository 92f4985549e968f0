"""What a running node really holds in memory: its trainer and the processes below it.

Facts from /proc/PID/smaps_rollup (Linux 4.14), proc_pid_rusage (macOS), psutil.
"""

from __future__ import annotations

import ctypes
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

#: A trainer that has run for less has not loaded and trained everything yet: it would mislead.
SETTLED_SECONDS = 1800.0
_KIB = 1024
#: struct rusage_info_v0: 16 bytes and seven numbers of 8, then ri_phys_footprint.
_FOOTPRINT = slice(72, 80)
_RUSAGE_BYTES = 512


def measured_memory(
    folders: Sequence[Path], trainer: str, settled: float = SETTLED_SECONDS
) -> int | None:
    """Return the bytes of the largest trainer, with its descendants, that runs in `folders`.

    `trainer` is the profile's regular expression. None where no trainer has run for `settled`
    seconds, or the profile does not tell what is one.
    """
    if not trainer:
        return None
    places = [folder.resolve() for folder in folders]
    sizes = [_tree_memory(process) for process in _trainers(places, re.compile(trainer), settled)]
    return max((size for size in sizes if size is not None), default=None)


def process_memory(process: psutil.Process) -> int | None:
    """Return the bytes of one process, what is swapped out included; None where unknown.

    On a Mac, resident memory leaves out most of what the GPU uses: there it is never taken.
    """
    if sys.platform == "darwin":
        return darwin_footprint(process.pid, ctypes.CDLL(None))
    shared = linux_proportional(process.pid)
    if shared is not None:
        return shared
    try:
        return process.memory_info().rss
    except psutil.Error:
        return None


def linux_proportional(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return a process' memory, of shared pages only its share; None without the permission."""
    try:
        lines = (proc / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = [
        int(words[1]) * _KIB
        for words in (line.split() for line in lines)
        if words and words[0] in ("Pss:", "SwapPss:")
    ]
    return sum(sizes) if sizes else None


def darwin_footprint(pid: int, libc: Any) -> int | None:  # noqa: ANN401 - any C library
    """Return what Activity Monitor calls a process' memory, GPU buffers included."""
    usage = ctypes.create_string_buffer(_RUSAGE_BYTES)
    if libc.proc_pid_rusage(ctypes.c_int(pid), ctypes.c_int(0), usage) != 0:
        return None
    return int.from_bytes(usage.raw[_FOOTPRINT], "little")


def _trainers(
    places: Sequence[Path], trainer: re.Pattern[str], settled: float
) -> Iterator[psutil.Process]:
    now = time.time()
    for process in psutil.process_iter(["cmdline", "create_time", "cwd"]):
        facts = process.info
        if facts["cmdline"] and facts["cwd"] and trainer.search(" ".join(facts["cmdline"])):
            cwd = Path(facts["cwd"])
            in_place = any(cwd.is_relative_to(place) for place in places)
            if in_place and facts["create_time"] <= now - settled:
                yield process


def _tree_memory(process: psutil.Process) -> int | None:
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.Error:
        return None
    sizes = [size for size in map(process_memory, tree) if size is not None]
    return sum(sizes) if sizes else None
