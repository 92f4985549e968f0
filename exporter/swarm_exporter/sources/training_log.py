"""What a node's own logs tell: rounds, waiting, loss and reward, submissions, errors.

Facts: RL Swarm v0.2.0 to v0.7.0. Where a log was read up to, and what was counted, is kept in one
file for each node in the state folder, so that a restart of the exporter counts nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from swarm_exporter.clock import Clock
from swarm_exporter.config import Config
from swarm_exporter.config.logs import TrainingLog
from swarm_exporter.errors import ConfigError
from swarm_exporter.launcher.files import slug
from swarm_exporter.launcher.private_files import cause
from swarm_exporter.log_tail import Position, looks
from swarm_exporter.model import FactsOfNodes, Node, NodeFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.log_choice import FoundLog, NodeLogs, found_log, node_logs
from swarm_exporter.sources.log_events import Place, Told, read_events, settled
from swarm_exporter.sources.log_patterns import ErrorKind, LogName, Patterns, load_patterns
from swarm_exporter.sources.log_progress import Progress, after
from swarm_exporter.sources.worker import Worker
from swarm_exporter.state import StateError, StateFile

log = logging.getLogger(__name__)

#: So much of one log is read at one poll; the rest at the next.
_MOST_BYTES = 8 * 1024 * 1024
#: A traceback that nothing has followed for so long is at its end.
_SETTLED_SECONDS = 60.0

_Found = tuple["TrainingLogFacts", tuple[Reason, ...]]
Settings = Callable[[Config, Node], TrainingLog | None]


class TrainingLogFacts(NodeFacts, frozen=True, kw_only=True):
    """What the logs of one node have told. Counts are since the logs were first read."""

    #: The log that has the trainer's lines, below the node's folder.
    log: str
    #: When any of the trainer's logs was last written to.
    last_line_at: float | None = None
    joined_round: int | None = None
    joined_at: float | None = None
    #: Since when it has waited for the swarm's next round; None while it trains.
    waiting_since: float | None = None
    #: The newest finite values that were printed.
    loss: float | None = None
    reward: float | None = None
    #: Of rewards, and of votes for the round's winners: "accepted", "refused".
    submissions: Mapping[str, int] = {}
    winner_submissions: Mapping[str, int] = {}
    last_submit_at: float | None = None
    #: Of every known kind.
    errors: Mapping[str, int] = {}
    starts: int = 0


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one node's logs."""

    #: The logs are this folder's; with another one everything begins anew.
    folder: str = ""
    #: By path: up to where it was read, and in the middle of what.
    positions: dict[str, Position] = {}
    places: dict[str, Place] = {}
    #: The log that the trainer's lines were last read from.
    reading: str = ""
    #: The newest time that one of its events has told.
    newest: float | None = None
    progress: Progress = Progress()


class TrainingLogs(Source):
    """The logs of each node that has a folder."""

    name = "training_log"

    def __init__(self, settings: Settings, *, remember: bool = True) -> None:
        """Read where `settings` says; nothing is read before the first poll.

        Without `remember` no file is written: a single look beside an exporter moves nothing on.
        """
        self._settings = settings
        self._remember = remember
        self._workers: dict[str, Worker] = {}
        self._kept: dict[Path, _Kept] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each node whose logs can be found."""
        return [
            Target(self.name, node.name, (node,), config.interval)
            for node in config.nodes
            if self._settings(config, node) is not None
        ]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Read what is new in the logs of one node.

        Raises SourceError: no_log, unreadable, permission, timeout.
        """
        (node,) = target.nodes
        settings = self._settings(context.config, node) or TrainingLog()
        path = context.config.state_dir / "logs" / f"{slug(node.name)}.json"
        kept = self._kept.setdefault(path, _Kept(path, context.clock, remember=self._remember))
        now = context.clock.time()
        found, defects = await self._workers.setdefault(node.name, Worker()).run(
            lambda: kept.look(settings, now),
            context.config.timeout,
            f"{settings.file or settings.folder} does not answer",
        )
        summary = found.log
        if found.joined_round is not None:
            summary += f", round {found.joined_round}"
        return Facts(FactsOfNodes({node.name: found}), defects, summary)


class _Kept:
    """What is known of one node's logs, in memory and in its file."""

    def __init__(self, path: Path, clock: Clock, *, remember: bool) -> None:
        self._file = StateFile(path, clock)
        self._remember = remember
        self._state: LogState | None = None
        self._complained = False

    def look(
        self, settings: TrainingLog, now: float
    ) -> tuple[TrainingLogFacts, tuple[Reason, ...]]:
        """Read what is new, and keep it. Raises SourceError."""
        try:
            if self._state is None:
                self._state = self._file.load(LogState) or LogState()
            look = _Look(self._state, settings, now)
            facts = look.read()
        except (StateError, ConfigError) as error:
            raise SourceError(Reason.UNREADABLE, str(error)) from None
        except PermissionError as error:
            place = error.filename or settings.file or settings.folder
            raise SourceError(Reason.PERMISSION, f"{place}: {cause(error)}") from None
        except OSError as error:
            place = error.filename or settings.file or settings.folder
            raise SourceError(Reason.UNREADABLE, f"{place}: {cause(error)}") from None
        self._state = look.state
        return facts, tuple(look.defects + self._save())

    def _save(self) -> list[Reason]:
        if not self._remember:
            return []
        try:
            self._file.save(self._state)
        except StateError as error:
            if not self._complained:
                log.warning("%s", error)
            self._complained = True
            return [Reason.UNREADABLE]
        self._complained = False
        return []


