from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("15s", 15.0),
        ("3h", 10_800.0),
        ("4h30m", 16_200.0),
        (" 1D ", 86_400.0),
        ("0s", 0.0),
    ],
)
def test_parse(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "15", "1.5", "s", "-1s", "1s 2m", "1e3s", "nan", "999999d", "3 h"]
)
def test_no_duration(text):
    with pytest.raises(ValueError, match=r"has no unit|is no duration|longer than"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.25, "250ms"),
        (15.0, "15s"),
        (1.5, "1.5s"),
        (59.99, "1m"),
        (90.0, "1m30s"),
        (3600.0, "1h"),
        (16_200.0, "4h30m"),
        (86_400.0 * 3 + 3600 + 59, "3d1h"),
    ],
)
def test_format(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(0, 86_399))
def test_whole_seconds_below_a_day_survive_to_their_two_greatest_units(seconds):
    shown = parse_duration(format_duration(seconds))
    assert 0 <= seconds - shown < 60
    assert parse_duration(format_duration(shown)) == shown
