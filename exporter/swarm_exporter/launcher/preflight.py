"""What must hold before a node may start: its identity is its own, its folder and ports are free.

Two nodes with one identity are one peer of the swarm, and earn nothing (RL Swarm v0.2 to v0.7).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.identity import LARGEST_KEY_BYTES, IdentityError, peer_id_from_key
from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.processes import command_line, folder_of, name_of
from swarm_exporter.launcher.spec import NodeSpec


class Obstacle(msgspec.Struct, frozen=True):
    """Why a node cannot start."""

    #: One sentence that names the fix.
    problem: str
    #: True where waiting does not help.
    final: bool


def obstacle(
    spec: NodeSpec, others: Iterable[NodeSpec], processes: Iterable[psutil.Process]
) -> Obstacle | None:
    """Return what stands in a node's way, or None. `others` are the nodes that run."""
    if not Path(spec.folder).is_dir():
        return Obstacle(
            f"its folder {spec.folder} does not exist; make it with `swarm-exporter init`", True
        )
    identity = identity_of(spec)
    for other in others:
        if identity is not None and identity == identity_of(other):
            return Obstacle(
                f"it has the same identity as node {other.name}, which runs: give each node its "
                f"own {Path(spec.identity).name}",
                True,
            )
    for process in foreign_trainers(spec, processes):
        return Obstacle(
            f"process {process.pid} ({name_of(process)}), which was not started here, trains in "
            f"{spec.folder} already; end it where it was started",
            False,
        )
    for name, port in spec.ports.items():
        if is_taken(port):
            return Obstacle(
                f"its {name} port {port} is held by {holder(port)}; end that, or give the node "
                "another port under `ports`",
                False,
            )
    return None


def identity_of(spec: NodeSpec) -> str | None:
    """Return what tells a node's identity from others; None where it has none yet."""
    if not spec.identity:
        return None
    try:
        with Path(spec.identity).open("rb") as file:
            key = file.read(LARGEST_KEY_BYTES + 1)
    except OSError:
        return None
    try:
        return peer_id_from_key(key)
    except IdentityError:
        return hashlib.sha256(key).hexdigest() if key else None


def foreign_trainers(spec: NodeSpec, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the trainers that work in a node's folder. Ask with processes of others alone."""
    if not spec.trainer:
        return []
    trainer = re.compile(spec.trainer)
    folder = os.path.realpath(spec.folder)
    return [
        process
        for process in processes
        if trainer.search(command_line(process)) and _is_below(folder_of(process), folder)
    ]


def _is_below(path: str, folder: str) -> bool:
    return bool(path) and (path == folder or path.startswith(folder + os.sep))
