"""Nodes that the launcher did not start (screen, pm2, systemd, by hand): found, and left alone.

A node is recognised by its folder and the command line of its trainer. Command lines are compared
and never shown: RL Swarm v0.4 has a token in its own.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.launcher.processes import command_line, folder_of
from swarm_exporter.launcher.profile import BUILT_IN, load_profile


class ForeignTrainer(msgspec.Struct, frozen=True):
    """A trainer that somebody else started."""

    pid: int
    #: When it was started, Unix seconds.
    started: float
    profile: str


def find_trainers(
    folders: Mapping[str, Path], patterns: Mapping[str, str] | None = None
) -> dict[str, ForeignTrainer]:
    """Return the trainer in each folder that has one, by the folder's key.

    `patterns` says by profile how a trainer's command line looks; the built-in ones unless given.
    Of a trainer and its forked twin, with the same command line, the older counts.
    """
    compiled = [(n, re.compile(p)) for n, p in (patterns or trainer_patterns()).items()]
    by_path = {os.path.realpath(folder): key for key, folder in folders.items()}
    found: dict[str, ForeignTrainer] = {}
    for process in psutil.process_iter():
        line = command_line(process)
        profile = next((name for name, pattern in compiled if pattern.search(line)), None)
        key = _owner(folder_of(process), by_path) if profile is not None else None
        if key is None or profile is None:
            continue
        with contextlib.suppress(psutil.Error):
            trainer = ForeignTrainer(process.pid, process.create_time(), profile)
            if key not in found or trainer.started < found[key].started:
                found[key] = trainer
    return found


def trainer_patterns() -> dict[str, str]:
    """Return, by built-in profile, how the command line of its trainer looks."""
    profiles = {name: load_profile(name, Path()) for name in BUILT_IN}
    return {name: profile.trainer for name, profile in profiles.items() if profile.trainer}


def _owner(path: str, folders: Mapping[str, str]) -> str | None:
    """Return the key of the folder that `path` is in, if any."""
    for candidate in _upwards(path):
        if candidate in folders:
            return folders[candidate]
    return None


def _upwards(path: str) -> Iterable[str]:
    while path and path != os.path.dirname(path):  # noqa: PTH120 - text, for speed
        yield path
        path = os.path.dirname(path)  # noqa: PTH120
