"""What must survive a restart, in one JSON file that is replaced whole or not at all.

Knows nothing of what it keeps beyond its msgspec type.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

import msgspec

from swarm_exporter.clock import Clock, SystemClock
from swarm_exporter.errors import SwarmExporterError

log = logging.getLogger(__name__)

T = TypeVar("T")

_FORMAT = "swarm-exporter state"
_VERSION = 1
#: The accounts of a thousand nodes take a few MB; nothing larger than this is looked at.
_LARGEST_BYTES = 64 * 1024 * 1024


class StateError(SwarmExporterError):
    """The state file cannot be read, written or locked. One sentence that names the fix."""


class _Envelope(msgspec.Struct):
    """The file: the payload, and how to know that it is whole and ours."""

    format: str
    version: int
    #: Unix seconds.
    saved_at: float
    #: Of the payload's bytes as they stand in the file, hexadecimal.
    sha256: str
    payload: msgspec.Raw


class _DamagedError(Exception):
    """The file's content is not to be trusted; the text says why, for a person."""


class StateFile:
    """One JSON file with one object in it, for one exporter at a time (see `lock`)."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Name the file; nothing is touched before a method is called."""
        self._path = path
        self._clock = clock or SystemClock()
        self._saved: bytes | None = None

    def lock(self) -> None:
        """Take the file for this process until it ends.

        Raises StateError where another exporter has it, or where the lock file beside it cannot
        be written. The lock is the kernel's (flock): it ends with the process, however that ends.
        """
        path = self._path.with_name(self._path.name + ".lock")
        try:
            _make_folder(path.parent)
            # Never closed: closing would give the lock away.
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not _acquired(lock):
                holder = _name_process(os.read(lock, 20))
                os.close(lock)
                raise StateError(
                    f"{self._path} is in use by another exporter ({holder}): stop that one, or "
                    "give this one a --state-dir of its own"
                )
            os.ftruncate(lock, 0)
            os.write(lock, b"%d\n" % os.getpid())
        except OSError as error:
            raise StateError(
                f"cannot lock {path} ({_cause(error)}): correct the permissions, or give a "
                "--state-dir that can be written"
            ) from None

    def load(self, kind: type[T]) -> T | None:
        """Return the object last saved, or None where there is none to trust.

        A file that is torn, foreign, of another shape than `kind` or from a newer version is
        renamed, never deleted, and one warning says so. Raises StateError where the file cannot
        be read or renamed.
        """
        content = self._read()
        if content is None:
            return None
        try:
            payload = _open_envelope(content)
            loaded = _decode(payload, kind)
        except _DamagedError as damage:
            log.warning(
                "the state file %s %s; it is kept as %s, and counting starts anew",
                self._path,
                damage,
                self._set_aside(),
            )
            return None
        self._saved = payload
        return loaded

    def save(self, obj: object) -> None:
        """Make `obj` the content; it is on the disk when this returns.

        What is already there is not written again. Raises StateError where it cannot be written;
        the file stays whole even then.
        """
        payload = msgspec.json.encode(obj)
        if payload == self._saved:
            return
        envelope = _Envelope(
            format=_FORMAT,
            version=_VERSION,
            saved_at=self._clock.time(),
            sha256=hashlib.sha256(payload).hexdigest(),
            payload=msgspec.Raw(payload),
        )
        try:
            _make_folder(self._path.parent)
            _replace(self._path, msgspec.json.encode(envelope))
        except OSError as error:
            raise StateError(
                f"cannot save the state to {self._path} ({_cause(error)}): free some space or "
                "correct the permissions, or give another --state-dir"
            ) from None
        self._saved = payload

    def _read(self) -> bytes | None:
        try:
            # Opening a FIFO would wait for its other end.
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise StateError(
                    f"{self._path} is not a file: move it away, or give another --state-dir"
                )
            with self._path.open("rb") as file:
                return file.read(_LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                f"cannot read the state file {self._path} ({_cause(error)}): correct its "
                "permissions, or give another --state-dir"
            ) from None

    def _set_aside(self) -> Path:
        """Rename the file to a name that nothing has yet, and return that."""
        now = datetime.fromtimestamp(self._clock.time(), timezone.utc)
        stem = f"{self._path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
        aside, number = self._path.with_name(stem), 1
        while os.path.lexists(aside):
            number += 1
            aside = self._path.with_name(f"{stem}-{number}")
        try:
            self._path.rename(aside)
        except OSError as error:
            raise StateError(
                f"cannot rename the damaged state file {self._path} ({_cause(error)}): move it "
                "away, or give another --state-dir"
            ) from None
        return aside


def _open_envelope(content: bytes) -> bytes:
    """Return the payload of a whole file of ours. Raises _DamagedError."""
    if len(content) > _LARGEST_BYTES:
        raise _DamagedError("is too large to be one")
    envelope = _decode(content, _Envelope)
    if envelope.format != _FORMAT:
        raise _DamagedError("is not one of swarm-exporter")
    if envelope.version != _VERSION:
        raise _DamagedError(
            f"is of format version {envelope.version}, this program knows {_VERSION}"
        )
    payload = bytes(envelope.payload)
    if hashlib.sha256(payload).hexdigest() != envelope.sha256:
        raise _DamagedError("does not match its checksum")
    return payload


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        # msgspec names the place and the type, never the value.
        cause = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise _DamagedError(f"cannot be understood ({cause})") from None


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that at every moment the old or the new content stands there whole."""
    new = path.with_name(path.name + ".new")
    # A process that was killed may have left one behind.
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_folder(folder: Path) -> None:
    """Make what is missing of a folder's path, for its owner alone."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _acquired(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name_process(holder: bytes) -> str:
    pid = holder.strip()
    return f"process {pid.decode()}" if pid.isdigit() else "its process is not known"


def _cause(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
