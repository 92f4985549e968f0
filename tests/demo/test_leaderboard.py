from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.demo.api import build_api
from swarm_exporter.demo.dht import DhtCache
from swarm_exporter.demo.leaderboard import Leaderboard, ServerError
from swarm_exporter.model import Stage

NOW = 1_800_000_000.25
OUT_OF_RANGE = {
    "detail": "Internal Server Error",
    "message": "Out of range float values are not JSON compliant",
}


def board_of(*polls: tuple[Stage, dict]) -> Leaderboard:
    """A server that has polled these, ten seconds apart."""
    board = Leaderboard(lambda peer: f"name of {peer}")
    for number, (stage, rewards) in enumerate(polls):
        board.poll(NOW + 10 * number, stage, rewards)
    return board


def cumulative(board: Leaderboard) -> dict[str, float]:
    return {row["id"]: row["cumulativeScore"] for row in board.leaderboard_cumulative()["leaders"]}


def listed(board: Leaderboard) -> list[str]:
    return [row["id"] for row in board.leaderboard()["leaders"]]


def get(board: Leaderboard, path: str, method: str = "GET") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build_api(board, lambda: NOW))
        async with httpx.AsyncClient(transport=transport, base_url="http://swarm") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_the_cumulative_figure_jumps_at_a_stages_first_poll_and_falls_back_at_the_second():
    polls = [
        (Stage(3, 0), {"a": 4.0}),
        (Stage(3, 1), {"a": 2.0}),
        (Stage(3, 1), {"a": 2.0}),
    ]

    assert [cumulative(board_of(*polls[:n]))["a"] for n in (1, 2, 3)] == [4.0, 6.0, 2.0]
    (row,) = board_of(*polls).leaderboard_cumulative()["leaders"]
    assert [point["y"] for point in row["scoreHistory"]] == [4.0, 6.0, 2.0]


def test_equal_scores_are_ordered_by_peer_id_from_the_end():
    board = board_of((Stage(0, 0), {"a": 1.0, "c": 1.0, "b": 2.0}))

    assert listed(board) == ["b", "c", "a"]
    assert list(cumulative(board)) == ["b", "c", "a"]


def test_a_silent_peer_leaves_the_leaderboard_at_once_and_the_cumulative_board_a_stage_later():
    first = (Stage(3, 2), {"a": 1.0, "b": 2.0})
    second = (Stage(4, 0), {"a": 1.0})
    third = (Stage(4, 1), {"a": 1.0})

    assert listed(board_of(first, second)) == ["a"]
    assert set(cumulative(board_of(first, second))) == {"a", "b"}
    assert set(cumulative(board_of(first, second, third))) == {"a"}


def test_while_nobody_has_published_the_whole_old_cumulative_board_stays():
    board = board_of(
        (Stage(3, 0), {"a": 1.0}), (Stage(3, 1), {}), (Stage(3, 2), {}), (Stage(4, 0), {})
    )

    assert cumulative(board) == {"a": 1.0}
    assert board.leaderboard() == {"leaders": [], "total": 0}
    assert board.rewards_history() == {"leaders": []}


def test_score_history_keeps_thirty_polls_and_rewards_history_all_of_them():
    board = board_of(*[(Stage(0, 0), {"a": 1.0})] * 154)

    (row,) = board.leaderboard_cumulative()["leaders"]
    (history,) = board.rewards_history()["leaders"]
    assert len(row["scoreHistory"]) == 30
    assert len(history["values"]) == 154
    assert row["scoreHistory"][-1] == history["values"][-1] == {"x": int(NOW) + 1530, "y": 1.0}


def test_a_peer_that_returns_has_its_old_rewards_history_but_a_new_cumulative_figure():
    away = [(Stage(0, 1), {"b": 1.0}), (Stage(0, 2), {"b": 1.0})]
    board = board_of((Stage(0, 0), {"a": 5.0, "b": 1.0}), *away, (Stage(1, 0), {"a": 2.0}))

    (history,) = board.rewards_history()["leaders"]
    assert [point["y"] for point in history["values"]] == [5.0, 2.0]
    assert cumulative(board)["a"] == 2.0


@pytest.mark.parametrize(
    ("after", "answer"),
    [
        (0.0, {"message": "OK", "lastPolled": 0.0}),
        (0.690618, {"message": "OK", "lastPolled": 0.690618}),
        (300.0, {"message": "OK", "lastPolled": 300.0}),
        (300.5, {"detail": "dht last poll exceeded 5 minutes"}),
    ],
)
def test_health_tells_the_age_of_the_data_until_it_is_too_old(after: float, answer: dict):
    board = board_of((Stage(0, 0), {}))

    try:
        said = board.healthz(NOW + after)
    except ServerError as error:
        said = error.body
    assert said == answer


