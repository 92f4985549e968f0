"""The swarm's leaderboard API, upstream's web/api/server.py of v0.2.0 to v0.4.4.

Three small requests a poll: the cumulative board, the swarm's clock, and how old the data are.
`/api/rewards-history` blocks upstream's server for seconds on large boards, so it is asked once
after a start, and only where the board is small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from swarm_exporter.config import Config
from swarm_exporter.identity import normalise_nickname
from swarm_exporter.model import Board, Node, Point, Stage, Standing
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import Answer, get, get_json
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

#: Above this many peers upstream takes about a second for the history of all of them.
HISTORY_PEER_LIMIT = 1000
QUANTILES = (0.5, 0.9, 0.99, 1.0)
_SMALL_BODY = 64 * 1024


class Leaderboard:
    """Standings of the nodes' peers; nodes that share an address share one request."""

    name = "leaderboard"

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each API address."""
        by_address: dict[str, list[Node]] = {}
        for node in config.nodes:
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
    table, clock = await _board_and_clock(api, context, defects)
    defects += table.defects
    data_timestamp = await _data_timestamp(api, context, table, defects)
    wanted = _wanted(table, context)
    newest, newest_scores = _newest(table)
    board = Board(
        total_peers=table.total,
        wanted={row.id: _standing(place, row) for place, row in wanted},
        top=tuple(_standing(place, row) for place, row in table.rows[: context.config.top_peers]),
        quantiles=_quantiles([row.cumulative for _, row in table.rows]),
        newest=newest,
        newest_scores=newest_scores,
        clock=clock,
        data_timestamp=data_timestamp,
        cumulative_history={row.id: decode_points(row.score_history) for _, row in wanted},
        score_history=await _score_history(api, context, table, wanted, defects),
    )
    return Facts(board, tuple(defects), f"{board.total_peers} peers on the board")


async def _get(api: str, path: str, context: Context) -> Answer:
    config = context.config
    return await get_json(
        context.client, f"{api}/api/{path}", timeout=config.timeout, limit=config.body_limit
    )


async def _board_and_clock(
    api: str, context: Context, defects: list[Reason]
) -> tuple[Table, Stage | None]:
    try:
        board = await _get(api, "leaderboard-cumulative", context)
    except SourceError as error:
        # v0.2 answers a path it does not know with its web page.
        if error.reason not in (Reason.HTML, Reason.NOT_FOUND):
            raise
        try:
            return await _stage_board_and_clock(api, context, defects)
        except SourceError:
            raise error from None
    table = decode_board(board.body)
    return table, await _clock(api, context, defects)


async def _stage_board_and_clock(
    api: str, context: Context, defects: list[Reason]
) -> tuple[Table, Stage | None]:
    """Read `/api/leaderboard`, which lists the scores of the stage in progress and not which."""
    before = await _clock(api, context, [])
    table = decode_board((await _get(api, "leaderboard", context)).body)
    after = await _clock(api, context, defects)
    for _, row in table.rows:
        row.last_score = row.score
        if before == after and after is not None:
            row.recorded_round, row.recorded_stage = after.round, after.stage
    return table, after


async def _clock(api: str, context: Context, defects: list[Reason]) -> Stage | None:
    try:
        return decode_clock((await _get(api, "round_and_stage", context)).body)
    except SourceError as error:
        defects.append(error.reason)
        return None


async def _data_timestamp(
    api: str, context: Context, table: Table, defects: list[Reason]
) -> float | None:
    """When the API last learned something: by its own word, else by its newest history point.

    Raises SourceError (not_ready) where it says that it has never reached the swarm.
    """
    config = context.config
    try:
        health = await get(
            context.client, f"{api}/api/healthz", timeout=config.timeout, limit=_SMALL_BODY
        )
        problem = decode_health_problem(health.body) if health.status == 500 else ""
        if "never polled" in problem:
            raise SourceError(Reason.NOT_READY, f"its health says: {problem}")
        if "last poll exceeded" in problem:
            defects.append(Reason.STALE)
        if health.status == 200:
            polled = decode_last_polled(health.body)
            if polled is not None:
                return context.clock.time() - polled - health.age
    except SourceError as error:
        if error.reason is Reason.NOT_READY:
            raise
        # An API without a health route is no fault; its board tells the time as well.
    return newest_point(row.score_history for _, row in table.rows)


async def _score_history(
    api: str,
    context: Context,
    table: Table,
    wanted: Sequence[tuple[int, Row]],
    defects: list[Reason],
) -> dict[str, tuple[Point, ...]]:
    if not context.first or not wanted or table.total > HISTORY_PEER_LIMIT:
        return {}
    try:
        # Half of the poll's time at most: the board is here, and must not be lost over it.
        answer = await asyncio.wait_for(
            _get(api, "rewards-history", context), context.config.timeout / 2
        )
        return decode_histories(answer.body, {row.id for _, row in wanted})
    except SourceError as error:
        defects.append(error.reason)
    except asyncio.TimeoutError:
        defects.append(Reason.TIMEOUT)
    return {}


def _wanted(table: Table, context: Context) -> list[tuple[int, Row]]:
    identities = context.identities.values()
    ids = {i.peer_id for i in identities if i.peer_id is not None}
    names = {i.nickname for i in identities if i.peer_id is None and i.nickname is not None}
    return [
        (place, row)
        for place, row in table.rows
        if row.id in ids or (names and normalise_nickname(row.nickname) in names)
    ]


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
    recorded = [
        (row.recorded_round, row.recorded_stage, row)
        for _, row in table.rows
        if row.recorded_round is not None and row.recorded_stage is not None
    ]
    if not recorded:
        return None, {}
    newest = max((round_, stage) for round_, stage, _ in recorded)
    scores = {
        row.id: row.last_score
        for round_, stage, row in recorded
        if (round_, stage) == newest and row.last_score is not None
    }
    return Stage(*newest), scores


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
