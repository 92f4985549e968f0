from __future__ import annotations

import msgspec
import pytest

from swarm_exporter.conditions import Facts, judge
from swarm_exporter.model import (
    Board,
    Condition,
    Earnings,
    Identity,
    SourceStatus,
    Stage,
    Standing,
)
from swarm_exporter.reasons import Reason

NOW = 1_800_000_000.0
HOUR = 3600.0
BOARD = Board(
    total_peers=20,
    asked=frozenset({"QmA"}),
    wanted={},
    top=(),
    quantiles={},
    newest=Stage(7, 1),
    newest_scores={"QmB": 3.0},
    clock=Stage(7, 1),
    data_timestamp=NOW - 5,
)
STANDING = Standing(peer_id="QmA", nickname="a b c", rank=4, last_score=2.0, recorded=Stage(7, 1))
UP = SourceStatus(
    node="1",
    source="leaderboard",
    up=True,
    reason=None,
    detail="",
    duration=0.1,
    last_success=NOW,
    errors={},
)
EARNING = Facts(
    now=NOW,
    identity=Identity(peer_id="QmA"),
    identified=True,
    conflicts=(),
    leaderboard=UP,
    board=BOARD,
    standing=STANDING,
    earnings=Earnings(
        earned=5.0, lost=0.0, since=NOW - 24 * HOUR, last_increase=NOW - HOUR, per_hour=1.0
    ),
    swarm_idle_since=NOW - 60,
    stall_after=4.5 * HOUR,
)


def earnings(*, since: float, last_increase: float | None) -> Earnings:
    return Earnings(earned=0.0, lost=0.0, since=since, last_increase=last_increase, per_hour=None)


CASES = {
    "earned lately": ({}, Condition.EARNING, ""),
    "two nodes are one peer": (
        {"conflicts": ("2", "3")},
        Condition.WRONG_IDENTITY,
        "node 2, 3 is the same peer",
    ),
    "nothing asked yet": ({"leaderboard": None}, Condition.UNKNOWN, "still awaited"),
    "the API does not answer": (
        {
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.UNKNOWN,
        "nothing listens",
    ),
    "the last answer is too old": (
        {"leaderboard": msgspec.structs.replace(UP, up=False), "board": None, "standing": None},
        Condition.UNKNOWN,
        "too old",
    ),
    "nobody knows which peer": (
        {"identified": False, "identity": Identity(), "standing": None},
        Condition.UNKNOWN,
        "which peer",
    ),
    "two peers of one name": (
        {"identified": False, "identity": Identity(problem="2 peers are called"), "standing": None},
        Condition.UNKNOWN,
        "2 peers are called",
    ),
    "the API is frozen": (
        {"board": msgspec.structs.replace(BOARD, data_timestamp=NOW - 2 * HOUR)},
        Condition.UNKNOWN,
        "data that are 2h old",
    ),
    "the whole swarm stands still": (
        {"swarm_idle_since": NOW - 5 * HOUR, "earnings": earnings(since=0, last_increase=1.0)},
        Condition.SWARM_HALTED,
        "nobody in the swarm",
    ),
    "nobody has published in the stage yet": (
        {"standing": None, "board": msgspec.structs.replace(BOARD, clock=Stage(7, 2))},
        Condition.WAITING_SWARM,
        "nobody has published",
    ),
    "the board is empty": (
        {"standing": None, "board": msgspec.structs.replace(BOARD, newest=None)},
        Condition.WAITING_SWARM,
        "nobody has published",
    ),
    "absent while others are listed": (
        {"standing": None},
        Condition.UNKNOWN,
        "not on the board",
    ),
    "stalled while others earn": (
        {"earnings": earnings(since=NOW - 24 * HOUR, last_increase=NOW - 5 * HOUR)},
        Condition.TRAINING,
        "not earned for 5h",
    ),
    "an API that does not say in which stage": (
        {
            "standing": msgspec.structs.replace(STANDING, recorded=None),
            "board": msgspec.structs.replace(BOARD, newest=None),
        },
        Condition.UNKNOWN,
        "cannot be counted",
    ),
    "first seen with a score in the newest stage": (
        {"earnings": earnings(since=NOW, last_increase=None)},
        Condition.EARNING,
        "",
    ),
    "first seen without a score": (
        {
            "earnings": earnings(since=NOW - HOUR, last_increase=None),
            "standing": msgspec.structs.replace(STANDING, last_score=0.0),
        },
        Condition.TRAINING,
        "in the 1h it was watched",
    ),
    "never seen to earn, for long": (
        {
            "earnings": earnings(since=NOW - 6 * HOUR, last_increase=None),
            "standing": msgspec.structs.replace(STANDING, last_score=0.0),
        },
        Condition.TRAINING,
        "not earned for 6h",
    ),
}


@pytest.mark.parametrize(("change", "condition", "reason"), CASES.values(), ids=CASES)
def test_condition(change, condition, reason):
    verdict = judge(msgspec.structs.replace(EARNING, **change))
    assert verdict.condition is condition
    assert reason in verdict.reason
    assert bool(verdict.reason) == (condition is not Condition.EARNING)
