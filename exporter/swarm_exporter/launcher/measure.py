"""What a running node really holds in memory: the whole tree around its trainer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psutil

from swarm_exporter.host.footprint import ReadFootprint, platform_footprint
from swarm_exporter.host.table import children_of, read_table
from swarm_exporter.host.trees import Tree, around_trainers
from swarm_exporter.launcher.foreign import Trainers

#: A trainer that has run for less has not loaded and trained everything yet: it would mislead.
SETTLED_SECONDS = 1800.0


def measured_memory(
    folders: Sequence[Path],
    trainer: str,
    settled: float = SETTLED_SECONDS,
    read: ReadFootprint | None = None,
) -> int | None:
    """Return the bytes of the largest node, from its script to its helpers, in `folders`.

    `trainer` is the profile's regular expression. None where no trainer has run for `settled`
    seconds, the profile does not tell what is one, or none may be read.
    """
    if not trainer or not folders:
        return None
    table = {pid: row for pid, row in read_table().items() if not row.zombie}
    places = {str(folder): folder for folder in folders}
    found = Trainers({"trainer": trainer}).find(table, places)
    latest = time.time() - settled
    running = {name: t for name, t in found.items() if t.started <= latest}
    real = {name: os.path.realpath(folder) for name, folder in places.items()}
    trees = around_trainers(running, real, table, children_of(table))
    sizes = [_tree_memory(tree, read or _footprint()) for tree in trees.values()]
    return max((size for size in sizes if size is not None), default=None)


def process_memory(process: psutil.Process) -> int | None:
    """Return the bytes of one process, what is swapped out included; None where unknown.

    On a Mac, resident memory leaves out most of what the GPU uses: there it is never taken.
    """
    try:
        return _footprint()(process.pid).size
    except ProcessLookupError:
        return None
    except OSError:
        if sys.platform == "darwin":
            return None
    try:
        return process.memory_info().rss
    except psutil.Error:
        return None


def _tree_memory(tree: Tree, read: ReadFootprint) -> int | None:
    """Return the memory of a tree; None where a part of it may not be read."""
    total = 0
    for row in tree.rows:
        try:
            total += read(row.pid).size
        except ProcessLookupError:
            continue
        except OSError:
            return None
    return total or None


@cache
def _footprint() -> ReadFootprint:
    return platform_footprint()
