"""Programs of the operating system that answer on their standard output."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: How a tool is run: its command with an absolute path, and the longest time it may take, seconds.
Run = Callable[[Sequence[str], float], bytes]


class ToolRun(msgspec.Struct, frozen=True):
    """One run of a program, as it was."""

    command: tuple[str, ...]
    stdout: bytes
    stderr: bytes
    #: None where it was killed after its time, or could not be run.
    code: int | None
    seconds: float


_watchers: list[Callable[[ToolRun], None]] = []


@contextmanager
def watching_tools(see: Callable[[ToolRun], None]) -> Iterator[None]:
    """Show `see` every run of a program, whoever asks for it and in whatever thread."""
    _watchers.append(see)
    try:
        yield
    finally:
        _watchers.remove(see)


def run_tool(command: Sequence[str], timeout: float) -> bytes:
    """Return what a program printed; it is killed after `timeout` seconds.

    Raises SourceError: missing, permission, timeout, or tool_failed with its first words.
    """
    name = os.path.basename(command[0])  # noqa: PTH119 - text, no file
    begun = time.monotonic()

    def show(stdout: bytes | None, stderr: bytes | None, code: int | None) -> None:
        seconds = time.monotonic() - begun
        for see in tuple(_watchers):
            see(ToolRun(tuple(command), stdout or b"", stderr or b"", code, seconds))

    try:
        done = subprocess.run(  # noqa: S603 - absolute paths of the collectors' own choice
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        show(None, None, None)
        raise SourceError(Reason.MISSING, f"{command[0]} is not there") from None
    except PermissionError:
        show(None, None, None)
        raise SourceError(Reason.PERMISSION, f"{command[0]} may not be run") from None
    except subprocess.TimeoutExpired as late:
        show(late.stdout, late.stderr, None)
        raise SourceError(Reason.TIMEOUT, f"{name} had not ended after {timeout:g} s") from None
    except OSError as error:
        show(None, None, None)
        raise SourceError(Reason.TOOL_FAILED, f"{name}: {error.strerror}") from None
    show(done.stdout, done.stderr, done.returncode)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = f": {said[0][:200]}" if said else ""
        raise SourceError(Reason.TOOL_FAILED, f"{name} ended with {done.returncode}{words}")
    return done.stdout
