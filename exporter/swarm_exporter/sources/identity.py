"""Which peer a node is, by its configuration, its key file or the greeting in its logs.

Files of RL Swarm v0.2.0 to v0.7.0: `swarm.pem` (docker: `keys/swarm.pem`), and its logs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.identity import (
    LARGEST_KEY_BYTES,
    IdentityError,
    greeting,
    normalise_nickname,
    peer_id_from_key,
)
from swarm_exporter.model import Identity, IdentityOrigin, Node
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.worker import Worker

#: Where upstream keeps a node's key, below its folder; the first that exists counts.
_KEY_FILES = ("swarm.pem", "keys/swarm.pem")
#: v0.5 puts the nickname into the name of a log: `training_whiskered_mammalian_ant.log`.
_NAMED_LOG = re.compile(r"training_([a-z]+_[a-z]+_[a-z]+)\.log")
#: So many of the newest logs are read, and of each no more than its first and last bytes.
_MOST_LOGS = 20
_LOG_HEAD_BYTES = 256 * 1024
_LOG_TAIL_BYTES = 1024 * 1024

_OR_SAY = "or give --peer-id or --nickname"
#: A key and a greeting change when a node is set up or started, not while it runs.
_INTERVAL_SECONDS = 60.0


class NodeIdentity(Source):
    """Which peer each node is, looked for again and again: a node may be set up later."""

    name = "identity"

    def __init__(self) -> None:
        """Begin without a look under way."""
        self._workers: dict[str, Worker] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each node."""
        return [Target(self.name, node.name, (node,), _INTERVAL_SECONDS) for node in config.nodes]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Read the folder of one node. Raises SourceError (timeout) where it does not answer."""
        (node,) = target.nodes
        worker = self._workers.setdefault(node.name, Worker())
        identity, defects = await worker.run(
            lambda: read_identity(node), context.config.timeout, f"{node.folder} does not answer"
        )
        return Facts(identity, defects, _summary(identity))


def _summary(identity: Identity) -> str:
    if not identity.known:
        return identity.problem or "unknown"
    names = ", ".join(filter(None, (identity.peer_id, identity.nickname)))
    return f"{names} (from {identity.origin.value.replace('_', ' ')})"


def read_identity(node: Node) -> tuple[Identity, tuple[Reason, ...]]:
    """Return which peer `node` is, and the defects met on the way. Blocks on the file system.

    What the configuration says counts alone; else the key file, with the nickname from a greeting
    of the same peer; else the newest greeting. A key that cannot be read is a defect, and the
    identity's `problem`, even where a log helps out. Never raises OSError.
    """
    if node.peer_id is not None or node.nickname is not None:
        nickname = normalise_nickname(node.nickname) if node.nickname is not None else None
        return Identity(peer_id=node.peer_id, nickname=nickname, origin=IdentityOrigin.CONFIG), ()
    path = key_file(node)
    key = _from_key(path) if path is not None else Identity()
    log = _from_logs(node.folder, key.peer_id) if node.folder is not None else Identity()
    problem = key.problem or log.problem
    defects = (Reason.UNREADABLE,) if problem is not None else ()
    if key.known:
        return msgspec.structs.replace(key, nickname=log.nickname, problem=problem), defects
    if log.known:
        return msgspec.structs.replace(log, problem=problem), defects
    return Identity(problem=problem or _nothing_found(node.folder)), defects


def _nothing_found(folder: Path | None) -> str:
    if folder is None:
        return "nothing tells which peer is this node's: give --peer-id, --nickname or --folder"
    return (
        f"{folder} has neither a swarm.pem nor a greeting in its logs: start the node once, "
        f"{_OR_SAY}"
    )


def key_file(node: Node) -> Path | None:
    """Return where a node's key is, or None where nothing says."""
    if node.identity_file is not None or node.folder is None:
        return node.identity_file
    candidates = [node.folder / name for name in _KEY_FILES]
    return next((path for path in candidates if os.path.lexists(path)), None)


def _from_key(path: Path) -> Identity:
    try:
        with _open(path) as file:
            # No name is bound to the private key, so that nothing here can show it.
            peer_id = peer_id_from_key(file.read(LARGEST_KEY_BYTES + 1))
    except OSError as error:
        return Identity(problem=_cannot_read(path, error))
    except IdentityError as error:
        return Identity(problem=f"{path}: {error}")
    return Identity(peer_id=peer_id, origin=IdentityOrigin.IDENTITY_FILE)


def _from_logs(folder: Path, peer_id: str | None) -> Identity:
    """Return the newest identity that the logs name, of peer `peer_id` where that is known.

    Where a log's own name tells the nickname, older logs can only add the peer id to it.
    """
    problem = None
    nickname = None
    try:
        logs = _newest_logs(folder)
    except OSError as error:
        return Identity(problem=_cannot_read(error.filename or folder, error))
    for path in logs:
        try:
            found = greeting(_read_log(path))
        except OSError as error:
            problem = problem or _cannot_read(path, error)
            found = None
        if found is not None and peer_id in (None, found[1]) and nickname in (None, found[0]):
            return Identity(peer_id=found[1], nickname=found[0], origin=IdentityOrigin.LOG)
        named = _NAMED_LOG.fullmatch(path.name)
        if named is not None and nickname is None and peer_id is None:
            nickname = normalise_nickname(named[1])
    if nickname is not None:
        return Identity(nickname=nickname, origin=IdentityOrigin.LOG)
    return Identity(problem=problem)


def _newest_logs(folder: Path) -> list[Path]:
    """List the newest logs of a node's folder, newest first. Raises OSError."""
    found = _logs_in(folder)
    # Before its first start a node has no such folder.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found += _logs_in(folder / "logs")
    return [path for _, path in sorted(found, reverse=True)[:_MOST_LOGS]]


def _logs_in(folder: Path) -> list[tuple[float, Path]]:
    """List the logs right in `folder` with their times of change, including redirected output.

    Left out is yarn.log: it is the login app's, and no trainer greets there.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != "nohup.out" and not entry.name.endswith(".log"):
                continue
            # A log may be rotated away, or be a link to nowhere.
            with contextlib.suppress(OSError):
                if entry.name != "yarn.log" and entry.is_file():
                    found.append((entry.stat().st_mtime, Path(entry.path)))
    return found


def _read_log(path: Path) -> str:
    """Return the first and the last part of a log, of a short one the whole. Raises OSError."""
    with _open(path) as file:
        head = file.read(_LOG_HEAD_BYTES)
        tail_at = max(file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES, len(head))
        file.seek(tail_at)
        between = b"\n" if tail_at > len(head) else b""
        return (head + between + file.read(_LOG_TAIL_BYTES)).decode(errors="replace")


def _open(path: Path) -> BinaryIO:
    """Open a regular file for reading; anything else raises OSError at once and never hangs."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    # It may have become a FIFO since.
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def _cannot_read(path: Path | str, error: OSError) -> str:
    denied = isinstance(error, PermissionError)
    fix = "run the exporter as the node's user" if denied else "correct the path"
    cause = (error.strerror or type(error).__name__).lower()
    return f"{path} cannot be read ({cause}): {fix}, {_OR_SAY}"
