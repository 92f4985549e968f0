"""A folder for each node: cloned, patched so that nodes do not collide, tuned; never harmed.

First everything is planned and checked, without a change; then each node is set up on its own,
whole or not at all. Identities and login data are never written here.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import msgspec

from swarm_exporter.config.launcher import Scalar
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.checkout import Source, clone, decode, encode, head, part_of
from swarm_exporter.launcher.git import answers
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.patches import Changes, Reader, changes
from swarm_exporter.launcher.private_files import cause, make_private_folder, write_private
from swarm_exporter.launcher.profile import fits
from swarm_exporter.launcher.twins import refuse_twins

#: A node's training keys, dotted key -> value, given what reads its checkout's files.
Tuned = Callable[[LaunchNode, Reader], Mapping[str, Scalar]]


class State(Enum):
    """What there is of a node's folder."""

    MISSING = "missing"
    #: Nothing but identity, login data and logs, as `restore` leaves it.
    PRIVATE = "private"
    CHECKOUT = "checkout"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done for one node."""

    node: LaunchNode
    state: State
    #: What is cloned; None where there is a checkout, or where it is not downloaded yet.
    source: Source | None
    #: None where it is not downloaded yet.
    changes: Changes | None
    tuned: Tuned
    #: Sentences for a person.
    notes: tuple[str, ...] = ()

    @property
    def clones(self) -> bool:
        """True where a checkout is to be made."""
        return self.state is not State.CHECKOUT

    @property
    def nothing_to_do(self) -> bool:
        """True where the node is set up already."""
        return (
            not self.clones
            and self.changes is not None
            and not self.changes.files
            and self.node.logs.is_dir()
        )


def folder_state(folder: Path, private: tuple[Path, ...] = ()) -> State:
    """Return what there is of a folder. Raises SwarmExporterError where it cannot be used.

    `private` are the files and folders that may be there before the checkout.
    """
    if not os.path.lexists(folder):
        return State.MISSING
    if not folder.is_dir():
        raise SwarmExporterError(f"{folder} is no folder; move it away, or give another --folder")
    if (folder / ".git").exists():
        return State.CHECKOUT
    state = State.MISSING
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        if not any(path == own or own in path.parents for own in private):
            raise SwarmExporterError(
                f"{folder} is no git checkout, but holds {path.relative_to(folder)}; move the "
                "folder away, or give another --folder"
            )
        state = State.PRIVATE
    return state


def private_paths(node: LaunchNode) -> tuple[Path, ...]:
    """Return what of a node's folder is not upstream's: identity, login data, logs."""
    identity = (node.identity,) if node.identity is not None else ()
    return (*identity, *(node.folder / path for path in node.profile.login), node.logs)


def plan(
    nodes: tuple[LaunchNode, ...],
    source_of: Callable[[LaunchNode], Source | None],
    tuned: Tuned,
) -> tuple[Setup, ...]:
    """Return what is to be done for each node; nothing is changed.

    `source_of` is asked for nodes without a checkout alone; None is what is not downloaded yet.
    `tuned` gives a node's training keys, given what reads its files. Raises SwarmExporterError
    where a folder cannot be used, a patch does not apply, or two nodes have one identity.
    """
    refuse_twins(nodes)
    return tuple(_planned(node, source_of, tuned) for node in nodes)


def apply(setup: Setup, umask: int) -> Changes:
    """Do what is planned for one node, whole or not at all; return what was changed.

    `umask` is that of the files of a new checkout. Raises SwarmExporterError.
    """
    node = setup.node
    try:
        if not setup.clones:
            assert setup.changes is not None  # noqa: S101 - there is a checkout
            _write(node.folder, setup.changes)
            _make_logs(node.logs)
            return setup.changes
        if setup.source is None:
            raise SwarmExporterError(f"node {node.name}: nothing to clone {node.folder} from")
        done: list[Changes] = []

        def finish(part: Path) -> None:
            read = reader(part, node)
            done.append(changes(node, read, setup.tuned(node, read)))
            _write(part, done[0])
            _make_logs(part / "logs")

        clone(setup.source, Path(os.path.realpath(node.folder)), umask, finish)
        _make_logs(node.logs)
        return done[0]
    except OSError as error:
        raise SwarmExporterError(
            f"node {node.name}: {node.folder} cannot be set up ({cause(error)}); correct the "
            "permissions or free some space, and run init again"
        ) from None


def reader(folder: Path, node: LaunchNode) -> Reader:
    """Return what reads a checkout's files; it raises SwarmExporterError for an unreadable one."""

    def read(file: str) -> str | None:
        path = folder / file
        if path.is_symlink():
            raise SwarmExporterError(
                f"node {node.name}: {path} is a link, and its target may be another node's; "
                "replace it by a copy"
            )
        try:
            return decode(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SwarmExporterError(
                f"node {node.name}: {path} cannot be read ({cause(error)}); correct it"
            ) from None

    return read


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Keep a second `init` out for as long as this one runs. Raises SwarmExporterError."""
    path = state_dir / "init.lock"
    try:
        make_private_folder(state_dir)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SwarmExporterError(
            f"{path} cannot be written ({cause(error)}); correct the permissions, or give another "
            "--state-dir"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SwarmExporterError(
                "another `swarm-exporter init` is running; wait until it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _planned(
    node: LaunchNode,
    source_of: Callable[[LaunchNode], Source | None],
    tuned: Tuned,
) -> Setup:
    try:
        state = folder_state(node.folder, private_paths(node))
    except SwarmExporterError as problem:
        raise SwarmExporterError(f"node {node.name}: {problem}") from None
    except OSError as error:
        raise SwarmExporterError(
            f"node {node.name}: {node.folder} cannot be read ({cause(error)}); correct it"
        ) from None
    source = None if state is State.CHECKOUT else source_of(node)
    read = source.read if source is not None else reader(node.folder, node)
    known = state is State.CHECKOUT or source is not None
    if known and not fits(node.profile, read):
        place = node.folder if source is None else source.name
        raise SwarmExporterError(
            f"node {node.name}: {place} is no checkout of {node.profile.title}; "
            + (
                "move it away, or give the --profile of what it holds"
                if source is None
                else "give the --profile of what it holds, or another --revision"
            )
        )
    planned = changes(node, read, tuned(node, read)) if known else None
    notes = list(planned.notes) if planned is not None else []
    part = part_of(Path(os.path.realpath(node.folder)))
    if state is not State.CHECKOUT and part.exists():
        notes.append(f"{part} was left by an interrupted run and is removed")
    return Setup(
        node=node, state=state, source=source, changes=planned, tuned=tuned, notes=tuple(notes)
    )


def stays_at(setup: Setup, revision: str | None) -> str | None:
    """Return a sentence where a checkout is there already, at another revision than asked for."""
    if setup.clones or revision is None:
        return None
    folder = setup.node.folder
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    wanted = answers(*arguments, folder=folder)
    if wanted and wanted.splitlines()[-1] == answers("rev-parse", "HEAD", folder=folder):
        return None
    return f"stays at {head(folder)}: a checkout that is there is not moved to another revision"


def _write(folder: Path, planned: Changes) -> None:
    for change in planned.files:
        path = folder / change.file
        if path.exists() and decode(path.read_bytes()) != change.before:
            raise SwarmExporterError(f"{path} has changed in the meantime; run init again")
        mode = stat.S_IMODE(path.stat().st_mode)
        write_private(path, encode(change.after), mode)


def _make_logs(logs: Path) -> None:
    if not logs.is_dir():
        make_private_folder(logs)
