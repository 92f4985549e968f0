"""Collector `torch`: what PyTorch says from inside each node that it holds on the GPU of a Mac.

From the files that torch_helper/sitecustomize.py writes in each process where torch.mps is in use.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.private_files import read_bounded
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.torch_helper.sitecustomize import PERIOD, process_start

#: What an older file says is no longer so, seconds.
_OLDEST = 3 * PERIOD
#: A whole file is smaller by far, bytes.
_LARGEST_FILE = 4096
#: More files than this are not looked at; there is one for each process that uses torch.mps.
_MOST_FILES = 4096
_FILE_NAME = re.compile(r"(\d{1,10})\.json|\.(\d{1,10})\.new", re.ASCII)

_Bytes = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class NodeTorch(msgspec.Struct, frozen=True, kw_only=True):
    """What PyTorch says in the processes of one node; bytes, None where its version does not."""

    #: Held by tensors.
    allocated: int | None = None
    #: Reserved from Metal: tensors, what PyTorch keeps for later ones, and compiled graphs.
    driver_allocated: int | None = None
    #: What Metal recommends that one process holds at most; it is of the device.
    recommended_max: int | None = None


class TorchMemory(HostFacts, frozen=True, kw_only=True):
    """What PyTorch says of each node, by its name; a node without the helper is absent."""

    nodes: Mapping[str, NodeTorch]


class TorchFile(msgspec.Struct, frozen=True):
    """What one process has written."""

    pid: int
    #: As `process_start` tells it.
    start: float
    #: Unix seconds.
    time: float
    current_allocated: _Bytes | None = None
    driver_allocated: _Bytes | None = None
    recommended_max: _Bytes | None = None


def parse_file(content: bytes) -> TorchFile | None:
    """Return what a file says, or None where it is not what the helper writes."""
    try:
        return msgspec.json.decode(content, type=TorchFile)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class TorchHelper(Collector):
    """Reads the files of the nodes' processes, and removes those of processes that are gone."""

    name = "torch"
    about = "PyTorch's own count of GPU memory (needs `torch_helper: true` under `launcher`)"
    on_by_default = False

    def __init__(self, start_of: Callable[[int], float] = process_start) -> None:
        """Tell processes apart by `start_of`, which raises OSError where there is none."""
        self._start_of = start_of

    def is_present(self) -> bool:
        """Tell whether PyTorch can use Metal here."""
        return sys.platform == "darwin"

    def read(self, look: Look) -> Found:
        """Read every file once."""
        owners = {m.pid: name for name, members in look.members().items() for m in members}
        defects: list[Reason] = []
        told: dict[str, list[TorchFile]] = {}
        for pid, path in _files(LauncherFiles(look.config.state_dir).torch):
            try:
                start = self._start_of(pid)
            except OSError:
                _remove(path)
                continue
            if path.suffix != ".json":  # One that is just being written.
                continue
            try:
                content = read_bounded(path, _LARGEST_FILE)
            except OSError:
                defects.append(Reason.UNREADABLE)
                continue
            if content is None:
                continue
            file = parse_file(content)
            if file is None:
                defects.append(Reason.MALFORMED)
            elif (file.pid, file.start) != (pid, start):
                _remove(path)  # Of an earlier process with this pid.
            elif pid in owners and abs(look.now - file.time) <= _OLDEST:
                told.setdefault(owners[pid], []).append(file)
        nodes = {name: _sum_up(files) for name, files in told.items()}
        return Found(TorchMemory(nodes=nodes), tuple(defects), f"PyTorch of {len(nodes)} nodes")


def _files(folder: Path) -> Iterable[tuple[int, Path]]:
    """Return the files of the helper with the pid in their names; none where no node has it."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError:
        return
    for name in sorted(names)[:_MOST_FILES]:
        match = _FILE_NAME.fullmatch(name)
        if match is not None:
            yield int(match[1] or match[2]), folder / name


def _sum_up(files: Iterable[TorchFile]) -> NodeTorch:
    files = tuple(files)
    largest = [f.recommended_max for f in files if f.recommended_max is not None]
    return NodeTorch(
        allocated=_sum(f.current_allocated for f in files),
        driver_allocated=_sum(f.driver_allocated for f in files),
        recommended_max=max(largest, default=None),
    )


def _sum(figures: Iterable[int | None]) -> int | None:
    """Return the sum; None where a part of it is not known."""
    total = 0
    for figure in figures:
        if figure is None:
            return None
        total += figure
    return total


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
