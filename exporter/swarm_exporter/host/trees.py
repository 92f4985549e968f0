"""Which processes make up each node: the launcher's by their marker, others by their trainer.

One pass over the process table serves every node and every collector.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from swarm_exporter.config import Config
from swarm_exporter.host.collector import Member, Members
from swarm_exporter.host.table import Known, Row, Table, children_of, closure, lineage, read_table
from swarm_exporter.launcher.files import LauncherFiles, NodeFiles, read_json
from swarm_exporter.launcher.foreign import ForeignTrainer, Trainers
from swarm_exporter.launcher.marker import RUNNER
from swarm_exporter.launcher.processes import command_line, folder_of, marker_of

#: Collectors are asked one after the other, and a look at the process table serves them all.
_SHARED_SECONDS = 1.0


class Tree(msgspec.Struct, frozen=True):
    """The processes of one node that runs."""

    #: Parents before their children: who reads them in this order sees no child's time twice, in
    #: itself and, when it has ended meanwhile, in its parent.
    rows: tuple[Row, ...]
    #: The process that it begins with: the node's command, or what somebody started by hand.
    root: int


class NodeTrees:
    """Finds the processes of every node; safe to ask from several threads."""

    def __init__(
        self,
        read: Callable[[], dict[int, Row]] = read_table,
        shared: float = _SHARED_SECONDS,
    ) -> None:
        """Begin without a look; who asks within `shared` seconds after another gets the same."""
        self._read = read
        self._shared = shared
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._table: dict[int, Row] = {}
        self._children: dict[int, list[int]] = {}
        self._config: Config | None = None
        self._trees: dict[str, Tree] = {}
        self._markers = Known(marker_of)
        self._trainers = Trainers()

    def look(self, config: Config) -> Mapping[str, Tree]:
        """Return the tree of each node that runs, by name; one made a moment ago serves again."""
        with self._lock:
            if self._refresh() or config is not self._config:
                self._config = config
                self._trees = self._find(config)
            return self._trees

    def members(self, config: Config) -> Members:
        """Return the same as collectors take it."""
        return {
            name: tuple(Member(r.pid, r.start, r.pid == tree.root) for r in tree.rows)
            for name, tree in self.look(config).items()
        }

    def row(self, pid: int) -> Row | None:
        """Return a process of the newest look, whosever it is; zombies too."""
        with self._lock:
            return self._table.get(pid)

    def is_watched(self, config: Config, name: str) -> bool:
        """Tell whether it would be seen if a node ran: its folder is known, and may be compared."""
        node = next((node for node in config.nodes if node.name == name), None)
        if node is None:
            return False
        files = LauncherFiles(config.state_dir).node(name)
        if node.folder is None and _launched_from(files) is None:
            return False
        return not self._trainers.some_are_hidden

    def trainers(
        self, folders: Mapping[str, Path], identities: Mapping[str, Path]
    ) -> dict[str, ForeignTrainer]:
        """Return the trainer of each node that has one, by the nodes' names."""
        with self._lock:
            self._refresh()
            return self._trainers.find(self._table, folders, identities)

    def _refresh(self) -> bool:
        """Look at the process table where the newest look is too old; tell whether it was."""
        if time.monotonic() - self._looked < self._shared:
            return False
        # Zombies too: what one has used returns to its parent only once that has waited for it.
        self._table = self._read()
        self._children = children_of(self._table)
        self._looked = time.monotonic()
        return True

    def _find(self, config: Config) -> dict[str, Tree]:
        files = LauncherFiles(config.state_dir)
        runs = {}
        for node in config.nodes:
            run = read_json(files.node(node.name).run)
            if run is not None and run.get("marker"):
                runs[node.name] = run
        trees = self._launched(runs) if runs else {}
        folders, identities = {}, {}
        for node in config.nodes:
            if node.name not in trees:
                folder = node.folder or _launched_from(files.node(node.name))
                if folder is not None:
                    folders[node.name] = folder
                if node.identity_file is not None:
                    identities[node.name] = node.identity_file
        if not folders and not identities:
            return trees
        found = self._trainers.find(self._table, folders, identities)
        real = {name: self._trainers.real_paths.of(folder) for name, folder in folders.items()}
        return trees | around_trainers(found, real, self._table, self._children)

    def _launched(self, runs: Mapping[str, dict[str, Any]]) -> dict[str, Tree]:
        marks = self._markers.look(self._table)
        outside = lineage(os.getpid(), self._table)
        trees = {}
        for name, run in runs.items():
            marked = [pid for pid, mark in marks.items() if mark == run["marker"]]
            found = closure(self._table, self._children, marked, outside)
            if found:
                root = run["pid"] if run.get("pid") in found else min(found)
                # The runner is a cost too, and the processor seconds of what has lost its parent
                # return to it.
                found |= _runner_of(root, self._table)
                trees[name] = Tree(_parents_first(found, self._table, self._children), root)
        return trees


def around_trainers(
    trainers: Mapping[str, ForeignTrainer],
    folders: Mapping[str, str],
    table: Table,
    children: Mapping[int, list[int]],
) -> dict[str, Tree]:
    """Return the tree of each node whose trainer was found: from the script around it down.

    What that script leads, as a group of processes or a session, is of the node too: a child that
    has lost its parent. `folders` are real paths.
    """
    lineages = {name: lineage(t.pid, table) for name, t in trainers.items()}
    trees = {}
    for name, (trainer, *ancestors) in lineages.items():
        others = {pid for other, pids in lineages.items() if other != name for pid in pids}
        root = trainer
        for pid in ancestors:
            if pid in others or not _is_script_of(pid, root, folders.get(name), table):
                break
            root = pid
        led = {row.pid for row in table.values() if root in (row.group, row.session)} - others
        found = _descendants({root, *led, *trainers[name].companions}, children)
        trees[name] = Tree(_parents_first(found, table, children), root)
    return trees


def _is_script_of(pid: int, child: int, folder: str | None, table: Table) -> bool:
    """Tell whether `pid` is the script around a trainer, and not the shell it was typed in.

    A shell gives each command that a person types a process group of its own.
    """
    row = table.get(pid)
    if row is None or folder is None or row.group != table[child].group:
        return False
    return Path(_ask(pid, folder_of) or "/").is_relative_to(folder)


def _parents_first(
    pids: set[int], table: Table, children: Mapping[int, list[int]]
) -> tuple[Row, ...]:
    generation = [pid for pid in sorted(pids) if table[pid].parent not in pids]
    rows = []
    while generation:
        rows += [table[pid] for pid in generation]
        generation = [c for p in generation for c in children.get(p, ()) if c in pids]
    return tuple(rows)


def _launched_from(files: NodeFiles) -> Path | None:
    """Return the folder in which the launcher last started a node."""
    folder = (read_json(files.spec) or {}).get("folder")
    return Path(folder) if isinstance(folder, str) else None


def _runner_of(root: int, table: Table) -> set[int]:
    """Return the launcher's process that is the parent of a node's command."""
    parent = table[root].parent
    return {parent} & table.keys() if RUNNER in _ask(parent, command_line) else set()


def _descendants(roots: Iterable[int], children: Mapping[int, list[int]]) -> set[int]:
    found: set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue += children.get(pid, ())
    return found


def _ask(pid: int, read: Callable[[psutil.Process], str]) -> str:
    try:
        return read(psutil.Process(pid))
    except psutil.Error:
        return ""
