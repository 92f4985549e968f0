"""The systemd user unit that starts the nodes at boot.

Facts: systemd.service(5), systemd.unit(5) and systemd.syntax(7), versions 237 to 257.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from swarm_exporter.errors import SwarmExporterError

NAME = "swarm-exporter.service"


def unit_text(command: Sequence[str], folder: Path, search_path: str) -> str:
    """Return the unit that runs `command` in `folder` with PATH `search_path`.

    Raises SwarmExporterError where a text cannot stand in a unit.
    """
    for text in (*command, str(folder), search_path):
        _check(text)
    if str(folder) != str(folder).rstrip() or str(folder).endswith("\\"):
        raise SwarmExporterError(
            f"a systemd unit cannot name the folder {folder}, because of its last character; "
            "install it from another folder"
        )
    program, *arguments = command
    if any(char in program for char in "\"'\\"):
        raise SwarmExporterError(
            f"systemd runs no program with a quote or a backslash in its path, as {program} has; "
            "install swarm-exporter in another folder"
        )
    # The program itself is no place for variables, so its $ stays one.
    line = " ".join([_quoted(program), *(_quoted(a.replace("$", "$$")) for a in arguments)])
    path = _quoted(f"PATH={search_path}")
    # WorkingDirectory= takes the rest of the line as it is: quotes would be a part of the name.
    return f"""\
# Written by `swarm-exporter service install`, which also replaces it.
[Unit]
Description=RL Swarm (Gensyn) training nodes, started by swarm-exporter

[Service]
ExecStart={line}
WorkingDirectory={str(folder).replace("%", "%%")}
Environment={path}
# The launcher ends its nodes itself, in time for what they have to hand in.
KillMode=mixed
TimeoutStopSec=120
Restart=on-failure
RestartSec=10
# Wrong usage stays wrong.
RestartPreventExitStatus=2

[Install]
WantedBy=default.target
"""


def unit_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return where a person's own units are."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".config") / "systemd" / "user"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _check(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SwarmExporterError(
            f"a systemd unit must be UTF-8, but {text!a} is not; rename it"
        ) from None
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise SwarmExporterError(
            f"a systemd unit cannot hold the control character in {text!a}; rename it"
        )
