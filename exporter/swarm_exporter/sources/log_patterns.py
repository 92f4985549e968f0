"""What single lines of a log tell: named patterns out of a data file (log_patterns.yaml).

Facts of the file: RL Swarm v0.2.0 to v0.7.0, its run script, and its login app.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from swarm_exporter.config.yaml_file import Document

_OWN = "log_patterns.yaml"


class Event(str, Enum):
    """What a line tells."""

    TRAINER_STARTED = "trainer_started"
    JOINED_ROUND = "joined_round"
    ROUND_STARTED = "round_started"
    ROUND_FINISHED = "round_finished"
    WAITING = "waiting"
    METRICS = "metrics"
    SUBMIT_ACCEPTED = "submit_accepted"
    SUBMIT_REFUSED = "submit_refused"
    #: It may be an echo of the line before.
    REFUSAL = "refusal"
    WINNER_ACCEPTED = "winner_accepted"
    WINNER_REFUSED = "winner_refused"
    WINNER_REFUSAL = "winner_refusal"
    ERROR = "error"
    #: It looks like an error, and is none.
    BENIGN = "benign"


class ErrorKind(str, Enum):
    """The `kind` label of `swarm_training_errors_total`."""

    OUT_OF_MEMORY = "out_of_memory"
    MPS = "mps"
    DHT = "dht"
    LOGIN_EXPIRED = "login_expired"
    SUBMIT_REFUSED = "submit_refused"
    IDENTITY_IN_USE = "identity_in_use"
    GAME_OVER = "game_over"
    OLLAMA = "ollama"
    USER_OPERATION = "user_operation"
    #: A traceback that no pattern knows.
    OTHER = "other"


class Generation(str, Enum):
    """Who writes a line, by the name of the launcher's profile."""

    HIVEMIND = "hivemind"
    GENRL = "genrl"
    CODEZERO = "codezero"


class LogName(str, Enum):
    """Which of a node's logs; `training.log` is v0.5's `training_<animal>.log`."""

    SWARM_LAUNCHER = "swarm_launcher.log"
    SWARM = "swarm.log"
    TRAINING = "training.log"
    CONSOLE = "console"
    YARN = "yarn.log"


class LinePattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the file."""

    event: Event
    kind: ErrorKind | None = None
    generations: tuple[Generation, ...]
    logs: tuple[LogName, ...]
    #: Every line that it matches has one of these in it.
    needles: tuple[str, ...]
    #: Over bytes: a log in another encoding keeps its words. A group `round` is a number.
    pattern: str
    meaning: str
    examples: tuple[str, ...]


class Match(msgspec.Struct, frozen=True):
    """What one line tells."""

    name: str
    event: Event
    kind: ErrorKind | None
    round: int | None = None
    #: No log of the trainer's own has such lines.
    terminal_only: bool = False


class Patterns:
    """The patterns of some of a node's logs, as one search."""

    def __init__(self, patterns: Mapping[str, LinePattern], logs: Iterable[LogName]) -> None:
        """Compile those that belong to one of `logs`."""
        wanted = set(logs)
        self._known = [
            (name, entry, re.compile(entry.pattern.encode()))
            for name, entry in patterns.items()
            if wanted & set(entry.logs)
        ]
        self._needles = [[needle.encode() for needle in e.needles] for _, e, _ in self._known]
        every = {needle for needles in self._needles for needle in needles}
        #: The texts without which no line tells anything.
        self.needles = tuple(sorted(n for n in every if not any(o in n for o in every - {n})))

    def match(self, line: bytes) -> Match | None:
        """Return what a line tells; None where it tells nothing."""
        for (name, entry, regex), needles in zip(self._known, self._needles, strict=True):
            if not any(needle in line for needle in needles):
                continue
            found = regex.search(line)
            if found is not None:
                number = found.groupdict().get("round")
                round_ = int(number) if number is not None else None
                terminal_only = entry.logs == (LogName.CONSOLE,)
                return Match(name, entry.event, entry.kind, round_, terminal_only)
        return None


@cache
def built_in_patterns() -> Mapping[str, LinePattern]:
    """Return the patterns that the package brings, by name."""
    with as_file(files(__package__) / _OWN) as path:
        return _read(path, _OWN)


def load_patterns(own: Path | None) -> Mapping[str, LinePattern]:
    """Return the package's patterns, with a person's own before them; one of the same name wins.

    Raises ConfigError with file, line and the fix.
    """
    if own is None:
        return built_in_patterns()
    mine = _read(own, str(own))
    return {**mine, **{n: p for n, p in built_in_patterns().items() if n not in mine}}


def _read(path: Path, name: str) -> Mapping[str, LinePattern]:
    document = Document(path, name)
    patterns = document.convert(dict[str, LinePattern])
    for key, entry in patterns.items():
        problem = _problem(entry)
        if problem is not None:
            raise document.error(key, problem)
    return patterns


def _problem(entry: LinePattern) -> str | None:
    try:
        regex = re.compile(entry.pattern.encode())
    except re.error as error:
        return f"the pattern is no regular expression ({error})"
    if entry.event is Event.ERROR and entry.kind is None:
        return "an error needs a kind"
    if not entry.examples or not entry.needles or not all(entry.needles):
        return "it needs one needle and one example at least"
    if regex.search(b"") is not None:
        return "the pattern matches an empty line"
    for example in entry.examples:
        if regex.search(example.encode()) is None:
            return f'the pattern does not match its example "{example[:60]}"'
        if not any(needle in example for needle in entry.needles):
            return f'none of the needles is in the example "{example[:60]}"'
    return None
