"""The swarm's leaderboard API, upstream's web/api/server.py of v0.2.0 to v0.4.4.

Three small requests a poll: the cumulative board, the swarm's clock, and how old the data are.
`/api/rewards-history` blocks upstream's server for seconds on large boards, so it is asked once
after a start, and only where the board is small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.config.leaderboard import MappedBoard
from swarm_exporter.durations import format_duration
from swarm_exporter.identity import normalise_nickname
from swarm_exporter.model import Board, Node, Point, Stage, Standing
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import Answer, get, get_json, refuse_other_than_json
from swarm_exporter.sources.leaderboard_json import (
    Row,
    Table,
    decode_board,
    decode_clock,
    decode_health_problem,
    decode_histories,
    decode_last_polled,
    decode_points,
    newest_point,
)
from swarm_exporter.sources.leaderboard_mapped import decode_mapped_board

#: Above this many peers upstream takes about a second for the history of all of them.
HISTORY_PEER_LIMIT = 1000
QUANTILES = (0.5, 0.9, 0.99, 1.0)
#: Decoding takes some milliseconds for each megabyte.
_LARGE_BODY = 512 * 1024


class Leaderboard(Source):
    """Standings of the nodes' peers; nodes that share an address share one request."""

    name = "leaderboard"

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each API address."""
        by_address: dict[str, list[Node]] = {}
        for node in config.nodes:
            if config.reads(node.name, self.name):
                by_address.setdefault(node.api, []).append(node)
        return [
            Target(self.name, api, tuple(nodes), config.interval)
            for api, nodes in by_address.items()
        ]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Ask one API for its board, its clock and the age of its data."""
        return await read_board(target.key, context)


async def read_board(api: str, context: Context) -> Facts:
    """Ask the API at `api` once. Raises SourceError where it has no board to give."""
    defects: list[Reason] = []
    if context.config.leaderboard is not None:
        return await _read_mapped(api, context.config.leaderboard, context)
    body, cumulative = await _board(api, context)
    clock = await _clock(api, context, defects)
    age = await _data_age(api, context, defects)
    timestamp = context.clock.time() - age if age is not None else None
    board, unusable = await _beside(
        body, lambda: _make_board(_table(body, cumulative), clock, timestamp, context)
    )
    defects += unusable
    # Last, so that a poll that has asked for the history succeeds and asks only once.
    if context.first and board.wanted and board.total_peers <= HISTORY_PEER_LIMIT:
        history = await _score_history(api, context, set(board.wanted), defects)
        board = msgspec.structs.replace(board, score_history=history)
    return Facts(board, tuple(defects), f"{board.total_peers} peers on the board")


async def _read_mapped(api: str, mapped: MappedBoard, context: Context) -> Facts:
    """Ask an API of another shape once: one request, and what its mapping finds in the answer."""
    body = await _whole(f"{api}{mapped.path}", context)
    board, unusable = await _beside(
        body,
        lambda: _make_board(
            decode_mapped_board(body, mapped.mapping), None, None, context, sums=mapped.keeps_sums
        ),
    )
    return Facts(board, unusable, f"{board.total_peers} peers on the board")


_Made = tuple[Board, tuple[Reason, ...]]


async def _beside(body: bytearray, make: Callable[[], _Made]) -> _Made:
    """Work on a large body beside the event loop, so that nobody waits for it."""
    return await asyncio.to_thread(make) if len(body) > _LARGE_BODY else make()


async def _whole(url: str, context: Context) -> bytearray:
    """Return the body at `url`, within the time that a poll may take. Raises SourceError."""
    config = context.config
    request = get_json(context.client, url, timeout=config.timeout, limit=config.body_limit)
    try:
        return (await asyncio.wait_for(request, config.timeout)).body
    except asyncio.TimeoutError:
        raise SourceError(
            Reason.TIMEOUT, f"no answer within {format_duration(config.timeout)}"
        ) from None


async def _get(api: str, path: str, context: Context) -> Answer:
    """Ask for something beside the board, in a third of the time that the board may take."""
    request = get(
        context.client,
        f"{api}/api/{path}",
        timeout=context.config.timeout / 3,
        limit=context.config.body_limit,
    )
    try:
        return await asyncio.wait_for(request, context.config.timeout / 3)
    except asyncio.TimeoutError:
        raise SourceError(Reason.TIMEOUT, f"no answer to {path}") from None


async def _get_json(api: str, path: str, context: Context) -> bytearray:
    answer = await _get(api, path, context)
    refuse_other_than_json(answer)
    return answer.body


async def _board(api: str, context: Context) -> tuple[bytearray, bool]:
    """Return the body of the cumulative board, else of the board of the stage in progress."""
    try:
        return await _whole(f"{api}/api/leaderboard-cumulative", context), True
    except SourceError as error:
        # v0.2 answers a path it does not know with its web page.
        if error.reason not in (Reason.HTML, Reason.NOT_FOUND):
            raise
        try:
            return await _get_json(api, "leaderboard", context), False
        except SourceError:
            raise error from None


