"""New lines of a node's logs, and what the profile's patterns find in them.

Only what was added since the last look is read, across rotation, truncation and restarts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from swarm_exporter.launcher.spec import NodeSpec

#: Colours and cursor movements (ECMA-48): RL Swarm v0.2 to v0.4 colour lines even in a pipe.
_TERMINAL_CODE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
#: So much of one log is read at one look; the rest at the next.
_MOST_BYTES = 4 * 1024 * 1024
_LONGEST_LINE = 64 * 1024

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
            if not Path(path).exists():
                # Its successor may get the same inode.
                offsets.pop(path, None)
                continue
            with contextlib.suppress(OSError):
                written = Path(path).stat().st_mtime
                facts.last_line = max(facts.last_line or 0.0, written)
                for line in _new_lines(path, offsets):
                    for pattern, note in rules:
                        if pattern.search(line):
                            note(facts)
        return facts


def _new_lines(path: str, offsets: Offsets) -> Iterator[str]:
    inode, offset = offsets.get(path, (0, 0))
    found = Path(path).stat()
    if inode and found.st_ino != inode:
        # Rotated: the end of what was being read has another name now.
        older = Path(f"{path}.1")
        with contextlib.suppress(OSError):
            if older.stat().st_ino == inode:
                yield from _lines(_read(older, offset))
        offset = 0
    if found.st_size < offset:
        offset = 0
    data = _read(Path(path), offset)
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    if not end and len(data) >= _LONGEST_LINE:
        end = len(data)
    offsets[path] = (found.st_ino, offset + end)
    yield from _lines(data[:end])


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_MOST_BYTES)


def _lines(data: bytes) -> Iterator[str]:
    text = _TERMINAL_CODE.sub(b"", data).decode(errors="replace")
    # Progress bars end their lines with a carriage return alone.
    return (line for line in re.split(r"[\r\n]", text) if line)


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
