"""The end of a log, and what is added to it, across rotation and truncation."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Colours stay; what moves the cursor or changes the terminal does not reach it.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-ln-~]|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;:]*m)"
)
_BLOCK_BYTES = 64 * 1024
_MOST_BYTES = 4 * 1024 * 1024


class Tail:
    """Reads one log from its end."""

    def __init__(self, path: Path) -> None:
        """Begin at the end of what is there."""
        self._path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """Return the last `count` lines, and go on after them."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                data = b""
                at = size
                while at > 0 and data.count(b"\n") <= count and size - at < _MOST_BYTES:
                    step = min(_BLOCK_BYTES, at)
                    at -= step
                    file.seek(at)
                    data = file.read(step) + data
                self._inode = os.fstat(file.fileno()).st_ino
                self._offset = size
        except OSError:
            return []
        whole, newline, self._rest = data.rpartition(b"\n")
        return _lines(whole)[-count:] if count and newline else []

    def new(self) -> list[str]:
        """Return the whole lines that were added since the last call."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._offset:
                    self._inode, self._offset, self._rest = found.st_ino, 0, b""
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            return []
        self._offset += len(data)
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[-_BLOCK_BYTES:]
        return _lines(whole) if newline else []


def _lines(data: bytes) -> list[str]:
    # Of a progress bar only its last state is worth a line.
    lines = data.decode(errors="replace").split("\n")
    return [_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines]
