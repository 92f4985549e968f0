"""Lines of a trainer's log -> what happened, each thing once, wherever the text was cut.

Facts: RL Swarm v0.2.0 to v0.7.0. A record may go on over many lines (a message, a traceback, a
chain of tracebacks), and v0.6 and later tell of one refused submission in two lines.
"""

from __future__ import annotations

import math
import re
from datetime import datetime

import msgspec

from swarm_exporter.sources.log_patterns import ErrorKind, Event, Match, Patterns

#: The first line of a record: Hydra's form, swarm.log's, v0.5's own, colorlog's, hivemind's.
_HEADER = re.compile(
    rb"\[\d{4}-\d\d-\d\d \d\d:"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - "
    rb"|\[\w{1,100}\] \d{4}-\d\d-\d\d "
    rb"|(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL):[\w.]+:"
    rb"|[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3} \["
)
#: A progress bar may stand before it.
_TIME = re.compile(
    rb"(?:^|\[|\] )(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:,(\d{3}))?(?=[\] ]|$)"
)
_TRACEBACK = b"Traceback (most recent call last):"
#: Between two tracebacks of one chain.
_GLUE = (
    b"During handling of the above exception, another exception occurred",
    b"he above exception was the direct cause of the following exception",
)
#: Hydra's words before an exception that nobody caught: no log has it, only the terminal.
_UNCAUGHT = b"Error executing job with overrides"
_OWN_NEEDLES = (_TRACEBACK, b"he above exception", _UNCAUGHT)
#: A record without an end (a terminal's text has few headers) is left after so many lines.
_LONGEST_RECORD = 30
_NUMBER = rb"(?:[A-Za-z_][\w.]*\()?([-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf))"
_LOSS = re.compile(rb"'(?:train/)?loss': " + _NUMBER)
_REWARD = re.compile(rb"'(?:reward|train/rewards?)': " + _NUMBER)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    event: Event
    kind: ErrorKind | None = None
    round: int | None = None
    #: Unix seconds, where its own line says; the line's clock is the trainer's local time.
    time: float | None = None
    #: Finite, or not known.
    loss: float | None = None
    reward: float | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a log's records the text so far has ended."""

    #: Inside a record that tells of an error, or of a traceback.
    open: bool = False
    #: Lines of it that told nothing.
    lines: int = 0
    #: What it has told already.
    kinds: tuple[ErrorKind, ...] = ()
    #: It needs no kind any more.
    counted: bool = False
    #: Among a traceback's frames.
    frames: bool = False
    #: After a traceback that no pattern knows; the chain may go on and tell more.
    unresolved: bool = False
    #: An exception that nobody caught.
    uncaught: bool = False
    #: The next refusal is of the submission that was told of already.
    echo: bool = False
    winner_echo: bool = False
    #: Dated lines up to here were told by another log of the same trainer.
    known_until: float | None = None
    known: bool = False


def read_events(
    data: bytes, patterns: Patterns, place: Place, *, beside: bool = False
) -> tuple[list[Told], Place]:
    """Return what whole lines tell, after `place`, and where they end.

    `beside`: another log has the records; this terminal adds what no log has.
    """
    reader = _Reader(patterns, place, beside=beside)
    reader.read(data)
    return reader.told, reader.place


def settled(place: Place) -> tuple[list[Told], Place]:
    """Return what an open record tells when nothing follows it."""
    reader = _Reader(Patterns({}, ()), place, beside=False)
    reader.close()
    return reader.told, reader.place


def line_time(line: bytes) -> float | None:
    """Return when a line was written, Unix seconds; None where it does not say."""
    found = _TIME.search(line)
    if found is None:
        return None
    *parts, millis = found.groups()
    try:
        # Hydra and logging write local time without a zone.
        moment = datetime(*map(int, parts))  # type: ignore[arg-type] # noqa: DTZ001
        return moment.timestamp() + int(millis or 0) / 1000
    except (ValueError, OverflowError, OSError):
        return None


