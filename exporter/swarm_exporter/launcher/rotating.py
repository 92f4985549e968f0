"""A node's output on disk: bytes as they come, in a bounded number of files of bounded size.

A full disk costs output and nothing else: the node must not notice.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class RotatingLog:
    """Appends to `path`; a full one becomes `path.1`, that one `path.2`, and so on."""

    def __init__(self, path: Path, size: int, files: int) -> None:
        """Keep `files` files of about `size` bytes each. Opens at the first write."""
        self._path = path
        self._size = size
        self._files = files
        self._descriptor: int | None = None
        self._written = 0
        #: Bytes that could not be written since the last that could.
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Append `data`; what the disk refuses is dropped and counted, and said later."""
        if self.dropped:
            notice = f"\n[{self.dropped} bytes were lost: the disk did not take them]\n".encode()
            if not self._append(notice):
                self.dropped += len(data)
                return
            self.dropped = 0
        if not self._append(data):
            self.dropped += len(data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, data: bytes) -> bool:
        try:
            self._open()
            assert self._descriptor is not None  # noqa: S101 - opened the line before
            rest = memoryview(data)
            while rest:
                count = os.write(self._descriptor, rest)
                self._written += count
                rest = rest[count:]
        except OSError:
            # Opened anew next time: the folder may have been removed and made again.
            with contextlib.suppress(OSError):
                self.close()
            return False
        return True

    def _open(self) -> None:
        if self._descriptor is not None and self._written >= self._size:
            self.close()
            self._rotate()
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            self._written = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        if not self._path.is_file():
            return  # A device or a pipe in its place has no size to bound.
        if self._files == 1:
            self._path.unlink()
            return
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}")
            source = newer if number > 1 else self._path
            if source.exists():
                source.replace(older)
