"""What was added to a log since the last look, across rotation, truncation and restarts.

Any writer's log: one that renames (logging's handlers, logrotate, the launcher), one that is copied
and truncated, one that begins anew. Only new bytes are read, and no more at once than is said.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

#: The first look at a log, and one that has fallen far behind, begins so far before its end.
TAIL_BYTES = 4 * 1024 * 1024
#: So much that was not read yet is read; of more, the tail alone.
MOST_BACKLOG_BYTES = 64 * 1024 * 1024
#: Longer lines are cut, and the rest of them is left out.
LONGEST_LINE_BYTES = 64 * 1024
BLOCK_BYTES = 1024 * 1024
#: Names that rotation gives: `.1` to `.9`.
_MOST_ROTATED = 9
#: A file is known again by so many bytes before the place that was reached.
_MARK_BYTES = 256
#: Colours and cursor movements (ECMA-48): RL Swarm v0.2 to v0.4 colour lines even in a pipe.
_TERMINAL_CODE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a log was read. The default one is the beginning of whatever is there."""

    #: 0 where it is not known.
    device: int = 0
    inode: int = 0
    offset: int = 0
    #: Digest of the bytes before `offset`; empty where they are not known.
    mark: str = ""
    #: What comes before the next end of a line is left out.
    skipping: bool = False


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found: whole lines, each ended by a newline alone, without terminal codes."""

    data: bytes
    position: Position
    #: True where there is more to read at once.
    more: bool = False
    #: Bytes that were passed over unread.
    skipped: int = 0
    #: When the log was last written to, Unix seconds; None where there is none.
    written: float | None = None


class _File(msgspec.Struct):
    """One open file of a log, and where to begin in it."""

    descriptor: int
    device: int
    inode: int
    size: int
    written: float
    offset: int = 0


def looks(path: Path, position: Position | None, most: int) -> Iterator[Look]:
    """Yield what is new in a log, until there is no more or about `most` bytes were read.

    None is the first look: of a large log only its tail. Each look's position is where to go on.
    Raises OSError where the log cannot be read or is no regular file; never waits for one.
    """
    used = 0
    while True:
        found = look(path, position)
        yield found
        used += BLOCK_BYTES
        if not found.more or used >= most:
            return
        position = found.position


def look(path: Path, position: Position | None) -> Look:
    """Return the next block of a log (`looks`). Raises OSError."""
    with contextlib.ExitStack() as opened:
        current = _open(path, opened)
        if position is None:
            files = [current] if current is not None else []
        else:
            files = _unread(path, position, current, opened)
        goes_on = position is not None and bool(files) and files[0].offset == position.offset
        skipping = goes_on and position is not None and position.skipping
        found = _read(files, skipping=skipping, first=position is None)
        return msgspec.structs.replace(found, written=current.written if current else None)


def _open(path: Path, opened: contextlib.ExitStack) -> _File | None:
    """Open a regular file; None where there is nothing. Raises OSError and never hangs."""
    try:
        # A writer may wait for a reader of a FIFO: it must not be opened at all.
        _regular(os.stat(path))  # noqa: PTH116 - the result is needed as it is
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    opened.callback(os.close, descriptor)
    found = os.fstat(descriptor)
    _regular(found)
    return _File(descriptor, found.st_dev, found.st_ino, found.st_size, found.st_mtime)


def _regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def _unread(
    path: Path, position: Position, current: _File | None, opened: contextlib.ExitStack
) -> list[_File]:
    """Return the files of a log that hold what is new, oldest first, each with its beginning."""
    if current is not None and _is_at(current, position):
        current.offset = position.offset
        return [current]
    newer = [current] if current is not None else []
    if not position.inode:
        return newer
    older: list[_File] = []
    for number in range(1, _MOST_ROTATED + 1):
        with contextlib.suppress(OSError):
            file = _open(Path(f"{path}.{number}"), opened)
            # It may have been renamed between two of these looks.
            if file is not None and all(file.inode != other.inode for other in newer + older):
                older.append(file)
    for holds in (_is_at, _has_copy):
        for number, file in enumerate(older):
            if holds(file, position):
                file.offset = position.offset
                return [*reversed(older[: number + 1]), *newer]
    if current is not None and position.offset >= _MARK_BYTES and _has_copy(current, position):
        current.offset = position.offset
        return newer
    for number, file in enumerate(older):
        if _is_same(file, position):
            # It was truncated, has grown again, and was rotated.
            return [*reversed(older[: number + 1]), *newer]
    return newer


def _is_at(file: _File, position: Position) -> bool:
    """Tell whether this is the file that was read, and still has what was read."""
    known = not position.mark or _mark(file, position.offset) == position.mark
    return _is_same(file, position) and file.size >= position.offset and known


def _is_same(file: _File, position: Position) -> bool:
    return file.inode == position.inode and position.device in (0, file.device)


def _has_copy(file: _File, position: Position) -> bool:
    """Tell whether a file holds a copy of what was read, as `copytruncate` makes one."""
    enough = bool(position.mark) and file.size >= position.offset
    return enough and _mark(file, position.offset) == position.mark


def _mark(file: _File, offset: int) -> str:
    if not offset:
        return ""
    before = max(offset - _MARK_BYTES, 0)
    data = os.pread(file.descriptor, offset - before, before)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _read(files: list[_File], *, skipping: bool, first: bool) -> Look:
    """Return the next block of whole lines. A line may begin in one file and end in the next."""
    carried = b""
    place = Position()
    skipped = 0
    for file in files:
        passed = _pass_over(file, first=first)
        skipped += passed
        # What stands there is the end of a line that was not seen to begin.
        skipping = skipping or passed > 0
        data = os.pread(file.descriptor, BLOCK_BYTES, file.offset)
        at_end = len(data) < BLOCK_BYTES or file.offset + len(data) >= file.size
        more = not at_end or file is not files[-1]
        start = 0
        if skipping:
            start = _first_end(data)
            if not start:
                place = _position(file, file.offset + len(data), skipping=True)
                if more and at_end:
                    continue
                return Look(data=b"", position=place, more=more, skipped=skipped)
            skipping = False
        if not carried:
            start = len(data) - len(data[start:].lstrip(b"\0"))
            place = _position(file, file.offset + start)
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end > start:
            place = _position(file, file.offset + end)
            lines = _lines(carried + data[start:end])
            return Look(data=lines, position=place, more=more, skipped=skipped)
        carried += data[start:]
        if len(carried) >= LONGEST_LINE_BYTES:
            place = _position(file, file.offset + len(data), skipping=True)
            lines = _lines(carried[:LONGEST_LINE_BYTES] + b"\n")
            return Look(data=lines, position=place, more=more, skipped=skipped)
        if not at_end:
            return Look(data=b"", position=place, more=True, skipped=skipped)
    # Half a line, or nothing: the next look begins with it.
    return Look(data=b"", position=place, skipped=skipped)


def _pass_over(file: _File, *, first: bool) -> int:
    """Begin after a hole, and near the end where too much was not read; return what that skips."""
    if not file.offset and hasattr(os, "SEEK_DATA"):
        # A writer that does not append leaves one where its log was truncated.
        with contextlib.suppress(OSError):
            file.offset = os.lseek(file.descriptor, 0, os.SEEK_DATA)
    most = TAIL_BYTES if first else MOST_BACKLOG_BYTES
    if file.size - file.offset <= most:
        return 0
    skipped = file.size - TAIL_BYTES - file.offset
    file.offset += skipped
    return skipped


def _position(file: _File, offset: int, *, skipping: bool = False) -> Position:
    return Position(
        device=file.device,
        inode=file.inode,
        offset=offset,
        mark=_mark(file, offset),
        skipping=skipping,
    )


def _first_end(text: bytes) -> int:
    """Return where the first line ends; 0 where none does."""
    ends = [end for end in (text.find(b"\n"), text.find(b"\r")) if end >= 0]
    return min(ends, default=-1) + 1


def _lines(data: bytes) -> bytes:
    """Return lines as patterns read them: ended by newlines, cut, without terminal codes."""
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if b"\r" in data:
        # Progress bars end their lines with a carriage return alone.
        data = data.replace(b"\r", b"\n")
    data = _cut(data)
    return _TERMINAL_CODE.sub(b"", data) if b"\x1b" in data else data


def _cut(data: bytes) -> bytes:
    parts = []
    begin = at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + LONGEST_LINE_BYTES + 1)
        if end < 0:
            parts.append(data[begin : at + LONGEST_LINE_BYTES])
            begin = end = data.find(b"\n", at)
        at = end + 1
    return b"".join(parts) + data[begin:] if parts else data
