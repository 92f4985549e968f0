"""What a node has written for Weights & Biases and TensorBoard, and nobody has fetched yet.

RL Swarm v0.4.3 and later write offline runs below `logs/wandb/`, v0.3 to v0.4.2 TensorBoard's event
files below `runs/`; `wandb sync` leaves `<run>.wandb.synced` in a run's folder.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.launcher.private_files import cause
from swarm_exporter.model import FactsOfNodes, Node, NodeFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.worker import Worker

#: So many files and folders of a node are looked at, and no more.
MOST_ENTRIES = 50_000
_DEEPEST = 40
#: Runs grow slowly, and a look costs as much as `du`.
_INTERVAL_SECONDS = 300.0

_WANDB_FOLDERS = ("logs/wandb", "wandb")
_TENSORBOARD_FOLDERS = ("runs", "logs")
_RUN = "offline-run-"
_SYNCED = ".wandb.synced"
_EVENTS = "events.out.tfevents."


class TrackingFacts(NodeFacts, frozen=True, kw_only=True):
    """What lies in a node's folder. Sizes are the files' lengths in bytes, times Unix seconds."""

    #: Offline runs that were not synced.
    offline_runs: int | None = None
    offline_bytes: int | None = None
    #: When the newest of them was last written to.
    newest_run: float | None = None
    tensorboard_files: int | None = None
    tensorboard_bytes: int | None = None
    newest_event: float | None = None


class TrackingRuns(Source):
    """The runs in each node's folder."""

    name = "wandb"

    def __init__(
        self, folder: Callable[[Config, Node], Path | None] = lambda _, node: node.folder
    ) -> None:
        """Look into what `folder` returns for a node; None is not looked at."""
        self._folder = folder
        self._workers: dict[str, Worker] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each node that has a folder."""
        return [
            Target(self.name, node.name, (node,), max(config.interval, _INTERVAL_SECONDS))
            for node in config.nodes
            if self._folder(config, node) is not None
        ]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Look into one node's folder, beside the event loop."""
        (node,) = target.nodes
        folder = self._folder(context.config, node)
        if folder is None:
            raise SourceError(Reason.UNREADABLE, "the node has no folder; give it one")
        worker = self._workers.setdefault(node.name, Worker())
        facts, defects = await worker.run(
            lambda: read_tracking(folder), context.config.timeout, f"{folder} does not answer"
        )
        summary = f"{facts.offline_runs} offline runs, {facts.tensorboard_files} event files"
        return Facts(FactsOfNodes({node.name: facts}), defects, summary.replace("None", "unknown"))


def read_tracking(
    folder: Path, most_entries: int = MOST_ENTRIES
) -> tuple[TrackingFacts, tuple[Reason, ...]]:
    """Return what lies in a node's folder, and the defects met. Blocks on the file system.

    Links are not followed, except where a folder that is looked for is one itself. A folder that
    cannot be read, or more than `most_entries`, costs the figures that it would have changed.
    Raises SourceError (unreadable, permission) where there is no folder to look into.
    """
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise SourceError(_reason(error), f"{folder} cannot be read: {cause(error)}") from None
    looks = _Look(most_entries), _Look(most_entries)
    runs = _runs(looks[0], [folder / name for name in _WANDB_FOLDERS])
    events = _events(looks[1], [folder / name for name in _TENSORBOARD_FOLDERS])
    facts = TrackingFacts(
        offline_runs=runs.count if runs is not None else None,
        offline_bytes=runs.bytes if runs is not None else None,
        newest_run=runs.newest if runs is not None else None,
        tensorboard_files=events.count if events is not None else None,
        tensorboard_bytes=events.bytes if events is not None else None,
        newest_event=events.newest if events is not None else None,
    )
    return facts, tuple(defect for look in looks for defect in look.defects)


def _runs(look: _Look, tops: list[Path]) -> _Sum | None:
    """Sum the runs right below `tops` that were not synced; None where not all were seen."""
    total = _Sum()
    for entry in [entry for top in tops for entry in look.entries(os.fspath(top))]:
        if not entry.name.startswith(_RUN) or not look.is_folder(entry):
            continue
        files = list(look.files_below(entry.path))
        synced = any(name.endswith(_SYNCED) for name, _ in files)
        # It may be moved away while it is looked at.
        if not synced and (files or os.path.lexists(entry.path)):
            total.count += 1
            for _, status in files:
                total.add(status)
    return None if look.defects else total


def _events(look: _Look, tops: list[Path]) -> _Sum | None:
    """Sum the event files anywhere below `tops`; None where not all were seen."""
    total = _Sum()
    for top in tops:
        for name, status in look.files_below(os.fspath(top)):
            if name.startswith(_EVENTS):
                total.count += 1
                total.add(status)
    return None if look.defects else total


class _Sum(msgspec.Struct):
    """Files added up."""

    count: int = 0
    bytes: int = 0
    newest: float | None = None

    def add(self, status: os.stat_result) -> None:
        self.bytes += status.st_size
        self.newest = max(self.newest or 0.0, status.st_mtime)


class _Look:
    """One look at files: how many are left to look at, and what could not be seen."""

    def __init__(self, most_entries: int) -> None:
        self.defects: list[Reason] = []
        self._left = most_entries
        #: By device and inode: nothing counts twice, through whatever links and mounts.
        self._seen: set[tuple[int, int]] = set()

    def files_below(self, top: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield name and status of every regular file, but of none below another offline run."""
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            if depth > _DEEPEST:
                self._failed(Reason.TOO_LARGE)
                continue
            for entry in self.entries(folder):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self._failed_by(error)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if not entry.name.startswith(_RUN):
                        waiting.append((entry.path, depth + 1))
                elif stat.S_ISREG(status.st_mode) and (
                    status.st_nlink == 1 or self._is_new(status)
                ):
                    yield entry.name, status

    def is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Tell whether it is a folder, and no link to one."""
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            self._failed_by(error)
            return False

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what lies in a folder; nothing where there is none, or it was listed before."""
        try:
            if not self._is_new(os.stat(folder)):  # noqa: PTH116 - a text from scandir
                return []
            with os.scandir(folder) as listed:
                found = list(itertools.islice(listed, self._left + 1))
        except OSError as error:
            self._failed_by(error)
            return []
        if len(found) > self._left:
            self._failed(Reason.TOO_LARGE)
            found = found[: self._left]
        self._left -= len(found)
        return found

    def _is_new(self, status: os.stat_result) -> bool:
        identity = (status.st_dev, status.st_ino)
        new = identity not in self._seen
        self._seen.add(identity)
        return new

    def _failed_by(self, error: OSError) -> None:
        # What is not there has vanished, or never was.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._failed(_reason(error))

    def _failed(self, reason: Reason) -> None:
        if reason not in self.defects:
            self.defects.append(reason)


def _reason(error: OSError) -> Reason:
    return Reason.PERMISSION if isinstance(error, PermissionError) else Reason.UNREADABLE
