from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from swarm_exporter.demo.leaderboard import Json, Leaderboard
from swarm_exporter.demo.peers import draw_peers, nickname
from swarm_exporter.demo.scenarios import SCENARIOS, Conduct, conduct
from swarm_exporter.demo.swarm import POLL_SECONDS, STAGE_SECONDS, Swarm

START = 1_800_000_000
TICKS = STAGE_SECONDS // POLL_SECONDS


def stages(swarm: Swarm, count: int) -> Iterator[int]:
    """Let whole stages pass; stop at the end of each, when all polls of it are made."""
    for number in range(count):
        for tick in range(TICKS):
            swarm.tick(START + (number * TICKS + tick) * POLL_SECONDS)
        yield number


def bodies(board: Leaderboard) -> list[Json]:
    return [board.leaderboard(), board.leaderboard_cumulative(), board.round_and_stage()]


def score(board: Leaderboard | None, peer_id: str) -> float | None:
    """The score of a peer in the newest stage; None where it, or the API, is not there."""
    if board is None:
        return None
    rows = board.leaderboard()["leaders"]
    return next((row["score"] for row in rows if row["id"] == peer_id), None)


def run(seed: int, count: int) -> str:
    swarm = Swarm(seed)
    return json.dumps([[b and bodies(b) for b in swarm.boards] for _ in stages(swarm, count)])


def test_the_same_seed_gives_the_same_bodies_and_another_seed_others():
    assert run(1, 9) == run(1, 9)
    assert run(1, 9) != run(2, 9)


def test_peers_have_ids_and_names_of_upstreams_form():
    peers = draw_peers(7, 500)

    assert all(re.fullmatch("Qm[1-9A-HJ-NP-Za-km-z]{44}", peer.id) for peer in peers)
    assert all(re.fullmatch("[a-z]+ [a-z]+ [a-z]+", peer.nickname) for peer in peers)
    assert len({peer.id for peer in peers}) == len({peer.nickname for peer in peers}) == 500
    assert all(nickname(peer.id) == peer.nickname for peer in peers)
    assert draw_peers(7, 3) == peers[:3]


def test_the_clock_goes_through_three_stages_of_ten_minutes_each_round():
    swarm = Swarm(1)

    clocks = [swarm.boards[0].round_and_stage() for _ in stages(swarm, 7)]

    first = clocks[0]["round"]
    assert [(clock["round"] - first, clock["stage"]) for clock in clocks] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_in_each_stage_the_board_is_empty_at_first_and_then_stands_still(seed: int):
    swarm = Swarm(seed)
    for number in range(4):
        seen = []
        for _ in range(TICKS):
            swarm.tick(START)
            seen.append(swarm.boards[0].leaderboard()["leaders"])
        published = [leaders for leaders in seen if leaders]
        assert seen[0] == seen[1] == []
        assert len(published) >= TICKS - 8
        assert all(leaders == published[0] for leaders in published)
        assert bool(swarm.boards[0].leaderboard_cumulative()["total"]), number


def test_other_peers_gain_lose_earn_nothing_and_come_late():
    swarm = Swarm(1)
    own = {peer.id for peer in swarm.own}
    scores, present = [], []
    for _ in stages(swarm, 30):
        others = [r for r in swarm.boards[0].leaderboard()["leaders"] if r["id"] not in own]
        scores += [row["score"] for row in others]
        present.append(len(others))

    assert sum(score > 0 for score in scores) > 0.6 * len(scores)
    assert any(score == 0 for score in scores)
    assert any(score < 0 for score in scores)
    assert 10 <= min(present) < max(present) <= 20


def test_node_1_earns_in_every_stage():
    swarm = Swarm(1)

    assert all(score(swarm.boards[0], swarm.own[0].id) > 0 for _ in stages(swarm, 24))


def test_node_2_earns_four_stages_then_is_listed_with_zero_for_eight():
    swarm = Swarm(1)

    scores = [score(swarm.boards[0], swarm.own[1].id) for _ in stages(swarm, 24)]

    assert [s > 0 for s in scores] == ([True] * 4 + [False] * 8) * 2
    assert {s for s in scores if s <= 0} == {0.0}


def test_node_3_falls_silent_for_four_stages_of_ten_and_its_api_dies_for_two_of_them():
    swarm = Swarm(1)
    listed, alive = [], []
    for _ in stages(swarm, 20):
        listed.append(score(swarm.boards[0], swarm.own[2].id) is not None)
        alive.append(swarm.boards[2] is not None)

    assert listed == ([True] * 6 + [False] * 4) * 2
    assert alive == ([True] * 7 + [False] * 2 + [True]) * 2


