"""Decoders of the leaderboard's JSON: bytes -> the few fields that are used.

Shapes: upstream v0.2 to v0.4.4 (`cumulativeScore`, `lastScore`, `score`, `total`) and those its
web page builds (`cumulativeReward`, `participation`, `totalPeers`), which community APIs serve.
Peers publish what they like: a row that is not well formed costs itself, never the board.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, TypeVar, overload

import msgspec

from swarm_exporter.model import Point, Stage
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import quote

#: Longer ids and nicknames are no peer's: libp2p ids have 46 to 64 characters, nicknames under 40.
MAX_ID_LENGTH = 128
MAX_NICKNAME_LENGTH = 128
#: A board of more rows is no board; nor is one with so many values: 64 MiB of peers with their
#: histories have less.
MAX_ROWS = 200_000
MAX_VALUES = 4_000_000
#: Rows and points of their histories, 31 for each peer with a full one.
_MAX_OBJECTS = 4_000_000
#: More unusable values than this, and the answer is taken for something else than a board.
_MAX_DEFECTS = 1000
#: A figure beyond this is no reward, and sums of such figures leave the range of a float.
MAX_FIGURE = 1e15
#: Rounds and stages beyond this lose digits in a Prometheus sample (a 64-bit float).
MAX_WHOLE = 2**53

T = TypeVar("T")

_LONGEST_POINT = 96
_LAST_X = re.compile(rb'"x"\s*:\s*(\d{1,15})\b[^{}]*\}\s*\]\s*$')


class Row(msgspec.Struct, rename="camel", gc=False):
    """One peer of a board as the API lists it. Histories stay undecoded until asked for."""

    id: str
    nickname: str = ""
    recorded_round: int | None = None
    recorded_stage: int | None = None
    cumulative_score: float | None = None
    cumulative_reward: float | None = None
    last_score: float | None = None
    score: float | None = None
    participation: float | None = None
    score_history: msgspec.Raw = msgspec.Raw()

    @property
    def cumulative(self) -> float | None:
        """The cumulative figure under either of its names."""
        return (
            self.cumulative_score if self.cumulative_score is not None else self.cumulative_reward
        )

    @property
    def recorded(self) -> Stage | None:
        """The stage in which the peer was last recorded."""
        if self.recorded_round is None or self.recorded_stage is None:
            return None
        return Stage(self.recorded_round, self.recorded_stage)


class _InOrder(Sequence[tuple[int, Row]]):
    """Rows of which each has the place where it stands; 100,000 pairs of both would take 11 MB."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        return iter(enumerate(self._rows, 1))

    @overload
    def __getitem__(self, index: int) -> tuple[int, Row]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, Row]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, Row] | Sequence[tuple[int, Row]]:
        places = range(1, len(self._rows) + 1)
        if isinstance(index, slice):
            return list(zip(places[index], self._rows[index], strict=True))
        return places[index], self._rows[index]


class Table(msgspec.Struct, frozen=True):
    """A decoded board: the place of each usable row in the API's order, and what was unusable."""

    rows: Sequence[tuple[int, Row]]
    total: int
    defects: tuple[Reason, ...]


class _Strict(msgspec.Struct, rename="camel"):
    leaders: list[Row]
    total: int | None = None
    total_peers: int | None = None


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
_Nickname = Annotated[str, msgspec.Meta(max_length=MAX_NICKNAME_LENGTH)]
_Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_Plausible = Annotated[float, msgspec.Meta(ge=-MAX_FIGURE, le=MAX_FIGURE)]


class _UsualRow(Row, rename="camel", gc=False):
    """A row that needs no second look: msgspec has seen to it that everything is possible."""

    id: _Id
    nickname: _Nickname = ""
    recorded_round: _Whole | None = None
    recorded_stage: _Whole | None = None
    cumulative_score: _Plausible | None = None
    cumulative_reward: _Plausible | None = None
    last_score: _Plausible | None = None
    score: _Plausible | None = None
    participation: _Plausible | None = None


class _Usual(msgspec.Struct, rename="camel"):
    leaders: list[_UsualRow]
    total: _Whole | None = None
    total_peers: _Whole | None = None


class _Lenient(msgspec.Struct, rename="camel"):
    leaders: list[msgspec.Raw]
    total: msgspec.Raw = msgspec.Raw()
    total_peers: msgspec.Raw = msgspec.Raw()


class _Clock(msgspec.Struct):
    round: int
    stage: int


