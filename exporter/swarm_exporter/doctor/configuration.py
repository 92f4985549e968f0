"""The configuration, and the folder where the exporter and the launcher keep their state."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from swarm_exporter.config import Config
from swarm_exporter.doctor.check import Check, Group, existing
from swarm_exporter.launcher.private_files import cause

GROUP = Group("configuration")


def check_configuration(config: Config, problem: str) -> list[Check]:
    """Return the checks; `problem` is why the configuration was refused, empty where it was not.

    Where it was, `config` is what holds without one.
    """
    checks = []
    if problem:
        checks.append(GROUP.failure("settings", problem, "see docs/configuration.md"))
    else:
        count = len(config.nodes)
        origin = str(config.source_file) if config.source_file is not None else "without a file"
        checks.append(GROUP.good("settings", f"{count} node{'s' * (count != 1)}, {origin}"))
    checks += [
        GROUP.warning("settings", warning, "correct or unset it") for warning in config.warnings
    ]
    return [*checks, *_state_folder(config.state_dir)]


def _state_folder(folder: Path) -> list[Check]:
    subject = f"state in {folder}"
    if not folder.is_dir():
        place = existing(folder)
        if place is None or not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            return [
                GROUP.failure(
                    subject, f"cannot be made: {place} cannot be written", "give a --state-dir"
                )
            ]
        return [GROUP.good(subject, "not there yet; it is made at the first start")]
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
    except OSError as error:
        fix = "make room or correct the permissions, or give another --state-dir"
        return [GROUP.failure(subject, f"cannot be written ({cause(error)})", fix)]
    checks = [GROUP.private(subject, folder, "can be written")]
    state = folder / "state.json"
    if state.is_file():
        checks.append(GROUP.private("what was earned", state, f"{state.stat().st_size} bytes"))
        holder = _holder(folder / "state.json.lock")
        if holder is not None:
            checks.append(GROUP.good("what was earned", f"in use by an exporter ({holder})"))
    return checks


def _holder(lock: Path) -> str | None:
    """Return which process holds the state's lock, or None where none does."""
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = file.read(20).strip()
                return f"process {pid.decode()}" if pid.isdigit() else "process unknown"
    except OSError:
        return None
    return None