class _Reader:
    """Goes through lines, and keeps the place."""

    def __init__(self, patterns: Patterns, place: Place, *, beside: bool) -> None:
        self.told: list[Told] = []
        self.place = place
        self._patterns = patterns
        self._beside = beside

    def read(self, data: bytes) -> None:
        """Read whole lines. Outside of records only lines with a needle are looked at."""
        hits = iter(self._hits(data))
        hit = -1
        at = 0
        while at < len(data):
            if not self.place.open and self.place.known_until is None:
                while hit < at:
                    hit = next(hits, len(data))
                if hit == len(data):
                    return
                at = max(at, data.rfind(b"\n", at, hit) + 1)
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            self._step(data[at:end])
            at = end + 1

    def close(self) -> None:
        """End the open record: a traceback that nothing has explained is an error too."""
        place = self.place
        if (place.unresolved or place.frames) and not place.counted:
            self._tell(Told(event=Event.ERROR, kind=ErrorKind.OTHER))
        self._move(
            open=False,
            lines=0,
            kinds=(),
            counted=False,
            frames=False,
            unresolved=False,
            uncaught=False,
        )

    def _hits(self, data: bytes) -> list[int]:
        hits = []
        for needle in (*self._patterns.needles, *_OWN_NEEDLES):
            at = data.find(needle)
            while at >= 0:
                hits.append(at)
                # One in a line is enough.
                end = data.find(b"\n", at)
                at = data.find(needle, end) if end >= 0 else -1
        return sorted(hits)

    def _step(self, line: bytes) -> None:
        if self.place.known_until is not None and self._is_known(line):
            return
        header = _HEADER.match(line) is not None
        if header and self.place.open:
            self.close()
        if self.place.open and self._goes_on(line):
            return
        if _UNCAUGHT in line:
            self._move(open=True, uncaught=True)
        elif _TRACEBACK in line:
            if not self._beside or self.place.uncaught:
                self._move(open=True, frames=True)
        elif any(glue in line for glue in _GLUE):
            self._move(open=True, counted=True)
        else:
            self._take(line, header=header)

    def _is_known(self, line: bytes) -> bool:
        moment = line_time(line)
        if moment is not None:
            known = moment <= (self.place.known_until or 0.0)
            self._move(known=known, known_until=self.place.known_until if known else None)
        return self.place.known

    def _goes_on(self, line: bytes) -> bool:
        """Take a line of the open record; false where it is to be looked at by itself."""
        place = self.place
        if not line.strip():
            return True
        if any(glue in line for glue in _GLUE):
            self._move(unresolved=False, frames=False)
            return True
        if _TRACEBACK in line:
            if place.unresolved:
                self.close()
                return False
            self._move(frames=True)
            return True
        if place.frames:
            if line[:1] not in b" \t":
                self._take_exception(line)
            return True
        if place.unresolved:
            self.close()
        return False

    def _take_exception(self, line: bytes) -> None:
        """Take the line that ends a traceback: its exception and the first line of its text."""
        self._move(frames=False)
        match = self._patterns.match(line)
        if match is not None and match.kind is not None:
            self._tell_error(match, line)
        elif not self.place.counted:
            self._move(unresolved=True)

    def _take(self, line: bytes, *, header: bool) -> None:
        match = self._patterns.match(line)
        if match is None:
            if self.place.open:
                self._move(lines=self.place.lines + 1)
                if self.place.lines > _LONGEST_RECORD:
                    self.close()
            return
        if self._beside and not self.place.uncaught and not match.terminal_only:
            return
        if match.terminal_only and self.place.open:
            # The shell or the system says it, whatever the trainer was saying.
            self.close()
        if match.kind is not None:
            if header:
                self._move(open=True)
            self._tell_error(match, line)
            return
        if not self._is_echo(match.event):
            self._tell_event(match, line)

    def _is_echo(self, event: Event) -> bool:
        """Tell whether a line repeats the refusal of the line before."""
        place = self.place
        if event is Event.SUBMIT_ACCEPTED:
            self._move(echo=False)
        elif event in (Event.WINNER_REFUSED, Event.WINNER_ACCEPTED, Event.WINNER_REFUSAL):
            self._move(winner_echo=event is Event.WINNER_REFUSED)
        return event is Event.WINNER_REFUSAL and place.winner_echo

    def _tell_event(self, match: Match, line: bytes) -> None:
        loss = reward = None
        if match.event is Event.METRICS:
            loss, reward = _number(_LOSS, line), _number(_REWARD, line)
        self._tell(
            Told(
                event=match.event,
                round=match.round,
                time=line_time(line),
                loss=loss,
                reward=reward,
            )
        )

    def _tell_error(self, match: Match, line: bytes) -> None:
        """Tell of an error once in its record, and of a refused submission once in two lines."""
        kind = match.kind
        assert kind is not None  # noqa: S101 - only such matches come here
        if self.place.open:
            if kind in self.place.kinds:
                return
            self._move(kinds=(*self.place.kinds, kind), counted=True, unresolved=False)
        event = match.event
        if event is Event.REFUSAL:
            echo = self.place.echo
            self._move(echo=False)
            if echo:
                return
            event = Event.SUBMIT_REFUSED
        elif event is Event.SUBMIT_REFUSED:
            self._move(echo=True)
        self._tell(Told(event=event, kind=kind, time=line_time(line)))

    def _tell(self, told: Told) -> None:
        self.told.append(told)

    def _move(self, **changes: object) -> None:
        self.place = msgspec.structs.replace(self.place, **changes)


def _number(pattern: re.Pattern[bytes], line: bytes) -> float | None:
    found = pattern.search(line)
    try:
        value = float(found[1]) if found is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
