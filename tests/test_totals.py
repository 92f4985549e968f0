from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.model import RewardTotal
from swarm_exporter.totals import TotalAccount

HOUR = 3600.0


def total(reward: float, keeper: str = "0xA") -> RewardTotal:
    return RewardTotal(reward=reward, keeper=keeper)


def watch(*rewards: float) -> TotalAccount:
    account = TotalAccount()
    for number, reward in enumerate(rewards):
        account.observe(total(reward), "QmA", number * HOUR)
    return account


def test_what_was_there_before_the_first_look_was_not_earned_now():
    account = watch(400.0)
    shown = account.earnings(0.0)
    assert (shown.earned, shown.since, shown.last_increase) == (0.0, 0.0, None)


def test_rises_and_falls_are_counted_apart():
    account = watch(400.0, 410.0, 403.0, 403.0, 404.0)
    shown = account.earnings(4 * HOUR)
    assert (shown.earned, shown.lost) == (11.0, 7.0)
    assert shown.last_increase == 4 * HOUR
    assert shown.scores == (10.0, -7.0, 1.0)


@pytest.mark.parametrize("change", [("0xB", "QmA"), ("0xA", "QmB"), ("0xB", None)])
def test_another_keeper_or_peer_is_no_gain_and_no_loss(change):
    keeper, peer = change
    account = watch(400.0, 410.0)
    account.observe(total(10_000.0, keeper), peer, 2 * HOUR)
    account.observe(total(10_001.0, keeper), peer, 3 * HOUR)
    assert account.earned == 11.0
    assert account.lost == 0.0


def test_the_rate_leaves_out_what_the_first_change_paid_for():
    account = watch(0.0, 0.0, 30.0, 30.0, 30.0, 60.0)
    assert account.earnings(5 * HOUR).per_hour == pytest.approx(30.0 / 3.0)
    assert watch(0.0, 30.0).earnings(HOUR).per_hour is None
    # A day without a change is a rate of nothing.
    assert account.earnings(5 * HOUR + 90_000.0).per_hour == 0.0


_STEPS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30)


@given(_STEPS, st.sets(st.integers(0, 30)))
def test_no_sum_is_lost_or_counted_twice_whatever_is_restarted(rewards, restarts):
    account = TotalAccount()
    earned_before = 0.0
    for number, reward in enumerate(rewards):
        if number in restarts:
            account = msgspec.json.decode(msgspec.json.encode(account), type=TotalAccount)
        account.observe(total(float(reward)), "QmA", number * HOUR)
        assert account.earned >= earned_before
        earned_before = account.earned
    rises = [max(b - a, 0) for a, b in pairwise(rewards)]
    assert account.earned == sum(rises)
    assert account.earned - account.lost == rewards[-1] - rewards[0]
