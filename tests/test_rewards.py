from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.model import Board, Point, Stage, Standing
from swarm_exporter.rewards import (
    RESTART_AFTER_SECONDS,
    Account,
    Ledger,
    SwarmWatch,
    last_publication,
    last_rise,
)

PEER = "QmTest"
EMPTY = Board(
    total_peers=0,
    asked=frozenset(),
    wanted={},
    top=(),
    quantiles={},
    newest=Stage(1, 0),
    newest_scores={},
    clock=None,
    data_timestamp=None,
)


def standing(stage: tuple[int, int] | None, score: float | None) -> Standing:
    recorded = Stage(*stage) if stage is not None else None
    return Standing(peer_id=PEER, nickname="a b c", rank=1, last_score=score, recorded=recorded)


def watch(account: Account, seen: Iterable[tuple[tuple[int, int], float | None]], now: float = 0):
    for number, (stage, score) in enumerate(seen):
        account.observe(standing(stage, score), EMPTY, now + 10 * number)


def truth(seen: Sequence[tuple[tuple[int, int], float]]) -> tuple[float, float]:
    """Count each stage once, with the last score seen, when a later one is recorded."""
    pending: dict[tuple[int, int], float] = {}
    counted: dict[tuple[int, int], float] = {}
    for stage, score in seen:
        if stage not in counted:
            pending[stage] = score
        for done in [s for s in pending if s < stage]:
            counted[done] = pending.pop(done)
    values = counted.values()
    return sum(v for v in values if v > 0), -sum(v for v in values if v < 0)


CASES = {
    "a stage counts when a later one is recorded": (
        [((3, 0), 1.5), ((3, 0), 4.0), ((3, 1), 2.0)],
        4.0,
        0.0,
    ),
    "a stage in progress does not count": ([((3, 0), 4.0)], 0.0, 0.0),
    "a stage below zero is lost": ([((3, 0), -2.5), ((3, 1), 1.0), ((3, 2), 0.0)], 1.0, 2.5),
    "a skipped round changes nothing": ([((3, 0), 4.0), ((7, 2), 1.0), ((9, 0), 0.5)], 5.0, 0.0),
    "an absence does not end a stage": ([((3, 0), 4.0), ((3, 0), 4.5), ((3, 1), 1.0)], 4.5, 0.0),
    "an old answer counts nothing twice": (
        [((3, 0), 4.0), ((3, 1), 2.0), ((3, 0), 4.0), ((3, 1), 3.0), ((3, 2), 0.0)],
        7.0,
        0.0,
    ),
    "a stage first seen in an old answer counts": (
        [((3, 1), 2.0), ((3, 0), 4.0), ((3, 1), 2.0), ((3, 2), 0.0)],
        6.0,
        0.0,
    ),
    "a stage without a usable score ends the one before": (
        [((3, 0), 4.0), ((3, 1), None), ((3, 2), 1.0)],
        4.0,
        0.0,
    ),
}


@pytest.mark.parametrize(("seen", "earned", "lost"), CASES.values(), ids=CASES)
def test_counts(seen, earned, lost):
    account = Account()
    watch(account, seen)
    assert (account.earned, account.lost) == (earned, lost)


stages = st.tuples(st.integers(0, 4), st.integers(0, 2))
scores = st.floats(-100, 100).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(stages, scores), max_size=60))
def test_equals_the_truth_for_any_sequence_of_polls(seen):
    account = Account()
    watch(account, seen)
    earned, lost = truth(seen)
    assert account.earned == pytest.approx(earned)
    assert account.lost == pytest.approx(lost)


@st.composite
def histories(draw) -> list[tuple[float, tuple[int, int] | None, float]]:
    """A swarm's life as one API shows it: growing scores, absences, polls missed, old answers."""
    polls: list[tuple[float, tuple[int, int] | None, float]] = []
    now = 0.0
    shown: list[tuple[tuple[int, int], float]] = []
    for number in range(draw(st.integers(1, 15))):
        stage = divmod(number, 3)
        score = 0.0
        for _ in range(draw(st.integers(0, 4))):
            score += draw(st.floats(-3, 5).map(lambda x: round(x, 2)))
            shown.append((stage, score))
            kind = draw(st.sampled_from(["seen", "seen", "seen", "absent", "old"]))
            seen = shown[-1] if kind == "seen" else draw(st.sampled_from(shown[-6:]))
            polls.append((now, None if kind == "absent" else seen[0], seen[1]))
            now += draw(st.floats(1, 120))
    return polls


@given(histories(), st.integers(0, 100))
def test_equals_the_truth_over_a_simulated_life_with_a_restart(polls, restart_at):
    account = Account()
    earned_before = lost_before = 0.0
    for number, (now, stage, score) in enumerate(polls):
        if number == restart_at:
            account = revived(account)
        account.observe(standing(stage, score) if stage else None, EMPTY, now)
        assert account.earned >= earned_before, "the counter never falls"
        assert account.lost >= lost_before
        earned_before, lost_before = account.earned, account.lost
    seen = [(stage, score) for _, stage, score in polls if stage is not None]
    earned, lost = truth(seen)
    assert account.earned == pytest.approx(earned)
    assert account.lost == pytest.approx(lost)


