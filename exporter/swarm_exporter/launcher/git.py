"""git as a program: run, its progress shown on a terminal, its errors as one sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from swarm_exporter.addresses import redact_url
from swarm_exporter.errors import SwarmExporterError

#: Variables that would point git at another repository: hooks and scripts leave them behind.
_FOREIGN = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
}
_LONGEST_MESSAGE = 300


class GitError(SwarmExporterError):
    """git is missing or has failed: the text holds what it said, without secrets of a URL."""


def git(
    *arguments: str, folder: Path | None = None, umask: int = -1, progress: bool = False
) -> bytes:
    """Run git in `folder` and return its output. Raises GitError.

    `umask` is that of the files it makes, -1 for this process' own. With `progress`, git shows
    its own where standard error is a terminal.
    """
    shown = progress and os.isatty(2)
    command = ["git", "-c", "advice.detachedHead=false", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - no shell; what people give stands behind `--`
            command,
            cwd=folder,
            env=_environment(),
            stdin=None if shown else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            umask=umask,
            check=False,
        )
    except FileNotFoundError:
        if folder is not None and not folder.is_dir():
            raise GitError(f"{folder} is no folder; correct the path") from None
        raise GitError(
            "git is not installed; install it (macOS: xcode-select --install, Debian and Ubuntu: "
            "sudo apt-get install git)"
        ) from None
    except OSError as error:
        raise GitError(f"git cannot be run ({error.strerror}); correct its installation") from None
    if done.returncode:
        said = "see what it says above" if shown else _said(done.stderr, arguments)
        raise GitError(f"git {arguments[0]} failed: {said}")
    return done.stdout


def answers(*arguments: str, folder: Path) -> str | None:
    """Return what git says on one line, or None where it fails. Raises GitError for no git."""
    try:
        return os.fsdecode(git(*arguments, folder=folder)).removesuffix("\n")
    except GitError:
        # Only a git that is there can say no.
        git("--version")
        return None


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    # A download that stands still for a minute fails instead of waiting for ever.
    environment.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "1000")
    environment.setdefault("GIT_HTTP_LOW_SPEED_TIME", "60")
    if not (os.isatty(0) and os.isatty(2)):
        # Nobody is there to answer when it asks for a password.
        environment["GIT_TERMINAL_PROMPT"] = "0"
    return environment | {"LC_ALL": "C"}


def _said(stderr: bytes, arguments: tuple[str, ...]) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    text = "; ".join(line.partition(": ")[2] or line for line in telling)
    for argument in arguments:
        if "://" in argument:
            text = text.replace(argument, redact_url(argument))
    return text[:_LONGEST_MESSAGE] or "it says nothing"
