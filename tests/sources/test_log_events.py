"""What whole logs tell: one file of each generation, and records of many lines."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_exporter.log_tail import looks
from swarm_exporter.sources.log_events import Place, line_time, read_events, settled
from swarm_exporter.sources.log_patterns import LogName, Patterns, built_in_patterns

LOGS = Path(__file__).parents[1] / "data" / "logs"
PATTERNS = {name: Patterns(built_in_patterns(), (name,)) for name in LogName}
ALL = PATTERNS[LogName.SWARM_LAUNCHER]

TRACEBACK = """Traceback (most recent call last):
  File "/x.py", line 1, in run
    raise RuntimeError("CUDA out of memory")
"""
UNKNOWN = TRACEBACK + "ValueError: no idea\n"
GLUE = "\nDuring handling of the above exception, another exception occurred:\n\n"
HEAD = "[2025-10-20 04:27:04,856][genrl.logging_utils.global_defs]"
NEXT = f"{HEAD}[INFO] - Using Model: x\n"

EXPECTED = {
    ("console_v0.4.2.txt", LogName.CONSOLE): [
        ("trainer_started", None, None),
        ("joined_round", None, 88),
        ("round_started", None, 88),
        ("metrics", None, None),
        ("metrics", None, None),
        ("metrics", None, None),
        ("round_finished", None, 88),
        ("waiting", None, 88),
        ("error", "out_of_memory", None),
        ("error", "out_of_memory", None),
    ],
    ("swarm_v0.4.4.log", LogName.SWARM): [
        ("joined_round", None, 12),
        ("metrics", None, None),
        ("submit_refused", "login_expired", None),
        ("error", "dht", None),
    ],
    ("swarm_launcher_v0.5.8.log", LogName.SWARM_LAUNCHER): [
        ("trainer_started", None, None),
        ("round_started", None, 20175),
        ("submit_refused", "submit_refused", None),
        ("waiting", None, 20176),
        ("joined_round", None, 20177),
        ("round_started", None, 20177),
        ("error", "game_over", None),
        ("error", "dht", None),
    ],
    ("swarm_launcher_v0.7.log", LogName.SWARM_LAUNCHER): [
        ("trainer_started", None, None),
        ("round_started", None, 501),
        ("benign", None, None),
        ("submit_accepted", None, None),
        ("winner_accepted", None, None),
        ("submit_refused", "submit_refused", None),
        ("winner_refused", None, None),
        ("error", "ollama", None),
        ("error", "out_of_memory", None),
        ("joined_round", None, 502),
    ],
    ("yarn_v0.6.log", LogName.YARN): [
        ("benign", None, None),
        ("error", "user_operation", None),
        ("benign", None, None),
        ("error", "user_operation", None),
    ],
}


def told_of(text: str | bytes, patterns: Patterns = ALL, *, beside: bool = False):
    data = text if isinstance(text, bytes) else text.encode()
    told, place = read_events(data, patterns, Place(), beside=beside)
    return told + settled(place)[0]


def kinds(text: str, *, beside: bool = False) -> list[str]:
    name = LogName.CONSOLE if beside else LogName.SWARM_LAUNCHER
    told = told_of(text, PATTERNS[name], beside=beside)
    return [one.kind.value for one in told if one.kind is not None]


def in_short(told):
    return [(one.event.value, one.kind.value if one.kind else None, one.round) for one in told]


def read_log(name: str) -> bytes:
    return b"".join(look.data for look in looks(LOGS / name, None, 1 << 30))


@pytest.mark.parametrize(("name", "log"), EXPECTED)
def test_a_log_of_each_generation_tells_what_it_says(name, log):
    assert in_short(told_of(read_log(name), PATTERNS[log])) == EXPECTED[name, log]


@pytest.mark.parametrize(("name", "log"), EXPECTED)
def test_a_log_tells_the_same_line_by_line(name, log):
    place, told = Place(), []
    for line in read_log(name).splitlines(keepends=True):
        new, place = read_events(line, PATTERNS[log], place)
        told += new
    assert in_short(told + settled(place)[0]) == EXPECTED[name, log]


def test_loss_and_reward_are_read_where_they_are_finite():
    told = told_of(read_log("console_v0.4.2.txt"), PATTERNS[LogName.CONSOLE])
    found = [(one.loss, one.reward) for one in told if one.event.value == "metrics"]
    assert found == [(0.0021, 0.4125), (None, 0.5), (None, 0.625)]


@pytest.mark.parametrize(
    ("line", "loss", "reward"),
    [
        ("{'train/loss': 0.125, 'train/rewards': 2.5}", 0.125, 2.5),
        ("{'loss': -1e-3, 'reward': inf}", -0.001, None),
        ("{'loss': np.float64(0.5), 'reward': nan}", 0.5, None),
        ("{'loss': 1e999, 'reward': 1.2.3}", None, None),
        ("{'loss': 'high', 'reward': None}", None, None),
        ("{'loss': 0.1, 'reward_std': 3.0, 'rewards/x/mean': 4.0}", 0.1, None),
    ],
)
def test_values_of_every_form(line, loss, reward):
    (told,) = told_of(line + "\n")
    assert (told.loss, told.reward) == (loss, reward)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UNKNOWN, ["other"]),
        (UNKNOWN + NEXT, ["other"]),
        (UNKNOWN + UNKNOWN, ["other", "other"]),
        (UNKNOWN + GLUE + UNKNOWN, ["other"]),
        (UNKNOWN + GLUE + TRACEBACK + "MemoryError\n" + NEXT, ["out_of_memory"]),
        (TRACEBACK + "MemoryError\n" + GLUE + UNKNOWN, ["out_of_memory"]),
        (TRACEBACK + "MemoryError\n" + GLUE + TRACEBACK + "MemoryError\n", ["out_of_memory"]),
        (TRACEBACK, ["other"]),
        (f"{HEAD}[ERROR] - Error occurred during training, continuing...\n{UNKNOWN}", ["other"]),
        (f"{HEAD}[ERROR] - Exception occurred during game run.\n{UNKNOWN}{NEXT}", ["game_over"]),
        (
            f"{HEAD}[ERROR] - Exception occurred during game run.\n{TRACEBACK}MemoryError\n",
            ["game_over", "out_of_memory"],
        ),
        (
            f"{HEAD}[ERROR] - Exception occurred during game run.\n{NEXT}{UNKNOWN}",
            ["game_over", "other"],
        ),
        (f"{NEXT}MemoryError\nMemoryError\n", ["out_of_memory", "out_of_memory"]),
        (UNKNOWN + "and more of its text\n" + GLUE + UNKNOWN, ["other"]),
    ],
)
def test_a_traceback_is_one_error_however_long_it_is(text, expected):
    assert kinds(text) == expected


URLLIB = HEAD + '[DEBUG] - http://localhost:3000 "POST /api/submit-reward HTTP/1.1" {} 16\n'
ECHO = HEAD + "[DEBUG] - {} Error: x for url: http://localhost:3000/api/submit-reward\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (URLLIB.format(400) + ECHO.format("400 Client"), ["submit_refused"]),
        (URLLIB.format(404) + ECHO.format("404 Client"), ["login_expired"]),
        (ECHO.format("400 Client") * 2, ["submit_refused"] * 2),
        ((URLLIB.format(500) + ECHO.format("500 Server")) * 2, ["submit_refused"] * 2),
        (
            URLLIB.format(400) + URLLIB.format(200) + ECHO.format("400 Client"),
            ["submit_refused"] * 2,
        ),
        (URLLIB.format(200), []),
    ],
)
def test_a_refused_submission_is_told_once(text, expected):
    assert kinds(text) == expected


def test_beside_a_log_the_terminal_tells_only_what_the_log_has_not():
    """A trainer that was killed or that nobody caught: no line of it is in a log."""
    killed = "./run_rl_swarm.sh: line 286: 41234 Killed                  python -m x\n"
    logged = f"{HEAD}[ERROR] - Exception occurred during game run.\n{UNKNOWN}"
    uncaught = (
        "Error executing job with overrides: []\n" + TRACEBACK + "x.P2PDaemonError: Daemon failed "
        "to start in 15.0 seconds\n"
    )
    assert kinds(logged + NEXT + UNKNOWN + NEXT, beside=True) == []
    assert kinds(logged + killed, beside=True) == ["out_of_memory"]
    assert kinds(NEXT + uncaught + killed, beside=True) == ["dht", "out_of_memory"]
    assert in_short(told_of(f"{HEAD}[INFO] - Joining round: 3\n", beside=True)) == []


def test_lines_that_another_log_has_told_are_passed_over():
    old = "[2025-10-20 04:27:04,856][x][INFO] - Joining round: 1\n" + UNKNOWN
    new = "[2025-10-20 04:27:05,000][x][INFO] - Joining round: 2\n" + UNKNOWN
    until = line_time(old.encode())
    told, place = read_events((old + new).encode(), ALL, Place(known_until=until))
    assert in_short(told + settled(place)[0]) == [
        ("joined_round", None, 2),
        ("error", "other", None),
    ]
    undated, _ = read_events(b"INFO:x:Joining round: 3\n", ALL, Place(known_until=until))
    assert in_short(undated) == [("joined_round", None, 3)]


@pytest.mark.parametrize(
    "line",
    [
        "[2025-09-25 17:35:18,616][genrl][INFO] - x",
        "2025-09-25 17:35:18,616 - INFO - x:1 - y",
        "[quick_brown_otter] 2025-09-25 17:35:18,616 INFO: x",
        "Map: 50%|##| 1/2 [00:00<00:00][2025-09-25 17:35:18,616][genrl][INFO] - x",
    ],
)
def test_a_line_tells_its_local_time(line):
    expected = time.mktime((2025, 9, 25, 17, 35, 18, 0, 0, -1)) + 0.616
    assert math.isclose(line_time(line.encode()), expected)


@pytest.mark.parametrize(
    "line",
    [b"INFO:x:y", b"[2025-13-45 99:99:99,000][x]", b"[0000-01-01 00:00:00,000][x]", b"2025"],
)
def test_a_line_without_a_possible_time_tells_none(line):
    assert line_time(line) is None


PIECES = [
    NEXT,
    UNKNOWN,
    UNKNOWN + GLUE + TRACEBACK + "MemoryError\n",
    f"{HEAD}[ERROR] - Exception occurred during game run.\n",
    f"{HEAD}[INFO] - Joining round: 5\n",
    URLLIB.format(400) + ECHO.format("400 Client"),
    ECHO.format("400 Client"),
    "Map: 100%|##| 2/2\n",
    "\n",
    "{'loss': 0.5, 'reward': 1.0}\n",
    "Error executing job with overrides: []\n",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sets(st.integers(0, 60)), st.booleans())
def test_the_events_do_not_depend_on_where_the_text_was_cut(pieces, cuts, beside):
    patterns = PATTERNS[LogName.CONSOLE]
    text = "".join(pieces)
    lines = text.encode().splitlines(keepends=True)
    place, told, block = Place(), [], b""
    for number, line in enumerate(lines):
        block += line
        if number in cuts:
            new, place = read_events(block, patterns, place, beside=beside)
            told, block = told + new, b""
    new, place = read_events(block, patterns, place, beside=beside)
    told += new + settled(place)[0]
    assert told == told_of(text, patterns, beside=beside)
