"""A mapping applied to an answer: bytes -> rows, and single values with what is wrong with them.

Nothing is trusted: figures may be text, null, NaN, huge or of another type altogether.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

from swarm_exporter.config.mapping import Mapping
from swarm_exporter.json_path import Missing, Path, find, walk, why_missing
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import quote
from swarm_exporter.sources.leaderboard_json import (
    MAX_FIGURE,
    MAX_ID_LENGTH,
    MAX_VALUES,
    MAX_WHOLE,
)

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")
#: Longer integers are no figures, and take long to read.
_LONGEST_INTEGER = 40
#: Unix times are in milliseconds where seconds would lie after the year 5138.
_FIRST_MILLISECONDS = 1e11

_decoder = msgspec.json.Decoder()


class Row(msgspec.Struct, frozen=True):
    """What one row holds, and the name under which it stands in an object."""

    value: object
    key: str | None = None

    def at(self, path: Path | None) -> object | Missing:
        """Return the value at a path, or where the path ends."""
        if path is None:
            return Missing("", "is not mapped")
        if path.key:
            return self.key if self.key is not None else Missing("@key", "has no name")
        return find(path, self.value)


def decode_json(body: bytes | bytearray) -> object:
    """Decode any JSON. NaN and numbers out of range are kept, so that each costs itself alone.

    Raises SourceError (invalid_json, wrong_shape, too_large).
    """
    if body.count(b",") > MAX_VALUES:
        raise SourceError(Reason.TOO_LARGE, f"more than {MAX_VALUES} values")
    try:
        try:
            return _decoder.decode(body)
        except msgspec.DecodeError as error:
            # A number out of range, or what only Python's own decoder takes for a number.
            if isinstance(error, msgspec.ValidationError) or b"NaN" in body or b"Infinity" in body:
                return json.loads(body, parse_int=_integer)
            raise
    except RecursionError:
        raise SourceError(Reason.WRONG_SHAPE, f"nested too deeply: {quote(body)}") from None
    except (msgspec.DecodeError, ValueError):
        problem = f"{len(body)} bytes: {quote(body)}"
        raise SourceError(Reason.INVALID_JSON, problem) from None


def rows_of(document: object, mapping: Mapping) -> list[Row]:
    """Return the rows of an answer; the answer itself where the mapping has no list.

    Raises SourceError (wrong_shape) with the step that leads nowhere.
    """
    if mapping.list is None:
        return [Row(document)]
    rows = [Row(value, key) for key, value in walk(mapping.list, document)]
    if not rows:
        missing = why_missing(mapping.list, document)
        if missing.problem != "is empty":
            raise SourceError(Reason.WRONG_SHAPE, f"mapping.list: {missing.step} {missing.problem}")
    return rows


class Values:
    """Reads single values, and notes each that is of no use."""

    def __init__(self) -> None:
        """Begin without defects."""
        self.defects: list[Reason] = []

    def figure(self, value: object) -> float | None:
        """Read a number, or text that is one; null and what is missing are no defect."""
        if value is None or isinstance(value, Missing):
            return None
        if isinstance(value, str):
            text = value.strip()
            value = float(text) if _NUMBER.fullmatch(text) else None
        # true and false are integers to Python, and an integer may be too large for a float.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and abs(value) <= MAX_FIGURE:  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
        self._note()
        return None

    def whole(self, value: object, least: int = 0) -> int | None:
        """Read a whole number of at least `least`."""
        figure = self.figure(value)
        if figure is None:
            return None
        if figure.is_integer() and least <= figure <= MAX_WHOLE:
            return int(figure)
        self._note()
        return None

    def text(self, value: object) -> str | None:
        """Read text that is no longer than an id or a nickname may be."""
        if value is None or isinstance(value, Missing):
            return None
        if isinstance(value, str) and len(value) <= MAX_ID_LENGTH:
            return value
        self._note()
        return None

    def truth(self, value: object) -> bool | None:
        """Read true or false."""
        if value is None or isinstance(value, Missing):
            return None
        if isinstance(value, bool):
            return value
        self._note()
        return None

    def moment(self, value: object) -> float | None:
        """Read a time: Unix seconds or milliseconds, or ISO 8601 (UTC where it names no zone)."""
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            seconds = _iso(value.strip())
        else:
            figure = self.figure(value)
            if figure is None:
                return None
            seconds = figure / 1000.0 if figure >= _FIRST_MILLISECONDS else figure
        if seconds is not None and seconds > 0:
            return seconds
        self._note()
        return None

    def _note(self) -> None:
        self.defects.append(Reason.INVALID_VALUE)


def fields_in(rows: list[Row], mapping: Mapping, names: tuple[str, ...]) -> Iterator[str]:
    """Yield those of the mapped fields `names` that at least one row has."""
    for name in names:
        path = getattr(mapping, name)
        if path is not None and any(not isinstance(row.at(path), Missing) for row in rows):
            yield name


def _iso(text: str) -> float | None:
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        return None
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return zoned.timestamp()


def _integer(text: str) -> float:
    return int(text) if len(text) <= _LONGEST_INTEGER else math.copysign(math.inf, float(text[:2]))
