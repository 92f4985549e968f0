"""Login data of a node: upstream's script deletes them on almost every exit (v0.3.1 to v0.7).

They are saved while they are whole, and put back before a start. They hold private keys: their
content is never shown. Standard library alone: the runner loads it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: They are some kilobytes; nothing larger is taken for login data.
_LARGEST_BYTES = 1024 * 1024


def save_login(files: Sequence[str], store: Path) -> list[str]:
    """Save those of `files` that are whole and changed into `store`; return their names.

    A half-written file never replaces a whole one. Raises OSError where `store` cannot be written.
    """
    saved = []
    for number, name in enumerate(files):
        data = _read(Path(name))
        if data is not None and _is_whole(data):
            target = _stored(store, number, name)
            if _read(target) != data:
                _write(target, data)
                saved.append(Path(name).name)
    return saved


def restore_login(files: Sequence[str], store: Path) -> list[str]:
    """Put back those of `files` that are absent or half-written; return their names.

    A whole file is left alone: it may be newer. Raises OSError where one cannot be written.
    """
    restored = []
    for number, name in enumerate(files):
        present = _read(Path(name))
        saved = _read(_stored(store, number, name))
        if saved is not None and _is_whole(saved) and (present is None or not _is_whole(present)):
            _write(Path(name), saved)
            restored.append(Path(name).name)
    return restored


def _stored(store: Path, number: int, name: str) -> Path:
    return store / f"{number}-{Path(name).name}"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= _LARGEST_BYTES else None


def _is_whole(data: bytes) -> bool:
    """Tell whether these are login data: a JSON object that holds something."""
    try:
        content = json.loads(data)
    except ValueError:
        return False
    return isinstance(content, dict) and bool(content)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".login-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - mkstemp gives text
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
