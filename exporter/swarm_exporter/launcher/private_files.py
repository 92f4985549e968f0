"""Private files: written whole or not at all, readable by their owner alone, read with a bound."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path


def write_private(
    path: Path, content: bytes, mode: int = 0o600, *, replace: bool = True, durable: bool = True
) -> None:
    """Write `content` to `path`; missing folders are made (0700).

    The file has no other permissions than `mode` from its first byte on, whatever the umask. At
    every moment `path` is what it was before, or the new file whole; it is on the disk when this
    returns, unless it need not be `durable`. Raises OSError; FileExistsError where `path` exists
    and `replace` is false.
    """
    make_private_folder(path.parent)
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # A memory stick (FAT) keeps no permissions and refuses.
            with contextlib.suppress(PermissionError):
                os.fchmod(file.fileno(), mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            _move_to_free_name(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def make_private_folder(folder: Path) -> None:
    """Make what is missing of a folder's path, for its owner alone. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def read_bounded(path: Path, largest: int) -> bytes | None:
    """Return a file's content, or None where there is no file.

    Raises OSError, also for what is no regular file (EINVAL) or is larger than `largest` (EFBIG).
    """
    try:
        # Opening a FIFO without O_NONBLOCK would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"larger than {largest} bytes")
    return content


def cause(error: OSError) -> str:
    """Return what went wrong, as a part of a sentence."""
    return (error.strerror or type(error).__name__).lower()


def _move_to_free_name(new: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link never replaces what has appeared there in the meantime.
        path.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "file exists") from None
        new.rename(path)
        return
    new.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Some file systems (FUSE, network) cannot; the file itself is on the disk.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
