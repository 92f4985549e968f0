"""What a server of the stack is: how it is found, configured, started and asked for its health."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

#: Where Homebrew and Debian put servers, whatever the PATH of a person's shell.
_MORE_FOLDERS = ("/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/usr/sbin")
_VERSION = re.compile(r"version:?\s+v?(\d+\.\d+[\w.+~-]*)", re.IGNORECASE)
_VERSION_SECONDS = 20.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides of the stack."""

    #: Port of each server, on loopback.
    ports: Mapping[str, int]
    #: The servers that are to run.
    servers: tuple[str, ...]
    #: The servers that a person has left out; they stay so.
    without: tuple[str, ...] = ()
    #: Where the exporter answers.
    exporter_url: str
    #: How often Prometheus scrapes and evaluates, seconds.
    interval: float = 15.0
    #: How long Prometheus keeps what it has seen, as it writes it.
    retention: str = "90d"
    lang: str = "en"

    def url(self, name: str) -> str:
        """Return where a server answers."""
        return f"http://127.0.0.1:{self.ports[name]}"


class Server(ABC):
    """One server of the stack."""

    name: str
    #: What a person gets from it, in a few words.
    about: str
    default_port: int
    #: Names of its program, the first that is found counts.
    programs: tuple[str, ...]
    #: How it is installed, by what a person has.
    brew: str
    debian: str
    #: Answers 200 when it is ready.
    ready_path: str
    #: Where it runs, below the stack's folder.
    folder: str = "."
    #: False where the stack is of no use without it.
    optional: bool = True

    def find(self, path: str | None) -> Path | None:
        """Return its program on `path` or in the usual folders, or None."""
        folders = os.pathsep.join([path or os.defpath, *_MORE_FOLDERS])
        found = (shutil.which(program, path=folders) for program in self.programs)
        return next((Path(program) for program in found if program), None)

    @abstractmethod
    def files(self, settings: Settings, root: Path) -> Mapping[str, bytes]:
        """Return its configuration by path below the stack's folder `root`."""

    @abstractmethod
    def command(self, program: Path, settings: Settings, root: Path) -> Sequence[str]:
        """Return the command that runs it in front."""

    def environ(self, settings: Settings, root: Path) -> Mapping[str, str]:  # noqa: ARG002
        """Return the variables that it needs beyond a person's own."""
        return {}


def version(program: Path) -> str:
    """Return what a program says of its version; empty where it says none."""
    try:
        said = subprocess.run(  # noqa: S603 - a program that a person has installed
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = _VERSION.search(said.stdout + said.stderr)
    return found[1] if found else ""
