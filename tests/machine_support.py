"""What tests of the machine's collectors share: a look, files of a kernel, a Mac's sysctl."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from support import make_config
from swarm_exporter.config import Config
from swarm_exporter.host.collector import Look


def make_look(config: Config | None = None, at: float = 0.0) -> Look:
    return Look(
        config=config or make_config(), now=1_800_000_000.0 + at, monotonic=at, members=dict
    )


def make_tree(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder that stands for /."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


class FakeSysctl:
    """Knows these names, as a Mac's kernel would; texts end in a NUL there."""

    def __init__(self, **known: str | int) -> None:
        self._known = {name.replace("__", "."): value for name, value in known.items()}

    def sysctl(self, name: str) -> bytes | None:
        value = self._known.get(name)
        if value is None:
            return None
        if isinstance(value, int):
            return value.to_bytes(4, "little")
        return value.encode() + b"\0"

    def sysctl_int(self, name: str) -> int | None:
        value = self._known.get(name)
        return value if isinstance(value, int) else None


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> Path:
    """Let this file be opened but not read, as the kernel refuses its own."""
    usual = Path.open

    class Refusing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(number, os.strerror(number), str(path))

    def opens(self: Path, *args, **more):
        return Refusing() if self == path else usual(self, *args, **more)

    monkeypatch.setattr(Path, "open", opens)
    return path
