"""A backup's identities and login data put back, without ever replacing an identity.

First everything is planned and checked; then each file is written whole, and read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePosixPath

import msgspec

from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.launcher.archive import LARGEST_LOGIN_BYTES, Archive, Entry, Kind
from swarm_exporter.launcher.login import is_whole
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.private_files import cause, read_bounded, write_private
from swarm_exporter.launcher.twins import identity_name, read_identity, refuse_twins

_MODES = {Kind.IDENTITY: 0o400, Kind.LOGIN: 0o600}


class Action(str, Enum):
    """What is done with one file of a backup."""

    WRITE = "write"
    #: The very same file is there.
    SAME = "same"
    #: Login data that differ, and are to be replaced.
    REPLACE = "replace"
    #: Login data that differ, and stay.
    KEEP = "keep"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One file, where it goes, and what is done with it."""

    #: The node that gets it; not always the one it was saved from.
    node: str
    entry: Entry
    target: Path
    action: Action


def plan_restore(
    archive: Archive,
    nodes: Sequence[LaunchNode],
    renamed: Mapping[str, str],
    *,
    replace_login: bool,
) -> tuple[Step, ...]:
    """Return what is done with each file; nothing is changed.

    `renamed` maps the names in the archive to those of nodes here. Raises SwarmExporterError where
    a node is not known, where another identity is there, or where two nodes would get one.
    """
    by_name = {node.name: node for node in nodes}
    saved_names = {entry.node for entry in archive.manifest.files}
    for old in renamed:
        if old not in saved_names:
            raise FlagError(f"--map {old}: the archive has {_list(saved_names)}; name one of them")
    targets = {old: renamed.get(old, old) for old in saved_names}
    for old, new in targets.items():
        if new not in by_name:
            raise SwarmExporterError(
                f'the archive has a node "{old}", but here are {_list(by_name)}: name the nodes '
                f"with --instances or --config, or rename it with --map {old}=NAME"
            )
    if len(set(targets.values())) < len(targets):
        raise FlagError("--map: two nodes of the archive would become one; map each to its own")
    steps = tuple(
        _step(entry, content, by_name[targets[entry.node]], replace_login)
        for entry, content in archive.contents.items()
    )
    coming = {
        step.node: archive.contents[step.entry]
        for step in steps
        if step.entry.kind is Kind.IDENTITY
    }
    refuse_twins(nodes, coming)
    return steps


def carry_out(step: Step, content: bytes) -> None:
    """Do one step, and read back what was written. Raises SwarmExporterError."""
    if step.action not in (Action.WRITE, Action.REPLACE):
        return
    identity = step.entry.kind is Kind.IDENTITY
    try:
        write_private(
            step.target, content, _MODES[step.entry.kind], replace=step.action is Action.REPLACE
        )
        written = read_bounded(step.target, LARGEST_LOGIN_BYTES) or b""
    except FileExistsError:
        raise SwarmExporterError(
            f"node {step.node}: {step.target} has appeared in the meantime and stays; run restore "
            "again"
        ) from None
    except OSError as error:
        raise SwarmExporterError(
            f"node {step.node}: {step.target} cannot be written ({cause(error)}); correct the "
            "permissions or free some space, and run restore again"
        ) from None
    if written != content or (identity and identity_name(written) != identity_name(content)):
        raise SwarmExporterError(
            f"node {step.node}: {step.target} does not read as it was written; check the disk"
        )


def _step(entry: Entry, content: bytes, node: LaunchNode, replace_login: bool) -> Step:
    if entry.kind is Kind.IDENTITY:
        target, action = _identity(entry, content, node)
    else:
        target, action = _login(entry, content, node, replace_login)
    return Step(node=node.name, entry=entry, target=target, action=action)


def _identity(entry: Entry, content: bytes, node: LaunchNode) -> tuple[Path, Action]:
    if node.identity is None:
        raise SwarmExporterError(
            f"node {node.name}: the profile {node.profile_name} has no identity, but the archive "
            f"has {entry.path}; give `identity_file` in the configuration, or another --profile"
        )
    there = read_identity(node)
    if there is None:
        return node.identity, Action.WRITE
    if there == content:
        return node.identity, Action.SAME
    raise SwarmExporterError(
        f"node {node.name}: {node.identity} is another identity than the archive's and is never "
        "overwritten; move it away first, if the archive's is the right one"
    )


def _login(
    entry: Entry, content: bytes, node: LaunchNode, replace_login: bool
) -> tuple[Path, Action]:
    # The profile says where login data go, never the archive.
    if entry.path not in {str(PurePosixPath(path)) for path in node.profile.login}:
        raise SwarmExporterError(
            f"node {node.name}: the profile {node.profile_name} knows no login data "
            f"{entry.path}; give the --profile that the backup was made with"
        )
    if not is_whole(content):
        raise SwarmExporterError(f"the archive's {entry.path} of node {entry.node} is no login")
    target = node.folder / entry.path
    try:
        there = read_bounded(target, LARGEST_LOGIN_BYTES)
    except OSError as error:
        raise SwarmExporterError(
            f"node {node.name}: {target} cannot be read ({cause(error)}); move it away"
        ) from None
    if there is None:
        return target, Action.WRITE
    if there == content:
        return target, Action.SAME
    return target, Action.REPLACE if replace_login else Action.KEEP


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