class _Look:
    """One look at the logs of one node: from one state to the next."""

    def __init__(self, state: LogState, settings: TrainingLog, now: float) -> None:
        folder = str(settings.folder or settings.file)
        self.state = state if state.folder == folder else LogState(folder=folder)
        self.defects: list[Reason] = []
        self._settings = settings
        self._now = now
        self._patterns = load_patterns(settings.patterns)

    def read(self) -> TrainingLogFacts:
        """Return what is known after this look. Raises OSError, SourceError, ConfigError."""
        logs = self._logs()
        trainer = logs.trainer
        if trainer is None:
            raise self._no_log(logs)
        self._begin(trainer)
        self._follow(trainer)
        if logs.odd is not None:
            self.defects.append(Reason.UNREADABLE)
        self._follow_beside(logs.console)
        self._follow_beside(logs.yarn)
        self._forget(logs)
        written = [found.written for found in (trainer, logs.console) if found is not None]
        return self._facts(trainer, min(max(written), self._now))

    def _logs(self) -> NodeLogs:
        if self._settings.file is not None:
            odd: list[Path] = []
            found = found_log(self._settings.file, LogName.CONSOLE, odd)
            return NodeLogs(trainer=found, odd=odd[0] if odd else None)
        assert self._settings.folder is not None  # noqa: S101 - else the node is no target
        return node_logs(self._settings.folder, self.state.reading)

    def _no_log(self, logs: NodeLogs) -> SourceError:
        if logs.odd is not None:
            return SourceError(Reason.UNREADABLE, f"{logs.odd} is no file")
        where = self._settings.file or f"no log of a trainer is in {self._settings.folder}"
        missing = f"{where} is not there" if self._settings.file is not None else str(where)
        return SourceError(Reason.NO_LOG, f"{missing}: start the node once, or correct the path")

    def _begin(self, trainer: FoundLog) -> None:
        """Where the trainer's lines come from another log than before, tell none of them twice."""
        path = str(trainer.path)
        before = self.state.reading
        if path == before:
            return
        places = dict(self.state.places)
        if before:
            told, _ = settled(places.pop(before, Place()))
            self._take(told, self._now)
            places[path] = Place(known_until=self.state.newest)
        self.state = msgspec.structs.replace(self.state, reading=path, places=places)

    def _follow_beside(self, found: FoundLog | None) -> None:
        """Read a log that adds to the trainer's own; that it cannot be read costs it alone."""
        if found is None:
            return
        try:
            self._follow(found, beside=found.name is LogName.CONSOLE)
        except PermissionError:
            self.defects.append(Reason.PERMISSION)
        except OSError:
            self.defects.append(Reason.UNREADABLE)

    def _follow(self, found: FoundLog, *, beside: bool = False) -> None:
        path = str(found.path)
        place = self.state.places.get(path, Place())
        position = self.state.positions.get(path)
        patterns = Patterns(self._patterns, (found.name,))
        undated = min(found.written, self._now)
        for look in looks(found.path, position, _MOST_BYTES):
            if look.skipped and position is not None:
                self.defects.append(Reason.SKIPPED)
            told, place = read_events(look.data, patterns, place, beside=beside)
            if not look.more and self._now - found.written > _SETTLED_SECONDS:
                more, place = settled(place)
                told += more
            position = look.position
            self._take(told, undated, dates=not beside and found.name is not LogName.YARN)
        self.state = msgspec.structs.replace(
            self.state,
            positions={**self.state.positions, path: position or Position()},
            places={**self.state.places, path: place},
        )

    def _take(self, told: list[Told], undated: float, *, dates: bool = False) -> None:
        progress, newest = self.state.progress, self.state.newest
        for one in told:
            progress = after(progress, one, self._now, undated)
            if dates and one.time is not None:
                newest = max(newest or 0.0, min(one.time, self._now))
        self.state = msgspec.structs.replace(self.state, progress=progress, newest=newest)

    def _forget(self, logs: NodeLogs) -> None:
        """Keep nothing of logs that are gone: the state does not grow."""
        used = {str(f.path) for f in (logs.trainer, logs.console, logs.yarn) if f is not None}
        kept = {path for path in self.state.positions if path in used or Path(path).exists()}
        self.state = msgspec.structs.replace(
            self.state,
            positions={p: v for p, v in self.state.positions.items() if p in kept},
            places={p: v for p, v in self.state.places.items() if p in kept},
        )

    def _facts(self, trainer: FoundLog, written: float) -> TrainingLogFacts:
        known = self.state.progress
        folder = self._settings.folder
        inside = folder is not None and trainer.path.is_relative_to(folder)
        path = trainer.path.relative_to(folder) if inside and folder else trainer.path
        return TrainingLogFacts(
            log=str(path),
            last_line_at=written,
            joined_round=known.joined_round,
            joined_at=known.joined_at,
            waiting_since=known.waiting_since,
            loss=known.loss,
            reward=known.reward,
            submissions={"accepted": known.accepted, "refused": known.refused},
            winner_submissions={
                "accepted": known.winners_accepted,
                "refused": known.winners_refused,
            },
            last_submit_at=known.last_submit_at,
            errors={kind.value: known.errors.get(kind.value, 0) for kind in ErrorKind},
            starts=known.starts,
        )
