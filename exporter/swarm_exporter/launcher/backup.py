"""Identities and login data of all nodes, saved in one archive that its owner alone can read.

An identity is what a node's reward belongs to: once lost, so is what it has earned.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import msgspec

from swarm_exporter.clock import Clock
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.identity import IdentityError, peer_id_from_key
from swarm_exporter.launcher.archive import LARGEST_LOGIN_BYTES, Entry, Kind, pack, verified
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.login import is_whole, stored_login
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.private_files import cause, read_bounded, write_private
from swarm_exporter.launcher.twins import read_identity


class Collected(msgspec.Struct, frozen=True):
    """What is to be saved, and a sentence for each thing that is left out or odd."""

    files: tuple[tuple[Entry, bytes], ...]
    notes: tuple[str, ...]


def collect(nodes: Sequence[LaunchNode], launcher: LauncherFiles) -> Collected:
    """Read what is to be saved. Raises SwarmExporterError where a file cannot be read.

    Login data that upstream's script has deleted are taken from what the launcher has saved.
    """
    files: list[tuple[Entry, bytes]] = []
    notes: list[str] = []
    for node in nodes:
        found = _identity(node, notes)
        if found is not None:
            files.append(found)
        for path in node.profile.login:
            saved = stored_login(launcher.node(node.name).login, str(node.folder / path))
            login = _login(node, path, saved, notes)
            if login is not None:
                files.append(login)
    return Collected(tuple(files), tuple(notes))


def save(path: Path, collected: Collected, clock: Clock, *, force: bool) -> int:
    """Write the archive, and return its size in bytes.

    Raises SwarmExporterError, also where `path` exists and `force` is false.
    """
    if not collected.files:
        raise SwarmExporterError(
            "there is nothing to save: no node has an identity or login data; name the nodes with "
            "--instances, --folder or --config"
        )
    if path.is_dir():
        raise SwarmExporterError(f"{path} is a folder; give a file's name, as nodes.tar.gz")
    created = datetime.fromtimestamp(clock.time(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    packed = pack(created, collected.files)
    # What could not be restored is no backup.
    verified(packed, str(path))
    try:
        write_private(path, packed, 0o600, replace=force)
    except FileExistsError:
        raise SwarmExporterError(
            f"{path} exists; give another name, or replace it with --force"
        ) from None
    except OSError as error:
        raise SwarmExporterError(
            f"{path} cannot be written ({cause(error)}); give a place that can"
        ) from None
    return len(packed)


def readable_by_others(path: Path) -> bool:
    """Tell whether a file has more permissions than it was given: FAT keeps none."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _identity(node: LaunchNode, notes: list[str]) -> tuple[Entry, bytes] | None:
    if node.identity is None:
        return None
    content = read_identity(node)
    if not content:
        state = "does not exist" if content is None else "is empty"
        notes.append(f"node {node.name}: {node.identity} {state}, so no identity is saved")
        return None
    try:
        peer_id_from_key(content)
    except IdentityError as problem:
        notes.append(f"node {node.name}: {problem}; it is saved as it is")
    path = node.profile.identity or "swarm.pem"
    return _entry(node, Kind.IDENTITY, path, node.identity, content), content


def _login(
    node: LaunchNode, path: str, saved: Path, notes: list[str]
) -> tuple[Entry, bytes] | None:
    problem = ""
    for file in (node.folder / path, saved):
        try:
            content = read_bounded(file, LARGEST_LOGIN_BYTES)
        except OSError as error:
            raise SwarmExporterError(
                f"node {node.name}: {file} cannot be read ({cause(error)}); correct it"
            ) from None
        if content is not None and is_whole(content):
            return _entry(node, Kind.LOGIN, path, file, content), content
        if content is not None:
            problem = f"node {node.name}: {path} is only half written and is left out"
    notes.append(problem or f"node {node.name}: {path} does not exist: it is not logged in")
    return None


def _entry(node: LaunchNode, kind: Kind, path: str, file: Path, content: bytes) -> Entry:
    return Entry(
        node=node.name,
        kind=kind,
        path=str(PurePosixPath(path)),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mode=f"{stat.S_IMODE(file.stat().st_mode):04o}",
    )