def revived(account: Account) -> Account:
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(account), type=Account)


def test_a_restarted_swarm_is_counted_from_its_new_beginning():
    account = Account()
    watch(account, [((0, 0), 1.0), ((0, 1), 2.0), ((0, 2), 4.0)])
    assert account.earned == 3.0
    # The swarm begins again at round 0, and stays there.
    account.observe(standing((0, 0), 8.0), EMPTY, 100.0)
    account.observe(standing((0, 1), 16.0), EMPTY, 700.0)
    assert account.earned == 3.0, "an old answer is not to be ruled out yet"
    account.observe(standing((0, 2), 32.0), EMPTY, 700.0)  # back at the front: it was one
    assert account.earned == 3.0
    account.observe(standing((0, 0), 8.0), EMPTY, 1000.0)
    account.observe(standing((0, 1), 16.0), EMPTY, 1000.0 + RESTART_AFTER_SECONDS)
    assert account.earned == 3.0 + 32.0 + 8.0, "the old life's last stage, and the new one's first"
    account.observe(standing((0, 2), 64.0), EMPTY, 4000.0)
    account.observe(standing((1, 0), 0.0), EMPTY, 5000.0)
    assert account.earned == 3.0 + 32.0 + 8.0 + 16.0 + 64.0


def test_a_server_that_lags_for_hours_counts_nothing_twice():
    """Its clock moves on behind ours, but what it shows is the known past."""
    account = Account()
    watch(account, [((number, 0), 1.0 + number) for number in range(20)])
    earned = account.earned
    for number in range(8, 20):
        account.observe(standing((number, 0), 1.0 + number), EMPTY, 1000.0 + 600.0 * number)
    assert account.earned == earned
    account.observe(standing((20, 0), 0.0), EMPTY, 20_000.0)
    assert account.earned == earned + 20.0


def test_a_restart_is_recognised_where_the_last_stage_had_no_usable_score():
    account = Account()
    watch(account, [((0, 0), 1.0), ((5, 0), 2.0), ((6, 0), None)])
    account.observe(standing((0, 0), 8.0), EMPTY, 100.0)
    account.observe(standing((0, 1), 16.0), EMPTY, 200.0 + RESTART_AFTER_SECONDS)
    account.observe(standing((0, 2), 0.0), EMPTY, 5000.0)
    assert account.earned == 3.0 + 8.0 + 16.0


def test_an_answer_that_is_stuck_in_the_past_counts_nothing_however_long_it_lasts():
    account = Account()
    watch(account, [((5, 0), 1.0), ((5, 1), 2.0), ((5, 2), 4.0)])
    for hour in range(10):
        account.observe(standing((5, 1), 2.0), EMPTY, 3600.0 * (hour + 1))
    account.observe(standing((6, 0), 0.0), EMPTY, 50_000.0)
    assert account.earned == 7.0


@given(st.lists(st.tuples(stages, scores, st.floats(0, 4000)), max_size=60))
def test_a_restart_of_the_swarm_never_lowers_or_inflates_the_counter(seen):
    account, now, most = Account(), 0.0, 0.0
    for stage, score, pause in seen:
        now += pause
        before = account.earned
        account.observe(standing(stage, score), EMPTY, now)
        most += max(score, 0.0)
        assert before <= account.earned <= most + 1e-6


def test_a_new_identity_goes_on_in_the_same_counter():
    account = Account()
    watch(account, [((3, 0), 4.0), ((3, 1), 1.0)])
    other = Standing(peer_id="QmOther", nickname="", rank=1, last_score=9.0, recorded=Stage(3, 1))
    account.observe(other, EMPTY, 100.0)
    assert account.earned == 4.0
    later = Standing(peer_id="QmOther", nickname="", rank=1, last_score=0.0, recorded=Stage(3, 2))
    account.observe(later, EMPTY, 110.0)
    assert account.earned == 13.0


def test_memory_stays_bounded():
    ledger = Ledger()
    for round_ in range(2000):
        ledger.observe(Stage(round_, 0), 1.0, float(round_))
    assert len(ledger.counted) <= 256
    assert len(ledger.open) == 1
    assert ledger.observe(Stage(1, 0), 5.0, 3000.0) == [], "too old to be sure: not counted again"


