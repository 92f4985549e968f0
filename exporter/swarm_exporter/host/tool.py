"""Programs of the operating system that answer on their standard output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: How a tool is run: its command with an absolute path, and the longest time it may take, seconds.
Run = Callable[[Sequence[str], float], bytes]


def run_tool(command: Sequence[str], timeout: float) -> bytes:
    """Return what a program printed; it is killed after `timeout` seconds.

    Raises SourceError: missing, permission, timeout, or tool_failed with its first words.
    """
    name = os.path.basename(command[0])  # noqa: PTH119 - text, no file
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
        raise SourceError(Reason.MISSING, f"{command[0]} is not there") from None
    except PermissionError:
        raise SourceError(Reason.PERMISSION, f"{command[0]} may not be run") from None
    except subprocess.TimeoutExpired:
        raise SourceError(Reason.TIMEOUT, f"{name} had not ended after {timeout:g} s") from None
    except OSError as error:
        raise SourceError(Reason.TOOL_FAILED, f"{name}: {error.strerror}") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = f": {said[0][:200]}" if said else ""
        raise SourceError(Reason.TOOL_FAILED, f"{name} ended with {done.returncode}{words}")
    return done.stdout
