"""Which of a node's logs tells what: RL Swarm writes the same line to as many as three.

Facts: RL Swarm v0.2.0 to v0.7.0; output that the launcher or a person's shell redirects.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import msgspec

from swarm_exporter.launcher.nodes import LAUNCHER_LOG
from swarm_exporter.sources.log_patterns import LogName

#: A log of the trainer's own that was not written to for so long, while the terminal's was, is of
#: another generation: a checkout that went back to v0.4.2 keeps what a later one wrote.
_LEFT_SECONDS = 24 * 3600.0
#: Of two copies of the terminal (`tee`) the one that was read is read on.
_SAME_SECONDS = 600.0
#: Logs of other programs that a person may find in a node's folder.
_STRANGERS = ("yarn", "npm", "ollama")


class FoundLog(msgspec.Struct, frozen=True):
    """One log that exists, or whose rotated part does."""

    path: Path
    name: LogName
    #: When it was last written to, Unix seconds.
    written: float


class NodeLogs(msgspec.Struct, frozen=True, kw_only=True):
    """The logs of one node."""

    #: The best one that has the trainer's lines.
    trainer: FoundLog | None = None
    #: The terminal's, where `trainer` is another: it alone has what ended a trainer by force.
    console: FoundLog | None = None
    yarn: FoundLog | None = None
    #: Something in the place of a log that is no file.
    odd: Path | None = None


def node_logs(folder: Path, reading: str) -> NodeLogs:
    """Return the logs in a node's folder; `reading` is the one that was chosen before.

    Raises OSError where the folder cannot be looked into.
    """
    logs = folder / "logs"
    odd: list[Path] = []
    own = [
        found
        for name, path in (
            (LogName.SWARM_LAUNCHER, logs / "swarm_launcher.log"),
            (LogName.SWARM, logs / "swarm.log"),
            (LogName.TRAINING, _newest_training_log(logs)),
        )
        if path is not None and (found := found_log(path, name, odd)) is not None
    ]
    console = _console(folder, reading, odd)
    trainer = _best(own, console)
    return NodeLogs(
        trainer=trainer,
        console=console if console is not trainer else None,
        yarn=found_log(logs / "yarn.log", LogName.YARN, odd),
        odd=odd[0] if odd else None,
    )


def found_log(path: Path, name: LogName, odd: list[Path]) -> FoundLog | None:
    """Return a log that is there, if only its rotated part is; add what is no file to `odd`."""
    for candidate in (path, Path(f"{path}.1")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = candidate.stat()
            if stat.S_ISREG(found.st_mode):
                return FoundLog(path, name, found.st_mtime)
            if candidate is path:
                odd.append(path)
    return None


def _best(own: list[FoundLog], console: FoundLog | None) -> FoundLog | None:
    newest = max([log.written for log in [*own, console] if log is not None], default=0.0)
    return next((log for log in own if newest - log.written <= _LEFT_SECONDS), console)


def _console(folder: Path, reading: str, odd: list[Path]) -> FoundLog | None:
    usual = [folder / "logs" / LAUNCHER_LOG, folder / "nohup.out"]
    named = sorted(Path(name) for name in _names(folder) if name.endswith(".log"))
    found = [found_log(path, LogName.CONSOLE, odd) for path in usual]
    found += [
        found_log(path, LogName.CONSOLE, [])
        for path in named
        if not path.name.startswith(_STRANGERS)
    ]
    there = [log for log in found if log is not None]
    newest = max((log.written for log in there), default=0.0)
    fresh = [log for log in there if newest - log.written <= _SAME_SECONDS]
    return next((log for log in fresh if str(log.path) == reading), fresh[0] if fresh else None)


def _newest_training_log(logs: Path) -> Path | None:
    """Return v0.5's log with the animal's name; the newest where the identity has changed."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        named = [
            Path(name)
            for name in _names(logs)
            if Path(name).name.startswith("training_") and name.endswith(".log")
        ]
        times = {path: path.stat().st_mtime for path in named if path.is_file()}
        return max(times, key=lambda path: times[path], default=None)
    return None


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries]
