"""One live question that tells a person, field by field, what a mapping finds."""

from __future__ import annotations

import asyncio
import json

import httpx
import msgspec

from swarm_exporter.config.mapping import OF_ROOT, Mapping
from swarm_exporter.durations import format_duration
from swarm_exporter.json_path import Missing, Path, find, type_name
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import get_json
from swarm_exporter.sources.json_mapping import Row, Values, decode_json, rows_of

_LONGEST_SHOWN = 60
#: A field may be missing in some rows: it is looked for in so many.
_ROWS_LOOKED_AT = 100
_BODY_LIMIT = 64 * 1024 * 1024
_TEXTS = ("id", "nickname")
_WHOLE_NUMBERS = ("round", "stage", "rank", "total")
_TIMES = ("reward_at", "score_at")


class FieldCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one field of a mapping."""

    field: str
    path: str
    #: The value as JSON, cut, and its type; empty where none was found.
    value: str = ""
    type: str = ""
    #: Which step of the path leads nowhere, or why the value is of no use; empty where all is well.
    problem: str = ""


class MappingCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer has of a mapping."""

    #: How many rows the list has; None where the mapping has no list.
    rows: int | None
    fields: tuple[FieldCheck, ...]

    @property
    def ok(self) -> bool:
        """True where every field was found and can be used."""
        return not any(field.problem for field in self.fields)


async def check_mapping(
    url: str,
    mapping: Mapping,
    client: httpx.AsyncClient,
    *,
    timeout: float = 10.0,
    limit: int = _BODY_LIMIT,
) -> MappingCheck:
    """Ask `url` once, and try every field of the mapping on the answer.

    Raises SourceError where no JSON came within `timeout` seconds.
    """
    request = get_json(client, url, timeout=timeout, limit=limit)
    try:
        answer = await asyncio.wait_for(request, timeout)
    except asyncio.TimeoutError:
        raise SourceError(Reason.TIMEOUT, f"no answer within {format_duration(timeout)}") from None
    return await asyncio.to_thread(check_body, answer.body, mapping)


def check_body(body: bytes | bytearray, mapping: Mapping) -> MappingCheck:
    """Try every field of a mapping on an answer. Raises SourceError where it is no JSON."""
    document = decode_json(body)
    problem = ""
    try:
        rows = rows_of(document, mapping)
    except SourceError as error:
        rows, problem = [], error.detail.removeprefix("mapping.list: ")
    fields = []
    for name, path in mapping.given().items():
        if name == "list":
            told = "" if problem else f"{len(rows)} rows"
            fields.append(FieldCheck(field=name, path=path.text, value=told, problem=problem))
        elif name in OF_ROOT:
            fields.append(_of_value(name, path, find(path, document)))
        else:
            fields.append(_of_rows(name, path, rows))
    return MappingCheck(rows=None if mapping.list is None else len(rows), fields=tuple(fields))


def _of_rows(name: str, path: Path, rows: list[Row]) -> FieldCheck:
    if not rows:
        return FieldCheck(field=name, path=path.text, problem="there is no row to look at")
    found = [row.at(path) for row in rows[:_ROWS_LOOKED_AT]]
    value = next((value for value in found if not isinstance(value, Missing)), found[0])
    return _of_value(name, path, value)


def _of_value(name: str, path: Path, value: object) -> FieldCheck:
    if isinstance(value, Missing):
        problem = f"{value.step} {value.problem}"
        return FieldCheck(field=name, path=path.text, problem=problem)
    return FieldCheck(
        field=name,
        path=path.text,
        value=_shown(value),
        type=type_name(value),
        problem="" if _usable(name, value) else f"cannot be used as {_wanted(name)}",
    )


def _usable(name: str, value: object) -> bool:
    values = Values()
    if name in _TEXTS:
        values.text(value)
    elif name in _WHOLE_NUMBERS:
        values.whole(value)
    elif name in _TIMES:
        values.moment(value)
    elif name == "online":
        values.truth(value)
    else:
        values.figure(value)
    return not values.defects


def _wanted(name: str) -> str:
    if name in _TEXTS:
        return "text"
    if name in _WHOLE_NUMBERS:
        return "a whole number"
    if name in _TIMES:
        return "a time"
    return "true or false" if name == "online" else "a number"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= _LONGEST_SHOWN else line[: _LONGEST_SHOWN - 1] + "…"
