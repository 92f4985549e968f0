"""Login data of a node: upstream's script deletes them on almost every exit (v0.3.1 to v0.7).

They are saved while they are whole, and put back before a start. They hold private keys: their
content is never shown. Standard library alone: the runner loads it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from swarm_exporter.launcher.private_files import write_private

#: They are some kilobytes; nothing larger is taken for login data.
_LARGEST_BYTES = 1024 * 1024


def save_login(files: Sequence[str], store: Path) -> list[str]:
    """Save those of `files` that are whole and changed into `store`; return their names.

    A half-written file never replaces a whole one. Raises OSError where `store` cannot be written.
    """
    saved = []
    for name in files:
        data = _read(Path(name))
        if data is not None and is_whole(data):
            target = stored_login(store, name)
            if _read(target) != data:
                write_private(target, data)
                saved.append(Path(name).name)
    return saved


def restore_login(files: Sequence[str], store: Path) -> list[str]:
    """Put back those of `files` that are absent or half-written; return their names.

    A whole file is left alone: it may be newer. Raises OSError where one cannot be written.
    """
    restored = []
    for name in files:
        present = _read(Path(name))
        saved = _read(stored_login(store, name))
        if saved is not None and is_whole(saved) and (present is None or not is_whole(present)):
            write_private(Path(name), saved)
            restored.append(Path(name).name)
    return restored


def stored_login(store: Path, name: str) -> Path:
    """Return where a file is saved: by its whole path.

    A node's name may mean another folder tomorrow, whose login is another account's.
    """
    place = hashlib.sha256(os.fsencode(Path(name).absolute())).hexdigest()[:16]
    return store / f"{place}-{Path(name).name}"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= _LARGEST_BYTES else None


def is_whole(data: bytes) -> bool:
    """Tell whether these are whole login data: a JSON object that holds something.

    Upstream writes them in place, so that a half-written file is seen now and then.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and bool(content)