def test_an_api_that_returns_has_forgotten_everything():
    swarm = Swarm(1)
    for _ in stages(swarm, 7):
        before = swarm.boards[2]
    for _ in stages(swarm, 2):
        assert swarm.boards[2] is None
    swarm.tick(START)

    assert before.leaderboard_cumulative()["total"] > 0
    assert swarm.boards[2] is not before
    assert swarm.boards[2].leaderboard_cumulative() == {"leaders": [], "total": 0}
    assert swarm.boards[0].leaderboard_cumulative()["total"] > 0


def test_apis_that_look_at_one_swarm_agree():
    swarm = Swarm(1)

    for _ in stages(swarm, 5):
        one, two, three = (bodies(board) for board in swarm.boards)
        assert one == two == three


def test_a_halted_swarm_answers_on_with_its_last_stage():
    swarm = Swarm(1, halt_after=2)

    shown = [(bodies(swarm.boards[0])[0], bodies(swarm.boards[0])[2]) for _ in stages(swarm, 6)]

    assert shown[0] != shown[1]
    assert all(earlier == later for earlier, later in pairwise(shown[1:]))
    (newest,) = {
        row["scoreHistory"][-1]["x"]
        for row in swarm.boards[0].leaderboard_cumulative()["leaders"]
        if row["recordedStage"] == 1
    }
    assert newest == START + (6 * TICKS - 1) * POLL_SECONDS


def test_more_nodes_repeat_the_scenarios_with_a_shift():
    for node in range(3, 12):
        play = [conduct(node, stage) for stage in range(60)]
        original = [conduct(node - 3, stage) for stage in range(63)]
        assert play == original[3:]


def test_a_swarm_of_one_node_and_no_others_works():
    swarm = Swarm(1, own=1, others=0)

    for _ in stages(swarm, 2):
        assert swarm.boards[0].leaderboard()["total"] == 1


def test_the_scenarios_are_as_long_as_told():
    assert [len(scenario) for scenario in SCENARIOS] == [1, 12, 10]
    assert [scenario.count(Conduct.DEAD) for scenario in SCENARIOS] == [0, 0, 2]


def test_a_node_that_leaves_keeps_what_it_published_for_the_stage_and_publishes_no_more():
    swarm = Swarm(1)
    for _ in stages(swarm, 1):
        pass
    swarm.gather({0, 2})

    left = swarm.own[1].id
    assert swarm.boards[1] is None
    assert score(swarm.boards[0], left) > 0
    assert 1 in swarm.own_scores
    for _ in stages(swarm, 3):
        assert score(swarm.boards[0], swarm.own[0].id) > 0
        assert score(swarm.boards[0], left) is None
        assert swarm.boards[1] is None
        assert set(swarm.own_scores) == {0, 2}


def test_a_node_that_leaves_before_it_has_published_is_missing_in_that_stage():
    swarm = Swarm(1)
    swarm.tick(START)
    swarm.gather({0, 2})
    for _ in range(TICKS - 1):
        swarm.tick(START)

    assert score(swarm.boards[0], swarm.own[0].id) > 0
    assert score(swarm.boards[0], swarm.own[1].id) is None


def test_a_node_that_returns_publishes_at_once_as_its_new_api_sees_and_all_see_in_the_next_stage():
    swarm = Swarm(1)
    swarm.gather({0, 2})
    for _ in range(TICKS - 1):
        swarm.tick(START)
    swarm.gather({0, 1, 2})
    assert swarm.boards[1].leaderboard_cumulative() == {"leaders": [], "total": 0}
    swarm.tick(START)

    own = swarm.own[1].id
    assert score(swarm.boards[1], own) > 0
    assert score(swarm.boards[0], own) is None, "hivemind's cache holds what was there before"
    for _ in stages(swarm, 1):
        assert score(swarm.boards[0], own) == score(swarm.boards[1], own) > 0


def test_the_others_scores_do_not_depend_on_who_takes_part():
    full, empty = Swarm(1), Swarm(1)
    empty.gather(())
    for _ in stages(empty, 3):
        assert empty.boards == (None, None, None)
        assert empty.own_scores == {}
    empty.gather({0})
    for _ in stages(full, 3):
        pass
    for _ in zip(stages(full, 1), stages(empty, 1), strict=True):
        rows = full.boards[0].leaderboard()["leaders"]
        absent = {full.own[1].id, full.own[2].id}
        assert empty.boards[0].leaderboard()["leaders"] == [
            r for r in rows if r["id"] not in absent
        ]


def test_a_connected_node_plays_its_scenario():
    swarm = Swarm(1)
    swarm.gather({2})
    alive = [swarm.boards[2] is not None for _ in stages(swarm, 20)]

    assert alive == ([True] * 7 + [False] * 2 + [True]) * 2


def test_gathering_the_same_nodes_again_changes_nothing():
    swarm, twin = Swarm(1), Swarm(1)
    for _ in zip(stages(swarm, 9), stages(twin, 9), strict=True):
        twin.gather({0, 1, 2})
        assert [b and bodies(b) for b in swarm.boards] == [b and bodies(b) for b in twin.boards]
