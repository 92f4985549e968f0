"""Nodes that the launcher did not start (screen, pm2, systemd, by hand): found, and left alone.

A node is recognised by the command line of its trainer and by its folder, or by the path of its
identity, which RL Swarm v0.3 to v0.7 give to the trainer or to the p2pd below it. Command lines
are compared and never kept: RL Swarm v0.4 has a token in its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.host.real_paths import RealPaths
from swarm_exporter.host.table import Known, Row, Table, age_of, lineage, read_table
from swarm_exporter.launcher.processes import command_line, folder_of
from swarm_exporter.launcher.profile import BUILT_IN, load_profile

#: `--identity_path /nodes/1/swarm.pem` of a trainer; `-id=/nodes/1/swarm.pem` of its p2pd.
_TRAINERS_IDENTITY = re.compile(r"(?:^|[\s=])(/[^\s=]*\.pem)(?=\s|$)")
_P2PDS_IDENTITY = re.compile(r"(?:^|\s)-id=(/[^\s=]*\.pem)(?=\s|$)")
#: Between what is kept of a process; no path holds it.
_BETWEEN = "\0"


class ForeignTrainer(msgspec.Struct, frozen=True):
    """A trainer that somebody else started."""

    pid: int
    #: When it was started, Unix seconds.
    started: float
    profile: str
    #: What else is of the same node by its own command line, wherever it descends from: a forked
    #: twin that has left, or the p2pd of a trainer that has ended.
    companions: tuple[int, ...] = ()


class Trainers:
    """Finds the trainers of nodes; what does not change of a process is read once."""

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        """Recognise trainers by `patterns`, by profile; by the built-in profiles unless given."""
        self.real_paths = RealPaths()
        self._patterns = patterns
        self._compiled: list[tuple[str, re.Pattern[str]]] = []
        self._signs = Known(self._sign, inherited=False)
        #: Whether some trainer may be anybody's: its folder may not be read (another user's).
        self.some_are_hidden = False
        #: Worked out once for each process: the clock may be set later.
        self._started: dict[tuple[int, float], float] = {}

    def find(
        self,
        table: Table,
        folders: Mapping[str, Path],
        identities: Mapping[str, Path] | None = None,
    ) -> dict[str, ForeignTrainer]:
        """Return the trainer of each node that has one, by the keys of `folders`, `identities`.

        The identity that a trainer was given tells more than its folder, in which several nodes
        may run. Of a trainer and its forked twin, with the same command line, the older counts.
        """
        if self._patterns is None:
            self._patterns = trainer_patterns()
        self._compiled = self._compiled or [(n, re.compile(p)) for n, p in self._patterns.items()]
        signs = {pid: sign.split(_BETWEEN) for pid, sign in self._signs.look(table).items() if sign}
        owners = self._owners(signs, table, folders, identities or {})
        found: dict[str, Row] = {}
        companions: dict[str, list[int]] = {}
        for pid, owner in owners.items():
            companions.setdefault(owner, []).append(pid)
            if signs[pid][0]:
                before = found.get(owner, table[pid])
                found[owner] = min(before, table[pid], key=lambda row: (row.start, row.pid))
        self._forget(table)
        return {
            key: ForeignTrainer(
                row.pid, self._start(row), signs[row.pid][0], tuple(companions[key])
            )
            for key, row in found.items()
        }

    def _owners(
        self,
        signs: Mapping[int, list[str]],
        table: Table,
        folders: Mapping[str, Path],
        identities: Mapping[str, Path],
    ) -> dict[int, str]:
        """Return the node of each trainer, and of each p2pd whose trainer has ended.

        What is below a trainer is a part of it.
        """
        real = self.real_paths.of
        by_folder: dict[str, list[str]] = {}
        # A node with an identity elsewhere gives way to one without, in the same folder.
        for key in sorted(folders, key=lambda key: key in identities):
            by_folder.setdefault(real(folders[key]), []).append(key)
        by_identity = {real(path): key for key, path in identities.items()}
        for path, (key, *_) in by_folder.items():
            by_identity.setdefault(f"{path}/swarm.pem", key)
        named: dict[int, str] = {}
        placed: dict[int, list[str]] = {}
        for pid, (_, folder, identity) in signs.items():
            top = _first_trainer(pid, signs, table)
            owner = by_identity.get(real(identity)) if identity else None
            if owner is not None:
                named.setdefault(top, owner)
            keys = _owner(folder, by_folder)
            if keys:
                placed.setdefault(top, keys)
        taken = set(named.values())
        for pid, keys in placed.items():
            named.setdefault(pid, next((key for key in keys if key not in taken), keys[0]))
        self.some_are_hidden = any(
            profile and not folder and _first_trainer(pid, signs, table) not in named
            for pid, (profile, folder, _) in signs.items()
        )
        return named

    def _start(self, row: Row) -> float:
        key = (row.pid, row.start)
        return self._started.setdefault(key, time.time() - age_of(row.start))

    def _forget(self, table: Table) -> None:
        living = {(row.pid, row.start) for row in table.values()}
        self._started = {key: start for key, start in self._started.items() if key in living}

    def _sign(self, pid: int) -> str:
        """Return profile, folder and identity path of a trainer or a p2pd; "" for all others."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            line = command_line(process)
            profile = next((n for n, pattern in self._compiled if pattern.search(line)), "")
            identity = (_TRAINERS_IDENTITY if profile else _P2PDS_IDENTITY).search(line)
            if profile or identity:
                path = identity[1] if identity else ""
                return _BETWEEN.join((profile, folder_of(process) if profile else "", path))
        return ""


def find_trainers(
    folders: Mapping[str, Path], patterns: Mapping[str, str] | None = None
) -> dict[str, ForeignTrainer]:
    """Return the trainer in each folder that has one, by the folder's key, by a look of its own."""
    table = {pid: row for pid, row in read_table().items() if not row.zombie}
    return Trainers(patterns).find(table, folders)


def trainer_patterns() -> dict[str, str]:
    """Return, by built-in profile, how the command line of its trainer looks."""
    profiles = {name: load_profile(name, Path()) for name in BUILT_IN}
    return {name: profile.trainer for name, profile in profiles.items() if profile.trainer}


def _first_trainer(pid: int, signs: Mapping[int, list[str]], table: Table) -> int:
    """Return the trainer that `pid` is or belongs to: the furthest ancestor that is one, if any."""
    trainers = [ancestor for ancestor in lineage(pid, table) if signs.get(ancestor, [""])[0]]
    return trainers[-1] if trainers else pid


def _owner(path: str, folders: Mapping[str, list[str]]) -> list[str]:
    """Return the keys of the folder that `path` is in, if any."""
    for candidate in _upwards(path):
        if candidate in folders:
            return folders[candidate]
    return []


def _upwards(path: str) -> Iterable[str]:
    while path and path != os.path.dirname(path):  # noqa: PTH120 - text, for speed
        yield path
        path = os.path.dirname(path)  # noqa: PTH120