class _Health(msgspec.Struct, rename="camel"):
    last_polled: float | None = None
    detail: str = ""


class _HistoryRow(msgspec.Struct):
    id: str
    values: msgspec.Raw = msgspec.Raw()


class _Histories(msgspec.Struct):
    leaders: list[_HistoryRow]


_usual = msgspec.json.Decoder(_Usual)
_strict = msgspec.json.Decoder(_Strict)
_lenient = msgspec.json.Decoder(_Lenient)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_clock = msgspec.json.Decoder(_Clock)
_health = msgspec.json.Decoder(_Health)
_histories = msgspec.json.Decoder(_Histories)
_points = msgspec.json.Decoder(list[Point])
_integer = msgspec.json.Decoder(int)

_FIGURE_FIELDS = ("cumulative_score", "cumulative_reward", "last_score", "score", "participation")
#: Name in JSON -> name in Row, and a decoder of its type: a row can be decoded field by field.
_FIELDS: dict[str, tuple[str, msgspec.json.Decoder[object]]] = {
    field.encode_name: (field.name, msgspec.json.Decoder(field.type))
    for field in msgspec.structs.fields(Row)
}


def decode_board(body: bytes | bytearray) -> Table:
    """Decode `/api/leaderboard-cumulative` or `/api/leaderboard`.

    Raises SourceError (invalid_json, nan, wrong_shape, too_large) where the whole is no board.
    """
    # What costs more to look at than it is worth is counted before it is made.
    if len(body) > _MAX_OBJECTS and body.count(b"{") > _MAX_OBJECTS:
        raise SourceError(Reason.TOO_LARGE, f"more than {_MAX_OBJECTS} objects")
    try:
        usual = _usual_table(body)
        if usual is not None:
            return usual
        board = _strict.decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(body)
    except msgspec.DecodeError:
        raise _not_json(body) from None
    refuse_too_many(len(board.leaders))
    total = board.total if board.total is not None else board.total_peers
    return make_table(enumerate(board.leaders, 1), total, len(board.leaders), [])


def _usual_table(body: bytes | bytearray) -> Table | None:
    """Decode a board on which everything is possible, as nearly all are; None for any other.

    Raises SourceError and msgspec.DecodeError.
    """
    try:
        board = _usual.decode(body)
    except msgspec.ValidationError:
        return None
    rows = board.leaders
    refuse_too_many(len(rows))
    if len({row.id for row in rows}) < len(rows):
        return None
    total = board.total if board.total is not None else board.total_peers
    return Table(_InOrder(rows), len(rows) if total is None else total, ())


def decode_clock(body: bytes | bytearray) -> Stage | None:
    """Decode `/api/round_and_stage`; None while the API has not read the chain (-1, -1).

    Raises SourceError (invalid_json, wrong_shape).
    """
    clock = _decode(_clock, body)
    if not _plausible_clock(clock.round) or not _plausible_clock(clock.stage):
        return None
    return Stage(clock.round, clock.stage)


def decode_last_polled(body: bytes | bytearray) -> float | None:
    """Decode `/api/healthz`: seconds since the API last polled the swarm, or None."""
    polled = _decode(_health, body).last_polled
    return polled if polled is not None and math.isfinite(polled) and polled >= 0 else None


def decode_health_problem(body: bytes | bytearray) -> str:
    """Decode the `detail` of a failing `/api/healthz`; empty where there is none."""
    try:
        return _decode(_health, body).detail
    except SourceError:
        return ""


def decode_points(history: msgspec.Raw) -> tuple[Point, ...]:
    """Decode one score history; points that are no numbers cost the history, not the peer."""
    try:
        points = _points.decode(history) if bytes(history) else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(p for p in points if math.isfinite(p.x) and math.isfinite(p.y))


def newest_point(histories: Iterable[msgspec.Raw]) -> float | None:
    """Return the newest `x` at the end of any history, Unix seconds, without decoding them."""
    newest: float | None = None
    for history in histories:
        tail = _LAST_X.search(memoryview(history)[-_LONGEST_POINT:])
        if tail is not None:
            newest = max(newest or 0.0, float(tail[1]))
    return newest


