from __future__ import annotations

import msgspec
import pytest

from support import make_process
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
from swarm_exporter.sources.login import LoginFacts
from swarm_exporter.sources.training_log import TrainingLogFacts

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
    "two rounds behind the swarm": (
        {"board": msgspec.structs.replace(BOARD, clock=Stage(9, 0))},
        Condition.TOO_SLOW,
        "last recorded in round 7, while the swarm is in round 9",
    ),
    "stopped by a person, though it earned lately": (
        {"process": make_process(state="stopped", reason="stopped by hand")},
        Condition.STOPPED,
        "stopped by hand",
    ),
    "ended once": (
        {
            "process": make_process(
                state="backoff", reason="it ended", failures=1, next_start=NOW + 40
            )
        },
        Condition.DOWN,
        "it ended; it is started again in 40s",
    ),
    "ends again and again": (
        {
            "process": make_process(
                state="backoff", reason="it ended", failures=3, next_start=NOW + 40
            )
        },
        Condition.CRASH_LOOPING,
        "started again in 40s",
    ),
    "given up after a crash loop": (
        {"process": make_process(state="fatal", reason="it ended, 11 times in a row", failures=11)},
        Condition.CRASH_LOOPING,
        "11 times in a row",
    ),
    "not started for good reason": (
        {"process": make_process(state="fatal", reason="it has the same identity", failures=1)},
        Condition.DOWN,
        "the same identity",
    ),
    "waits for a login": (
        {"process": make_process(state="starting", waiting_login=True, trainer_up=False)},
        Condition.WAITING_LOGIN,
        "waits for a person to log in",
    ),
    "asks what nobody has configured": (
        {"process": make_process(state="starting", question="Which planet?", trainer_up=False)},
        Condition.DOWN,
        'asks "Which planet?"',
    ),
    "its trainer is awaited": (
        {
            "process": make_process(
                state="starting", reason="its trainer is awaited", trainer_up=False
            )
        },
        Condition.DOWN,
        "its trainer is awaited",
    ),
    "its trainer joins": (
        {"process": make_process(state="starting", reason="has not joined the swarm yet")},
        Condition.TRAINING,
        "has not joined",
    ),
    "the script lives on without its trainer": (
        {"process": make_process(trainer_up=False)},
        Condition.DOWN,
        "no trainer runs",
    ),
    "runs and earns": ({"process": make_process()}, Condition.EARNING, ""),
    "no board, but it hands in": (
        {
            "process": make_process(),
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.EARNING,
        "",
    ),
    "no board, and it has handed nothing in for long": (
        {
            "process": make_process(last_submit=NOW - 5 * HOUR),
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.TRAINING,
        "handed nothing in for 5h",
    ),
    "no board, and nothing handed in yet": (
        {
            "process": make_process(last_submit=None),
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.TRAINING,
        "whether it earns is not known yet",
    ),
    "no board, and a trainer that does not say when it hands in": (
        {
            "process": make_process(last_submit=None, submit_period=None),
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.UNKNOWN,
        "nothing listens",
    ),
    "no board, and nobody knows whether a trainer runs": (
        {
            "process": make_process(state="unknown", trainer_up=None),
            "leaderboard": msgspec.structs.replace(UP, up=False, reason=Reason.REFUSED),
            "board": None,
            "standing": None,
        },
        Condition.UNKNOWN,
        "nothing listens",
    ),
    "the launcher is gone and so is the trainer": (
        {
            "process": make_process(
                state="unknown", reason="the launcher does not run", trainer_up=False
            )
        },
        Condition.DOWN,
        "the launcher does not run",
    ),
    "one identity twice goes before all else": (
        {"process": make_process(state="stopped"), "conflicts": ("2",)},
        Condition.WRONG_IDENTITY,
        "node 2 is the same peer",
    ),
}


def test_every_condition_is_decided_by_some_rule():
    assert {condition for _, condition, _ in CASES.values()} == set(Condition)


@pytest.mark.parametrize(
    ("state", "launched", "action"),
    [
        ("starting", True, "the launcher sees to it"),
        ("running", True, "the launcher sees to it"),
        ("unknown", True, "swarm-exporter launch"),
        ("running", False, "swarm-exporter launch"),
    ],
)
def test_what_to_do_about_a_trainer_that_is_gone(state, launched, action):
    process = make_process(state=state, launched=launched, trainer_up=False)
    verdict = judge(msgspec.structs.replace(EARNING, process=process))
    assert verdict.condition is Condition.DOWN
    assert action in verdict.action


#: RL Swarm v0.5 and later: no leaderboard is read.
_BLIND = {"reads_leaderboard": False, "leaderboard": None, "board": None, "standing": None}
_QUIET = Earnings(earned=0.0, lost=0.0, since=NOW - 9 * HOUR, last_increase=None, per_hour=None)
_LOG = TrainingLogFacts(log="logs/swarm_launcher.log", last_line_at=NOW - 60)


def _log(**more) -> TrainingLogFacts:
    return msgspec.structs.replace(_LOG, **more)


WITHOUT_BOARD = {
    "its sum rose lately": (
        {"earnings": msgspec.structs.replace(_QUIET, last_increase=NOW - HOUR)},
        Condition.EARNING,
        "",
    ),
    "its log tells of a submission": (
        {"log": _log(last_submit_at=NOW - HOUR), "process": None},
        Condition.EARNING,
        "",
    ),
    "its submission is long ago": (
        {"log": _log(last_submit_at=NOW - 9 * HOUR)},
        Condition.TRAINING,
        "handed nothing in for 9h",
    ),
    "the round on the chain stands still": (
        {
            "log": _log(waiting_since=NOW - HOUR),
            "swarm_round_known": True,
            "swarm_idle_since": NOW - 9 * HOUR,
        },
        Condition.SWARM_HALTED,
        "the swarm's round has stood still for 9h",
    ),
    "it waits for the swarm": (
        {"log": _log(waiting_since=NOW - HOUR)},
        Condition.WAITING_SWARM,
        "waits for the swarm's next, for 1h",
    ),
    "what it waited for in a log that has stopped is past": (
        {"log": _log(waiting_since=NOW - 9 * HOUR, last_line_at=NOW - 8 * HOUR), "process": None},
        Condition.DOWN,
        "silent for 8h",
    ),
    "it trains and nothing is handed in yet": (
        {"log": _LOG, "process": None},
        Condition.TRAINING,
        "its log grows",
    ),
    "it runs under the launcher and has not submitted": (
        {"process": make_process(last_submit=None)},
        Condition.TRAINING,
        "whether it earns is not known yet",
    ),
    "nothing tells": (
        {"process": None, "blind": ("its rank (why): fix",)},
        Condition.UNKNOWN,
        "nothing",
    ),
    "it is logged out": (
        {"log": _LOG, "login": LoginFacts(login_data=False)},
        Condition.WAITING_LOGIN,
        "logged out",
    ),
    "its account is not activated": (
        {"login": LoginFacts(login_data=True, activated=False), "process": None},
        Condition.WAITING_LOGIN,
        "logged out",
    ),
    "whether it is logged in is not known": (
        {"log": _LOG, "process": None, "login": LoginFacts()},
        Condition.TRAINING,
        "its log grows",
    ),
    "it is logged out but stopped": (
        {
            "process": make_process(state="stopped", trainer_up=False),
            "login": LoginFacts(login_data=False),
        },
        Condition.STOPPED,
        "",
    ),
}


@pytest.mark.parametrize(
    ("change", "condition", "reason"), WITHOUT_BOARD.values(), ids=WITHOUT_BOARD
)
def test_condition_without_a_leaderboard(change, condition, reason):
    facts = msgspec.structs.replace(EARNING, **_BLIND, **{"earnings": _QUIET, **change})
    verdict = judge(facts)
    assert verdict.condition is condition
    assert reason in verdict.reason


def test_who_earns_is_not_called_logged_out():
    """RL Swarm v0.3 earns without an account where it is not on the testnet."""
    verdict = judge(msgspec.structs.replace(EARNING, login=LoginFacts(login_data=False)))
    assert verdict.condition is Condition.EARNING


def test_what_cannot_be_known_names_what_to_configure():
    facts = msgspec.structs.replace(
        EARNING, **_BLIND, earnings=_QUIET, process=None, blind=("its rank (no board): give `api`",)
    )
    assert judge(facts).action == "Not known: its rank (no board): give `api`."


@pytest.mark.parametrize(("change", "condition", "reason"), CASES.values(), ids=CASES)
def test_condition(change, condition, reason):
    verdict = judge(msgspec.structs.replace(EARNING, **change))
    assert verdict.condition is condition
    assert reason in verdict.reason
    assert bool(verdict.reason) == (condition is not Condition.EARNING)