async def _clock(api: str, context: Context, defects: list[Reason]) -> Stage | None:
    try:
        return decode_clock(await _get_json(api, "round_and_stage", context))
    except SourceError as error:
        defects.append(error.reason)
        return None


async def _data_age(api: str, context: Context, defects: list[Reason]) -> float | None:
    """How old the API's data are by its own word, seconds; None where it does not say.

    An API without a health route is no fault: its board tells the time as well. Raises SourceError
    (not_ready) where it says that it has never reached the swarm.
    """
    try:
        health = await _get(api, "healthz", context)
        problem = decode_health_problem(health.body) if health.status == 500 else ""
        polled = decode_last_polled(health.body) if health.status == 200 else None
    except SourceError:
        return None
    if "never polled" in problem:
        raise SourceError(Reason.NOT_READY, f"its health says: {problem}")
    if "last poll exceeded" in problem:
        defects.append(Reason.STALE)
    return polled + health.age if polled is not None else None


async def _score_history(
    api: str, context: Context, peers: set[str], defects: list[Reason]
) -> dict[str, tuple[Point, ...]]:
    try:
        return decode_histories(await _get_json(api, "rewards-history", context), peers)
    except SourceError as error:
        defects.append(error.reason)
        return {}


def _table(body: bytearray, cumulative: bool) -> Table:
    """Decode a board of upstream's. Raises SourceError."""
    table = decode_board(body)
    if not cumulative:
        # The scores of the stage in progress; which one that is, the list does not say, and the
        # clock may be ahead of it. So nothing can be counted from it.
        for _, row in table.rows:
            row.last_score = row.score
    return table


def _make_board(
    table: Table,
    clock: Stage | None,
    data_timestamp: float | None,
    context: Context,
    *,
    sums: bool = False,
) -> _Made:
    """Reduce a board to what is used; `sums` says that its rewards are running sums."""
    if data_timestamp is None:
        data_timestamp = newest_point(row.score_history for _, row in table.rows)
    asked, wanted = _wanted(table, context)
    newest, newest_scores = _newest_sums(table) if sums else _newest(table)
    board = Board(
        total_peers=table.total,
        asked=asked,
        wanted={row.id: _standing(place, row) for place, row in wanted},
        top=tuple(_standing(place, row) for place, row in table.rows[: context.config.top_peers]),
        quantiles=_quantiles([row.cumulative for _, row in table.rows]),
        newest=newest,
        newest_scores=newest_scores,
        clock=clock,
        data_timestamp=data_timestamp,
        cumulative_history={row.id: decode_points(row.score_history) for _, row in wanted},
    )
    return board, table.defects


def _wanted(table: Table, context: Context) -> tuple[frozenset[str], list[tuple[int, Row]]]:
    """Return what was looked for, and the rows that have it. A known peer id decides alone."""
    identities = context.identities.values()
    ids = {i.peer_id for i in identities if i.peer_id is not None}
    names = {i.nickname for i in identities if i.peer_id is None and i.nickname is not None}
    found = [
        (place, row)
        for place, row in table.rows
        if row.id in ids or (names and normalise_nickname(row.nickname) in names)
    ]
    return frozenset(ids | names), found


def _standing(place: int, row: Row) -> Standing:
    return Standing(
        peer_id=row.id,
        nickname=row.nickname,
        rank=place,
        cumulative_reward=row.cumulative,
        last_score=row.last_score,
        participation=row.participation,
        recorded=row.recorded,
    )


def _newest(table: Table) -> tuple[Stage | None, dict[str, float]]:
    """Return the newest recorded stage of the board, and the scores recorded in it."""
    # Of 100,000 peers a list of stages would be as large as the scores: it is walked twice.
    newest = max(
        (
            (row.recorded_round, row.recorded_stage)
            for _, row in table.rows
            if row.recorded_round is not None and row.recorded_stage is not None
        ),
        default=None,
    )
    if newest is None:
        return None, {}
    scores = {
        row.id: row.last_score
        for _, row in table.rows
        if (row.recorded_round, row.recorded_stage) == newest and row.last_score is not None
    }
    return Stage(*newest), scores


def _newest_sums(table: Table) -> tuple[Stage | None, dict[str, float]]:
    """Return the sums of all peers: where there are no stages, whoever's rises has earned."""
    sums = {row.id: row.cumulative for _, row in table.rows if row.cumulative is not None}
    return (Stage(0, 0) if sums else None), sums


def _quantiles(figures: Sequence[float | None]) -> dict[float, float]:
    """Return the quantiles by linear interpolation, as PromQL's `quantile` does."""
    known = sorted(figure for figure in figures if figure is not None)
    if not known:
        return {}
    result = {}
    for quantile in QUANTILES:
        position = quantile * (len(known) - 1)
        low = int(position)
        high = min(low + 1, len(known) - 1)
        result[quantile] = known[low] + (known[high] - known[low]) * (position - low)
    return result
