"""New lines of a node's logs, and what the profile's patterns find in them.

Only what was added since the last look is read, across rotation, truncation and restarts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from swarm_exporter.launcher.spec import NodeSpec
from swarm_exporter.log_tail import Position, looks

#: So much of one log is read at one look; the rest at the next.
_MOST_BYTES = 4 * 1024 * 1024

#: Inode and offset, by path.
Offsets = dict[str, tuple[int, int]]


class LogFacts(msgspec.Struct):
    """What the new lines say."""

    ready: bool = False
    waiting_login: bool | None = None
    accepted: int = 0
    refused: int = 0
    #: When the newest of the logs was written to, Unix seconds.
    last_line: float | None = None


class LogWatch:
    """Watches the logs of one node."""

    def __init__(self, spec: NodeSpec) -> None:
        """Compile the profile's patterns."""
        self._positions: dict[str, Position] = {}
        rules: list[tuple[str, str, Callable[[LogFacts], None]]] = [
            (spec.ready_log or spec.console, spec.ready_pattern, _note_ready),
            (spec.console, spec.waiting_login, _note_waiting),
            (spec.console, spec.logged_in, _note_login),
            (spec.submit_log or spec.console, spec.submit_refused, _note_refused),
            (spec.submit_log or spec.console, spec.submit_accepted, _note_accepted),
        ]
        self._rules: dict[str, list[tuple[re.Pattern[str], Callable[[LogFacts], None]]]] = {
            spec.console: []
        }
        for path, pattern, note in rules:
            if pattern:
                self._rules.setdefault(path, []).append((re.compile(pattern), note))

    def look(self, offsets: Offsets) -> LogFacts:
        """Read what is new since `offsets`, which move on, and return what it says."""
        facts = LogFacts()
        for path, rules in self._rules.items():
            with contextlib.suppress(OSError):
                for found in looks(Path(path), self._position(path, offsets), _MOST_BYTES):
                    self._remember(path, found.position, offsets)
                    if found.written is not None:
                        facts.last_line = max(facts.last_line or 0.0, found.written)
                    for line in filter(None, found.data.decode(errors="replace").split("\n")):
                        for pattern, note in rules:
                            if pattern.search(line):
                                note(facts)
        return facts

    def _position(self, path: str, offsets: Offsets) -> Position:
        inode, offset = offsets.get(path, (0, 0))
        known = self._positions.get(path, Position())
        # The launcher was started anew, or the node: what is known of the file itself is not kept.
        same = (known.inode, known.offset) == (inode, offset)
        return known if same else Position(inode=inode, offset=offset)

    def _remember(self, path: str, position: Position, offsets: Offsets) -> None:
        self._positions[path] = position
        if position.inode:
            offsets[path] = (position.inode, position.offset)
        else:
            offsets.pop(path, None)


def _note_ready(facts: LogFacts) -> None:
    facts.ready = True


def _note_waiting(facts: LogFacts) -> None:
    facts.waiting_login = True


def _note_login(facts: LogFacts) -> None:
    facts.waiting_login = False


def _note_accepted(facts: LogFacts) -> None:
    facts.accepted += 1


def _note_refused(facts: LogFacts) -> None:
    facts.refused += 1
