from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.host.rising import RisingCounters

READINGS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2**64), max_size=3), max_size=12
)


@given(READINGS, st.integers(0, 10))
def test_no_total_ever_falls_or_is_lost(readings, jitter):
    counters: RisingCounters[str] = RisingCounters(jitter)
    before: dict[str, float] = {}
    for reading in readings:
        counters.add(reading)
        assert counters.totals.keys() == before.keys() | reading.keys()
        assert all(counters.totals[key] >= value for key, value in before.items())
        before = dict(counters.totals)


@given(st.lists(st.integers(0, 2**64), min_size=1).map(sorted))
def test_a_counter_that_only_grows_is_told_as_it_is(figures):
    counters: RisingCounters[str] = RisingCounters()
    for figure in figures:
        counters.add({"a": figure})
    assert counters.totals == {"a": figures[-1]}


@given(READINGS)
def test_no_total_grows_by_more_than_its_counter_did(readings):
    counters: RisingCounters[str] = RisingCounters()
    before: dict[str, float] = {}
    for number, reading in enumerate(readings):
        totals = dict(counters.totals)
        counters.add(reading)
        for key, figure in reading.items():
            start = before.get(key, 0 if number == 0 else figure)
            assert counters.totals[key] - totals.get(key, 0) == max(figure - start, 0)
        before.update(reading)


def test_a_counter_that_begins_anew_goes_on_from_there():
    counters: RisingCounters[str] = RisingCounters()
    for figure in (1000, 10, 25):
        counters.add({"a": figure})
    assert counters.totals == {"a": 1015}


def test_a_small_step_back_is_waited_for_and_not_counted_twice():
    counters: RisingCounters[str] = RisingCounters(jitter=3)
    for figure in (1000, 998, 999, 1001):
        counters.add({"a": figure})
    assert counters.totals == {"a": 1001}


def test_what_comes_late_counts_from_then_on():
    counters: RisingCounters[str] = RisingCounters()
    counters.add({"a": 5})
    counters.add({"a": 6, "b": 100})
    counters.add({"b": 107})
    assert counters.totals == {"a": 6, "b": 7}
