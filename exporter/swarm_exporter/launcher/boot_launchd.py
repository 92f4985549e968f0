"""The launchd agent that starts the nodes when their person logs in to the Mac.

Facts: launchd.plist(5) and launchctl(1), macOS 13 to 15.
"""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path

from swarm_exporter.errors import SwarmExporterError

LABEL = "io.github.swarm-exporter"
NAME = f"{LABEL}.plist"


def agent_text(command: Sequence[str], folder: Path, search_path: str, log: Path) -> str:
    """Return the agent that runs `command` in `folder`, its output appended to `log`.

    Raises SwarmExporterError where a text cannot stand in a property list.
    """
    content = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "WorkingDirectory": str(folder),
        "EnvironmentVariables": {"PATH": search_path},
        "RunAtLoad": True,
        # Again after a failure, not after it was stopped.
        "KeepAlive": {"SuccessfulExit": False},
        # Seconds that the launcher has to end its nodes.
        "ExitTimeOut": 120,
        # A background process gets little of the processor and of the disk.
        "ProcessType": "Interactive",
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    try:
        return plistlib.dumps(content, sort_keys=False).decode()
    except (ValueError, UnicodeError):
        raise SwarmExporterError(
            "a property list cannot hold a control character, or a name that is not UTF-8; "
            "rename the folder, the program or the option that has one"
        ) from None


def agent_folder(home: Path) -> Path:
    """Return where a person's own agents are."""
    return home / "Library" / "LaunchAgents"