def test_a_name_is_looked_up_among_the_listed_peers_only():
    board = board_of((Stage(0, 0), {"a": 1.0, "b": 1.0}), (Stage(0, 1), {"a": 1.0}))

    assert board.name_to_id("name of a") == {"id": "a"}
    assert board.name_to_id("name of b") == {"id": None}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_not_json_breaks_three_routes_and_no_other(score: float):
    board = board_of((Stage(0, 0), {"a": 1.0, "b": score}))

    for route in ("leaderboard", "leaderboard-cumulative", "rewards-history"):
        answer = get(board, f"/api/{route}")
        assert (answer.status_code, answer.json()) == (500, OUT_OF_RANGE)
    for route in ("healthz", "round_and_stage", "gossip", "name-to-id"):
        assert get(board, f"/api/{route}").status_code == 200


def test_the_cumulative_board_stays_broken_until_the_entry_with_nan_leaves_it():
    hostile = (Stage(0, 0), {"a": 1.0, "b": float("nan")})
    polls = [hostile, (Stage(0, 1), {"a": 1.0}), (Stage(0, 2), {"a": 1.0})]

    statuses = [
        get(board_of(*polls[:n]), "/api/leaderboard-cumulative").status_code for n in (1, 2, 3)
    ]
    assert statuses == [500, 500, 200]
    assert get(board_of(*polls[:2]), "/api/leaderboard").status_code == 200


@pytest.mark.parametrize(
    ("published", "leaders"),
    [
        ({"a": "999"}, [{"id": "a", "nickname": "name of a", "score": "999", "values": []}]),
        ({"a": 3}, [{"id": "a", "nickname": "name of a", "score": 3, "values": []}]),
        ({"a": [1, 2]}, [{"id": "a", "nickname": "name of a", "score": [1, 2], "values": []}]),
        (
            {"": 1.0, "not a peer": 5.0},
            [
                {"id": "not a peer", "nickname": "name of not a peer", "score": 5.0, "values": []},
                {"id": "", "nickname": "name of ", "score": 1.0, "values": []},
            ],
        ),
    ],
)
def test_whatever_a_peer_publishes_is_passed_on(published: dict, leaders: list):
    answer = get(board_of((Stage(0, 0), published)), "/api/leaderboard")

    assert answer.json() == {"leaders": leaders, "total": len(leaders)}


@pytest.mark.parametrize("score", ["7", "words", None, [1, 2], {"x": 1}])
def test_a_score_of_another_type_leaves_the_leaderboard_as_it_was(score: object):
    board = board_of((Stage(0, 0), {"a": 1.0}), (Stage(0, 1), {"a": 2.0, "b": score}))

    assert board.leaderboard()["leaders"][0]["score"] == 1.0
    assert len(board.rewards_history()["leaders"][0]["values"]) == 1
    assert board.round_and_stage() == {"round": 0, "stage": 1}
    # A string of digits is a number to the cumulative board; all else leaves it as it was, too.
    assert cumulative(board) == ({"b": 7.0, "a": 3.0} if score == "7" else {"a": 1.0})


@pytest.mark.parametrize("path", ["/", "/api", "/api/leaderboard/", "/api/leaderbord", "/x/y?z=1"])
def test_a_path_that_is_no_route_answers_200_with_a_web_page(path: str):
    answer = get(Leaderboard(str), path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<html" in answer.text


@pytest.mark.parametrize("path", ["/api/leaderboard", "/api/healthz", "/nowhere"])
@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
def test_every_method_but_get_is_refused(path: str, method: str):
    answer = get(Leaderboard(str), path, method)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.content == (b"" if method == "HEAD" else b'{"detail":"Method Not Allowed"}')


def test_the_dht_cache_keeps_the_first_look_that_finds_anything_for_the_stage():
    dht = DhtCache()

    assert dht.look(Stage(0, 0), {}) == {}
    assert dht.look(Stage(0, 0), {"a": 1.0}) == {"a": 1.0}
    assert dht.look(Stage(0, 0), {"a": 9.0, "b": 2.0}) == {"a": 1.0}
    assert dht.look(Stage(0, 1), {}) == {}
    assert dht.look(Stage(0, 1), {"b": 3.0}) == {"b": 3.0}


scores = st.floats(allow_nan=False, allow_infinity=False, width=32)
rewards = st.dictionaries(st.sampled_from("abcde"), scores, max_size=5)


@given(st.lists(st.tuples(st.integers(0, 2), rewards), min_size=1, max_size=40))
def test_for_any_history_a_row_shows_the_last_score_of_the_stage_it_names(steps: list):
    """Advance by 0 to 2 stages before each poll; compare each row with the plain history."""
    number, polls, last = 0, [], {}
    for ahead, published in steps:
        number += ahead
        polls.append((Stage(number // 3, number % 3), published))
        last.update({(peer, number): score for peer, score in published.items()})

    rows = board_of(*polls).leaderboard_cumulative()["leaders"]

    figures = [(row["cumulativeScore"], row["id"]) for row in rows]
    assert figures == sorted(figures, reverse=True)
    for row in rows:
        recorded = row["recordedRound"] * 3 + row["recordedStage"]
        assert row["lastScore"] == last[row["id"], recorded]
        assert recorded == max(n for peer, n in last if peer == row["id"])
        assert 1 <= len(row["scoreHistory"]) <= 30
        assert row["scoreHistory"][-1]["y"] == row["cumulativeScore"]