def decode_histories(body: bytes | bytearray, peers: set[str]) -> dict[str, tuple[Point, ...]]:
    """Decode `/api/rewards-history` for the peers asked for.

    Raises SourceError (invalid_json, wrong_shape).
    """
    rows = _decode(_histories, body).leaders
    return {row.id: decode_points(row.values) for row in rows if row.id in peers}


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | bytearray) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, RecursionError):
        raise SourceError(Reason.WRONG_SHAPE, f"unexpected answer: {quote(body)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _not_json(body) from None


def _not_json(body: bytes | bytearray) -> SourceError:
    if b"NaN" in body or b"Infinity" in body:
        return SourceError(Reason.NAN, "the body holds NaN or Infinity, which is not JSON")
    return SourceError(Reason.INVALID_JSON, f"{len(body)} bytes: {quote(body)}")


def _decode_leniently(body: bytes | bytearray) -> Table:
    """Decode row by row and field by field, after a strict look found something impossible."""
    if body.count(b",") > MAX_VALUES:
        raise SourceError(Reason.TOO_LARGE, f"more than {MAX_VALUES} values")
    board = _decode(_lenient, body)
    refuse_too_many(len(board.leaders))
    defects: list[Reason] = []
    total = _optional(_integer, board.total, defects)
    if total is None:
        total = _optional(_integer, board.total_peers, defects)
    return make_table(_lenient_rows(board.leaders, defects), total, len(board.leaders), defects)


def _lenient_rows(rows: list[msgspec.Raw], defects: list[Reason]) -> Iterator[tuple[int, Row]]:
    for place, raw in enumerate(rows, 1):
        row = _lenient_row(raw, defects)
        refuse_garbage(defects)
        if row is not None:
            yield place, row


def refuse_too_many(rows: int) -> None:
    """Raise SourceError (too_large) for more rows than a board has."""
    if rows > MAX_ROWS:
        raise SourceError(Reason.TOO_LARGE, f"{rows} rows, the limit is {MAX_ROWS}")


def refuse_garbage(defects: list[Reason]) -> None:
    """Raise SourceError (wrong_shape) where so much is of no use that it is no board."""
    if len(defects) > _MAX_DEFECTS:
        raise SourceError(Reason.WRONG_SHAPE, f"more than {_MAX_DEFECTS} unusable values")


def _lenient_row(raw: msgspec.Raw, defects: list[Reason]) -> Row | None:
    usable: dict[str, object] = {}
    try:
        for key, value in _object.decode(raw).items():
            if key in _FIELDS:
                name, decoder = _FIELDS[key]
                known = _optional(decoder, value, defects)
                if known is not None:
                    usable[name] = known
        return Row(**usable)  # type: ignore[arg-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        # No object, or one without an id.
        defects.append(Reason.INVALID_VALUE)
        return None


def _optional(
    decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, defects: list[Reason]
) -> T | None:
    """Decode one value; null is absent, anything of another type is a defect and absent."""
    if bytes(raw) in (b"", b"null"):
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        defects.append(Reason.INVALID_VALUE)
        return None


def make_table(
    listed: Iterator[tuple[int, Row]] | enumerate[Row],
    total: int | None,
    length: int,
    defects: list[Reason],
) -> Table:
    """Keep the rows that can be a peer, each peer at its first place.

    `listed` may add to `defects` while it is read. Raises SourceError (wrong_shape).
    """
    rows: list[tuple[int, Row]] = []
    seen: set[str] = set()
    for place, row in listed:
        if len(defects) > _MAX_DEFECTS:
            refuse_garbage(defects)
        if not 0 < len(row.id) <= MAX_ID_LENGTH or len(row.nickname) > MAX_NICKNAME_LENGTH:
            defects.append(Reason.INVALID_VALUE)
        elif row.id in seen:
            defects.append(Reason.DUPLICATE_PEER)
        else:
            seen.add(row.id)
            _drop_impossible(row, defects)
            rows.append((place, row))
    if total is not None and not 0 <= total <= MAX_WHOLE:
        defects.append(Reason.INVALID_VALUE)
        total = None
    return Table(rows, length if total is None else total, tuple(defects))


def _drop_impossible(row: Row, defects: list[Reason]) -> None:
    if not (_plausible_clock(row.recorded_round) and _plausible_clock(row.recorded_stage)):
        defects.append(Reason.INVALID_VALUE)
        row.recorded_round = row.recorded_stage = None
    for name in _FIGURE_FIELDS:
        figure = getattr(row, name)
        if figure is not None and abs(figure) > MAX_FIGURE:
            defects.append(Reason.INVALID_VALUE)
            setattr(row, name, None)


def _plausible_clock(value: int | None) -> bool:
    return value is None or 0 <= value <= MAX_WHOLE
