from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.launcher.tail import Tail


@pytest.fixture
def log(tmp_path):
    return tmp_path / "console.log"


def test_the_last_lines_and_then_what_is_new(log):
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    tail = Tail(log)
    assert tail.last(2) == ["line 98", "line 99"]
    assert tail.new() == []
    with log.open("a") as file:
        file.write("next\nhalf")
    assert tail.new() == ["next"]
    with log.open("a") as file:
        file.write(" done\n")
    assert tail.new() == ["half done"]


def test_a_log_that_appears_later_or_anew_is_read_from_its_start(log):
    tail = Tail(log)
    assert tail.last(5) == tail.new() == []
    log.write_text("first\n")
    assert tail.new() == ["first"]
    log.rename(log.with_suffix(".1"))
    log.write_text("of the next file\n")
    assert tail.new() == ["of the next file"]
    log.write_text("cut\n")
    assert tail.new() == ["cut"]


def test_no_line_of_an_empty_count(log):
    log.write_text("a\nb\n")
    assert Tail(log).last(0) == []


def test_a_long_log_is_read_from_its_end_alone(log):
    with log.open("wb") as file:
        file.seek(10 * 2**30)
        file.write(b"\nlast but one\nlast\n")
    assert Tail(log).last(2) == ["last but one", "last"]


def test_what_would_move_the_cursor_does_not_reach_the_terminal(log):
    log.write_bytes(b"\x1b[32mgreen\x1b[0m\x1b[2J\x1b]0;title\x07 bell\x07 10%\r20%\n")
    assert Tail(log).last(1) == ["20%"]
    log.write_bytes(b"\x1b[32mgreen\x1b[0m\x1b[2J\x07\xff\n")
    assert Tail(log).last(1) == ["\x1b[32mgreen\x1b[0m\ufffd"]


@given(st.lists(st.text("ab ", max_size=4), max_size=30), st.integers(0, 40))
def test_last_is_what_any_reader_would_call_the_last_lines(tmp_path_factory, lines, count):
    log = tmp_path_factory.mktemp("tail") / "log"
    log.write_text("".join(f"{line}\n" for line in lines))
    assert Tail(log).last(count) == (lines[-count:] if count else [])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2Jcleared", "cleared"),
        # One that the next line would end.
        ("half \x1b[2", "half [2"),
        # The same in one byte (C1), which terminals know as well.
        ("\x9b2Jcleared", "2Jcleared"),
        ("\x1b]0;title\x07", "]0;title"),
    ],
)
def test_what_moves_the_cursor_in_whatever_form_does_not(tmp_path, line, shown):
    log = tmp_path / "x.log"
    log.write_text(f"{line}\nJ\n")
    assert Tail(log).last(5) == [shown, "J"]
