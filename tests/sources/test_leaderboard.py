"""The leaderboard source on the recorded answers of real servers, and on what else may answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import ManualClock, make_config, make_node
from swarm_exporter.model import Board, Identity, Point, Stage
from swarm_exporter.reasons import Reason
from swarm_exporter.rewards import Account
from swarm_exporter.sources.base import Context, Facts
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.leaderboard import HISTORY_PEER_LIMIT, Leaderboard, read_board

DATA = Path(__file__).parents[1] / "data" / "api"
JSON = "application/json"
API = "http://127.0.0.1:8000"
EEL = "QmPdfpGBdQjGwNWxMM2LBdq7dEFfrakGxz2XApbB7zkBA8"
APE = "QmPfx9yKwYuUsh7ygm34Xxki4p43jF4YUNavYpXmWdX4ot"
ELK = "QmUiNdJ2sRiAW5RxWZsTrGw1eiwq1KSbFGRr1T7SQ3Urkp"
MEERKAT = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

Answers = Mapping[str, tuple[int, str, bytes]]


def recorded(version: str, moment: str) -> Answers:
    """What a real server answered on each route at that moment, with status and content type."""
    answers = {}
    for path in (DATA / version / moment).iterdir():
        failed = b'"detail":' in path.read_bytes()
        answers[path.stem] = (500 if failed else 200, "application/json", path.read_bytes())
    return answers


def answer(status: int, kind: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, headers={"content-type": kind, **headers}, stream=httpx.ByteStream(body)
    )


def poll(
    answers: Answers | Callable[[httpx.Request], httpx.Response],
    *,
    asked: list[str] | None = None,
    now: float = 1_795_407_600.0,
    first: bool = False,
    identity: Identity | None = None,
    hung: str = "",
    **settings,
) -> Facts:
    async def respond(request: httpx.Request) -> httpx.Response:
        name = request.url.path.removeprefix("/api/")
        if name == hung:
            await asyncio.Event().wait()
        if asked is not None:
            asked.append(name)
        if callable(answers):
            return answers(request)
        return answer(*answers.get(name, (404, JSON, b'{"detail":"Not Found"}')))

    async def run() -> Facts:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            context = Context(
                client=client,
                clock=ManualClock(now),
                config=make_config(make_node(api=API), **settings),
                identities={"1": identity or Identity(peer_id=EEL)},
                first=first,
            )
            return await read_board(API, context)

    return asyncio.run(run())


def board(*where, **how) -> Board:
    facts = poll(*where, **how)
    assert facts.defects == ()
    assert isinstance(facts.value, Board)
    return facts.value


def test_a_server_that_never_polled_is_not_ready():
    with pytest.raises(SourceError) as error:
        poll(recorded("v0.4.2", "00-never-polled"))
    assert error.value.reason is Reason.NOT_READY


def test_an_empty_board_is_a_board():
    found = board(recorded("v0.4.2", "10-polled-no-rewards"), now=1000.0)
    assert (found.total_peers, found.wanted, found.top, found.quantiles) == (0, {}, (), {})
    assert (found.clock, found.newest) == (Stage(0, 0), None)
    assert found.data_timestamp == pytest.approx(1000.0 - 0.661185)


def test_the_first_rewards():
    found = board(recorded("v0.4.2", "20-first-rewards-3-peers"))
    own = found.wanted[EEL]
    assert (own.rank, found.total_peers, own.nickname) == (1, 3, "small giant eel")
    assert own.cumulative_reward == own.last_score == 3.347795720902508
    assert own.recorded == found.clock == found.newest == Stage(0, 0)
    assert [peer.peer_id for peer in found.top][:2] == [EEL, APE]
    assert found.quantiles[0.5] == 2.0420147279213223
    assert found.quantiles[1.0] == 3.347795720902508
    assert found.cumulative_history == {EEL: (Point(1795407563, 3.347795720902508),)}


def test_the_cumulative_number_jumps_and_falls_while_the_score_does_not():
    first = board(recorded("v0.4.2", "31-stage1-first-poll")).wanted[EEL]
    second = board(recorded("v0.4.2", "32-stage1-second-poll")).wanted[EEL]
    assert (first.cumulative_reward, second.cumulative_reward) == (
        7.499037241865798,
        4.15124152096329,
    )
    assert first.last_score == second.last_score == 4.15124152096329


def test_a_stage_that_nobody_published_in_shows_the_last_one():
    found = board(recorded("v0.4.2", "30-next-stage-nobody-published"))
    assert (found.clock, found.newest) == (Stage(0, 1), Stage(0, 0))
    assert found.total_peers == 3


def test_a_peer_that_came_later_is_last():
    found = board(
        recorded("v0.4.2", "32-stage1-second-poll"),
        identity=Identity(nickname="moist tenacious elk"),
    )
    assert found.wanted[ELK].rank == found.total_peers == 4


def test_the_recorded_life_earns_what_it_held():
    """3.35 in the first stage; the jump to 7.50 and the fall to 4.15 are not earnings."""
    account = Account()
    for number, moment in enumerate(sorted((DATA / "v0.4.2").glob("[123]*"))):
        found = board(recorded("v0.4.2", moment.name))
        account.observe(found.wanted.get(EEL), found, 1_795_407_552.0 + 10 * number)
    assert account.earned == 3.347795720902508
    assert account.earnings(EEL, 1_795_407_700.0).scores == (3.347795720902508, 4.15124152096329)


@pytest.mark.parametrize(
    ("moment", "cumulative", "score", "recorded_in"),
    [
        ("3-first-poll-with-rewards-r3s0", 1.5, 1.5, Stage(3, 0)),
        ("4-second-poll-same-stage", 4.0, 4.0, Stage(3, 0)),
        (
            "5-first-poll-after-stage-advance-r3s1-only-one-peer-published",
            6.0,
            2.0,
            Stage(3, 1),
        ),
        ("6-second-poll-r3s1", 2.0, 2.0, Stage(3, 1)),
        ("7-new-round-r4s0-nobody-published-yet", 2.0, 2.0, Stage(3, 1)),
    ],
)
def test_each_recorded_moment_of_v0_4_4(moment, cumulative, score, recorded_in):
    own = board(recorded("v0.4.4", moment), identity=Identity(peer_id=MEERKAT)).wanted[MEERKAT]
    assert (own.cumulative_reward, own.last_score, own.recorded) == (cumulative, score, recorded_in)


def test_a_frozen_server_is_seen_behind_its_status_200():
    answers = recorded("v0.4.4", "7-new-round-r4s0-nobody-published-yet")
    answers |= recorded("v0.4.4", "8-no-poll-for-10min")
    facts = poll(answers, identity=Identity(peer_id=MEERKAT), now=1_746_009_999.0)
    assert facts.defects == (Reason.STALE,)
    assert facts.value.data_timestamp == 1746000050, "the newest point of any history"


GOOD = recorded("v0.4.2", "20-first-rewards-3-peers")
PAGE = (200, "text/html", b"<!doctype html><html></html>")


def without(*names: str, **instead) -> Answers:
    """The good answers with some routes answering otherwise."""
    return {**{k: v for k, v in GOOD.items() if k not in names}, **instead}


def test_the_age_of_an_answer_from_a_cache_counts():
    def respond(request: httpx.Request) -> httpx.Response:
        _, kind, body = GOOD[request.url.path.removeprefix("/api/")]
        return answer(200, kind, body, age="3600")

    assert board(respond, now=10_000.0).data_timestamp == pytest.approx(6400.0 - 0.690618)


@pytest.mark.parametrize(
    "health", [PAGE, (404, JSON, b"{}"), (200, JSON, b"null"), (200, JSON, b"{")]
)
def test_an_api_without_a_health_route_tells_the_time_by_its_board(health):
    assert board(without("healthz", healthz=health)).data_timestamp == 1795407563


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (PAGE, Reason.HTML),
        ((200, JSON, b"[1]"), Reason.WRONG_SHAPE),
        ((500, JSON, b"{}"), Reason.HTTP_5XX),
    ],
)
def test_a_clock_that_does_not_answer_costs_the_clock_alone(clock, reason):
    facts = poll(without("round_and_stage", round_and_stage=clock))
    assert facts.value.clock is None
    assert facts.value.wanted[EEL].rank == 1
    assert facts.defects == (reason,)


def test_a_chain_that_was_not_read_has_no_clock():
    answers = without("round_and_stage", round_and_stage=(200, JSON, b'{"round":-1,"stage":-1}'))
    assert board(answers).clock is None


def test_the_board_of_v0_2_gives_rank_and_score_but_no_stage_to_count_it_in():
    """It has no cumulative board, answers that path with its page, and lists no stages."""
    own = board({**GOOD, "leaderboard-cumulative": PAGE}).wanted[EEL]
    assert (own.rank, own.last_score, own.cumulative_reward) == (1, 3.347795720902508, None)
    assert own.recorded is None


@pytest.mark.parametrize("hung", ["round_and_stage", "healthz", "rewards-history"])
def test_what_hangs_beside_the_board_costs_itself_alone(hung):
    facts = poll(GOOD, hung=hung, first=True, timeout=0.06)
    assert facts.value.wanted[EEL].rank == 1
    assert facts.value.data_timestamp is not None
    assert set(facts.defects) <= {Reason.TIMEOUT}


def test_a_board_that_hangs_is_a_timeout():
    with pytest.raises(SourceError) as error:
        poll(GOOD, hung="leaderboard-cumulative", timeout=0.05)
    assert error.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (PAGE, Reason.HTML),
        ((404, "text/html; charset=utf-8", b"<!DOCTYPE html>"), Reason.HTML),
        ((404, JSON, b'{"detail":"Not Found"}'), Reason.NOT_FOUND),
        ((200, JSON, b""), Reason.EMPTY),
        ((200, JSON, b'{"detail":1}'), Reason.WRONG_SHAPE),
    ],
)
def test_an_address_without_a_leaderboard_gives_its_reason(given, reason):
    with pytest.raises(SourceError) as error:
        poll(lambda _: answer(*given))
    assert error.value.reason is reason


class TestTheHistory:
    def test_is_asked_for_at_the_first_poll_alone(self):
        asked: list[str] = []
        found = board(GOOD, asked=asked, first=True)
        assert found.score_history == {EEL: (Point(1795407563, 3.347795720902508),)}
        assert asked.count("rewards-history") == 1
        asked.clear()
        assert board(GOOD, asked=asked).score_history == {}
        assert sorted(asked) == ["healthz", "leaderboard-cumulative", "round_and_stage"]

    def test_is_not_asked_for_on_a_large_board(self):
        rows = [{"id": f"Qm{number}"} for number in range(HISTORY_PEER_LIMIT)] + [{"id": EEL}]
        body = json.dumps({"leaders": rows, "total": len(rows)}).encode()
        asked: list[str] = []
        answers = without("leaderboard-cumulative", **{"leaderboard-cumulative": (200, JSON, body)})
        assert board(answers, asked=asked, first=True).wanted[EEL].rank == HISTORY_PEER_LIMIT + 1
        assert "rewards-history" not in asked

    def test_is_not_asked_for_nobody(self):
        asked: list[str] = []
        board(GOOD, asked=asked, first=True, identity=Identity())
        assert "rewards-history" not in asked

    def test_that_fails_costs_itself_alone(self):
        facts = poll(without(**{"rewards-history": (500, JSON, b"{}")}), first=True)
        assert facts.value.wanted[EEL].rank == 1
        assert facts.defects == (Reason.HTTP_5XX,)


def test_a_hostile_score_costs_its_peer_alone():
    """What v0.4.4 serves where a peer has published a string and another peer an odd id."""
    rows = [
        {"id": EEL, "nickname": "small giant eel", "cumulativeScore": "999", "lastScore": "999"},
        {"id": "not a peer", "nickname": "x", "cumulativeScore": 5.0, "lastScore": 5.0},
        {"id": "", "nickname": "y", "cumulativeScore": 1.0, "lastScore": 1.0},
        {"id": APE, "nickname": "playful sharp ape", "cumulativeScore": 0.5, "lastScore": 0.5},
    ]
    body = json.dumps({"leaders": rows, "total": 4}).encode()
    facts = poll(without(**{"leaderboard-cumulative": (200, JSON, body)}))
    own = facts.value.wanted[EEL]
    assert (own.rank, own.cumulative_reward, own.last_score) == (1, None, None)
    assert [(peer.rank, peer.peer_id) for peer in facts.value.top] == [
        (1, EEL),
        (2, "not a peer"),
        (4, APE),
    ]
    assert set(facts.defects) == {Reason.INVALID_VALUE}


def test_top_peers_are_as_many_as_configured():
    assert len(board(GOOD, top_peers=2).top) == 2
    assert board(GOOD, top_peers=0).top == ()


def test_the_log_says_what_was_found():
    assert poll(GOOD).summary == "3 peers on the board"


def test_nodes_that_share_an_address_share_one_request():
    config = make_config(
        make_node("1", api=API), make_node("2", api=API), make_node("3", api="http://b.example")
    )
    targets = Leaderboard().targets(config)
    assert [(t.key, [n.name for n in t.nodes]) for t in targets] == [
        (API, ["1", "2"]),
        ("http://b.example", ["3"]),
    ]


routes = st.sampled_from(
    ["leaderboard-cumulative", "leaderboard", "round_and_stage", "healthz", "rewards-history"]
)
answers_given = st.tuples(
    st.sampled_from([200, 200, 200, 204, 301, 404, 500, 503]),
    st.sampled_from([JSON, "text/html", "", "application/octet-stream"]),
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([body for _, _, body in GOOD.values()]),
        st.sampled_from([body[: len(body) // 2] for _, _, body in GOOD.values()]),
        st.sampled_from([body.replace(b"3", b"null") for _, _, body in GOOD.values()]),
        st.sampled_from([body.replace(b":2", b":NaN") for _, _, body in GOOD.values()]),
    ),
)


@given(st.dictionaries(routes, answers_given), st.booleans())
def test_whatever_is_answered_no_exception_leaves_the_source(answered, first):
    try:
        facts = poll({**GOOD, **answered}, first=first)
    except SourceError as error:
        assert error.reason in Reason
        assert error.detail.isprintable()
    else:
        assert isinstance(facts.value, Board)