class TestLastIncrease:
    def test_is_unknown_at_first_sight(self):
        account = Account()
        watch(account, [((3, 0), 4.0)])
        assert account.last_increase is None

    def test_is_known_where_the_peer_was_seen_to_appear(self):
        account = Account()
        account.observe(None, EMPTY, 5.0)
        account.observe(standing((3, 0), 4.0), EMPTY, 10.0)
        assert account.last_increase == 10.0

    def test_is_unknown_where_another_peer_takes_over_after_an_old_absence(self):
        account = Account()
        account.observe(None, EMPTY, 5.0)
        account.observe(standing((3, 0), 0.0), EMPTY, 10.0)
        other = Standing(
            peer_id="QmOther", nickname="", rank=1, last_score=9.0, recorded=Stage(3, 0)
        )
        account.observe(other, EMPTY, 20.0)
        assert account.last_increase is None

    def test_an_empty_board_is_no_absence(self):
        """So begins every API that was restarted: what shows next may be hours old."""
        account = Account()
        account.observe(None, TestSwarmWatch.board(None), 5.0)
        account.observe(standing((3, 0), 4.0), EMPTY, 10.0)
        assert account.last_increase is None

    def test_follows_every_rise_and_no_fall(self):
        account = Account()
        for now, stage, score in [
            (0, (3, 0), 1.0),
            (10, (3, 0), 2.0),
            (20, (3, 0), 2.0),
            (30, (3, 1), 0.5),
            (40, (3, 1), 0.5),
            (50, (3, 2), 0.0),
            (60, (4, 0), -3.0),
        ]:
            account.observe(standing(stage, score), EMPTY, float(now))
        assert account.last_increase == 30.0

    def test_is_taken_from_the_apis_memory(self):
        history = (Point(100, 3.3), Point(110, 3.3), Point(120, 4.1), Point(130, 4.1))
        board = Board(
            total_peers=1,
            asked=frozenset(),
            wanted={},
            top=(),
            quantiles={},
            newest=None,
            newest_scores={},
            clock=None,
            data_timestamp=None,
            score_history={PEER: history},
        )
        account = Account()
        account.observe(standing((3, 0), 4.1), board, 135.0)
        assert account.last_increase == 120.0
        assert account.earnings(PEER, 135.0).scores == (3.3, 4.1)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([], None),
        ([3.0], None),
        ([3.0, 3.0], None),
        ([3.3, 3.3, 7.5, 4.15], 2),  # a new stage's first and second poll
        ([4.0, 3.0, -1.0], None),  # a stage below zero
        ([-3.0, -4.0, -1.0], None),  # none above it
    ],
)
def test_last_rise(figures, expected):
    assert last_rise([Point(x, y) for x, y in enumerate(figures)]) == expected


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([], None), ([2.0, 2.0], None), ([2.0, 4.0, 1.0, 1.0], 2), ([2.0, 0.0], None)],
)
def test_last_publication(levels, expected):
    assert last_publication([Point(x, y) for x, y in enumerate(levels)]) == expected


class TestPerHour:
    def test_is_unknown_before_a_whole_stage_was_watched(self):
        account = Account()
        watch(account, [((3, 0), 4.0), ((3, 1), 1.0)])
        assert account.earnings(PEER, 20.0).per_hour is None

    def test_counts_what_came_after_the_first_stage(self):
        account = Account()
        for number in range(5):
            account.observe(standing((number, 0), 2.0), EMPTY, 1800.0 * number)
        # Stages 0 to 3 are finished; the first one began before anybody watched.
        assert account.earnings(PEER, 1800.0 * 4).per_hour == pytest.approx(4.0)

    def test_falls_while_nothing_is_earned(self):
        account = Account()
        for number in range(3):
            account.observe(standing((number, 0), 2.0), EMPTY, 3600.0 * number)
        assert account.earnings(PEER, 3600.0 * 5).per_hour == pytest.approx(0.5)
        assert account.earnings(PEER, 3600.0 * 48).per_hour == 0.0


class TestSwarmWatch:
    @staticmethod
    def board(stage: tuple[int, int] | None, **scores: float) -> Board:
        newest = Stage(*stage) if stage is not None else None
        return Board(
            total_peers=len(scores),
            asked=frozenset(),
            wanted={},
            top=(),
            quantiles={},
            newest=newest,
            newest_scores=scores,
            clock=None,
            data_timestamp=None,
        )

    @pytest.mark.parametrize(
        ("before", "after", "earned"),
        [
            (((1, 0), {"a": 1.0}), ((1, 0), {"a": 1.0}), False),
            (((1, 0), {"a": 1.0}), ((1, 0), {"a": 2.0}), True),
            (((1, 0), {"a": 1.0}), ((1, 0), {"a": 1.0, "b": 0.5}), True),
            (((1, 0), {"a": 1.0}), ((1, 0), {"a": 1.0, "b": -0.5}), False),
            (((1, 0), {"a": -2.0}), ((1, 0), {"a": -1.0}), False),
            (((1, 0), {"a": 1.0}), ((1, 1), {"a": 0.5}), True),
            (((1, 0), {"a": 1.0}), ((1, 1), {"a": 0.0}), False),
            (((1, 1), {"a": 1.0}), ((1, 0), {"a": 9.0}), False),
            ((None, {}), ((1, 0), {"a": 9.0}), False),
        ],
    )
    def test_tells_whether_anybody_earned(self, before, after, earned):
        watch = SwarmWatch()
        assert not watch.observe(self.board(before[0], **before[1]))
        assert watch.observe(self.board(after[0], **after[1])) is earned

    def test_after_a_restart_a_newer_stage_tells_and_an_equal_one_does_not(self):
        board = self.board((1, 1), a=2.0)
        assert SwarmWatch(Stage(1, 0)).observe(board)
        assert not SwarmWatch(Stage(1, 1)).observe(board)
