from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_exporter.log_tail import (
    BLOCK_BYTES,
    LONGEST_LINE_BYTES,
    MOST_BACKLOG_BYTES,
    TAIL_BYTES,
    Position,
    looks,
)

MIB = 1024 * 1024


class Log:
    """A log, its writer and its reader."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.log"
        self.position: Position | None = Position()
        self.skipped = 0

    def write(self, text: str | bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def read(self, most: int = 1 << 40) -> list[str]:
        data = b""
        for look in looks(self.path, self.position, most):
            assert look.data == b"" or look.data.endswith(b"\n")
            data += look.data
            self.position = look.position
            self.skipped += look.skipped
        return [line for line in data.decode().split("\n") if line]

    def restart(self) -> None:
        encoded = msgspec.json.encode(self.position)
        self.position = msgspec.json.decode(encoded, type=Position)

    def _make_room(self) -> None:
        for number in range(8, 0, -1):
            older = Path(f"{self.path}.{number}")
            if older.exists():
                older.rename(f"{self.path}.{number + 1}")

    def rotate(self) -> None:
        if self.path.exists():
            self._make_room()
            self.path.rename(f"{self.path}.1")

    def copytruncate(self) -> None:
        if self.path.exists():
            self._make_room()
            shutil.copy2(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


def test_only_what_is_new_is_told(log):
    log.write("a\nb\n")
    assert log.read() == ["a", "b"]
    assert log.read() == []
    log.write("c\n")
    assert log.read() == ["c"]


def test_half_a_line_is_kept_for_the_next_look_also_of_a_progress_bar(log):
    log.write("half")
    assert log.read() == []
    log.write(" a line\nMap:  10%|#")
    assert log.read() == ["half a line"]
    log.write("   \rMap:  20%|##")
    assert log.read() == ["Map:  10%|#   "]
    log.write("\r\nnext\n")
    assert log.read() == ["Map:  20%|##", "next"]


def test_terminal_codes_and_wrong_bytes_do_not_hide_a_line(log):
    log.write(b"\x1b[32mINFO:\xff\xfe\xe9 ok\x1b[0m\n")
    found = list(looks(log.path, None, MIB))
    assert found[0].data == b"INFO:\xff\xfe\xe9 ok\n"


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(log):
    log.write("a\n")
    log.read()
    log.write("b\nhalf ")
    log.rotate()
    log.write("of c\nd\n")
    assert log.read() == ["b", "half of c", "d"]
    assert log.read() == []


def test_a_log_that_was_rotated_away_and_not_made_again_is_read_to_its_end(log):
    log.write("a\n")
    log.read()
    log.write("b\n")
    log.rotate()
    assert log.read() == ["b"]
    assert log.read() == []
    log.write("c\n")
    assert log.read() == ["c"]


def test_a_log_that_was_rotated_three_times_between_two_looks_loses_nothing(log):
    log.write("a\n")
    log.read()
    for text in ("b\n", "c\n", "d\n"):
        log.write(text)
        log.rotate()
    log.write("e\n")
    assert log.read() == ["b", "c", "d", "e"]


def test_a_copied_and_truncated_log_loses_nothing(log):
    log.write("a" * 300 + "\n")
    log.read()
    log.write("b\n")
    log.copytruncate()
    log.write("c\n")
    assert log.read() == ["b", "c"]
    assert log.read() == []


def test_a_truncated_log_begins_anew(log):
    log.write("old " * 100 + "\n")
    log.read()
    log.path.write_text("new\n")
    assert log.read() == ["new"]


def test_a_log_that_was_truncated_and_has_grown_longer_again_begins_anew(log):
    log.write("a\n")
    log.read()
    log.path.write_text("0\n1\n2\n3\n")
    assert log.read() == ["0", "1", "2", "3"]


def test_a_log_that_was_removed_and_made_again_begins_anew_even_with_its_inode(log):
    log.write("a first line\n")
    log.read()
    log.path.unlink()
    assert log.read() == []
    log.write("b\n")
    assert log.read() == ["b"]


def test_a_hole_that_a_writer_leaves_where_its_log_was_truncated_is_passed_over(log):
    with log.path.open("wb") as writer:
        writer.write(b"x" * (3 * MIB) + b"\n")
        writer.flush()
        log.read()
        os.truncate(log.path, 0)
        writer.write(b"after\n")
        writer.flush()
        assert log.path.stat().st_size > 3 * MIB
        assert log.read() == ["after"]
        writer.write(b"more\n")
        writer.flush()
        assert log.read() == ["more"]


def test_a_copy_of_a_log_on_another_device_is_known_again(log):
    log.write("a line of some length, as lines are\n" * 20)
    log.read()
    log.position = msgspec.structs.replace(log.position, device=12345, inode=1)
    log.write("next\n")
    assert log.read() == ["next"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: os.mkfifo(path)])
def test_what_is_no_file_is_an_error_at_once_and_the_log_goes_on_after_it(log, make):
    log.write("a\n")
    log.read()
    log.write("b\n")
    log.rotate()
    make(log.path)
    begin = time.monotonic()
    with pytest.raises(OSError, match="not a regular file"):
        log.read()
    assert time.monotonic() - begin < 5
    log.path.rmdir() if log.path.is_dir() else log.path.unlink()
    log.write("c\n")
    assert log.read() == ["b", "c"]


def test_no_log_is_nothing_to_read(log):
    assert log.read() == []
    assert log.position == Position()


def test_a_line_of_a_megabyte_is_cut_and_not_kept(log):
    long = "y" * (3 * MIB)
    log.write(f"a\n{long}")
    assert log.read() == ["a", "y" * LONGEST_LINE_BYTES]
    assert log.position is not None
    assert log.position.skipping
    log.restart()
    log.write("end of it\nb\n")
    assert log.read() == ["b"]


def test_a_long_line_is_cut_alike_whether_it_came_at_once_or_in_parts(log):
    log.write("a\n" + "y" * (LONGEST_LINE_BYTES + 5) + "\nb\n")
    whole = log.read()
    other = Log(log.path.parent / "other")
    other.path.parent.mkdir()
    parts = []
    for part in ("a\n", "y" * 40_000, "y" * (LONGEST_LINE_BYTES + 5 - 40_000), "\nb\n"):
        other.write(part)
        parts += other.read()
    assert whole == parts == ["a", "y" * LONGEST_LINE_BYTES, "b"]


def test_the_first_look_at_10_gb_reads_only_their_end(log):
    with log.path.open("wb") as file:
        file.write(b"first\n")
        file.truncate(10 * 1024 * MIB)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    log.position = None
    tracemalloc.start()
    assert log.read() == ["last"]
    assert tracemalloc.get_traced_memory()[1] < 8 * BLOCK_BYTES
    tracemalloc.stop()
    assert log.skipped == log.path.stat().st_size - TAIL_BYTES


def test_the_first_look_at_a_large_log_begins_with_a_whole_line(log):
    log.write(b"".join(b"line %07d\n" % number for number in range(700_000)))
    log.position = None
    lines = log.read()
    assert lines[-1] == "line 0699999"
    assert all(len(line) == 12 for line in lines)
    assert TAIL_BYTES - 13 <= 13 * len(lines) <= TAIL_BYTES


def test_of_a_backlog_that_is_too_long_the_end_is_read_and_the_rest_is_told(log):
    log.write("a\n")
    log.read()
    with log.path.open("r+b") as file:
        file.truncate(MOST_BACKLOG_BYTES + 10 * MIB)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    assert log.read() == ["last"]
    assert log.skipped == MOST_BACKLOG_BYTES + 10 * MIB + 6 - 2 - TAIL_BYTES


def test_one_look_reads_no_more_than_it_may_and_the_next_one_goes_on(log):
    log.write(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * (3 * MIB // 100))
    first = log.read(most=BLOCK_BYTES)
    assert 0 < len(first) <= BLOCK_BYTES // 100
    rest = log.read()
    assert len(first) + len(rest) == 1 + 3 * MIB // 100


STEPS = st.lists(
    st.one_of(
        st.integers(1, 40).map(lambda size: ("write", size)),
        st.sampled_from(["look", "look", "restart", "rotate", "copytruncate", "truncate"]).map(
            lambda name: (name, 0)
        ),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_every_line_is_told_once_wherever_it_was_cut_and_whatever_became_of_the_file(steps):
    """Appends cut anywhere, rotations, truncations and restarts between any two looks."""
    # No two places have the same text before them, as in a log with times.
    lines = [f"{number} {hashlib.sha256(b'%d' % number).hexdigest()[:20]}" for number in range(400)]
    text = "\n".join(lines).encode()
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder))
        at, told, rotated = 0, [], 0
        for step, size in steps:
            if step == "write":
                log.write(text[at : at + size])
                at += size
                if not log.position.inode:
                    told += log.read()  # What was rotated away before the first look is not told.
            elif step == "look":
                told += log.read()
                rotated = 0
            elif step == "restart":
                log.restart()
            elif step == "rotate" and rotated < 8:
                log.rotate()
                rotated += 1
            elif step == "copytruncate" and rotated < 8:
                # Of a file of which nothing was read there is nothing to know its copy by.
                told += log.read()
                rotated = 1
                if log.position.offset:
                    log.write(text[at : at + 9])
                    at += 9
                    log.copytruncate()
            elif step == "truncate" and log.path.exists():
                # What a writer throws away before anybody looked is lost: at a line's end only.
                rest = text.find(b"\n", at) + 1 - at
                log.write(text[at : at + rest])
                at += rest
                told += log.read()
                rotated = 0
                os.truncate(log.path, 0)
        told += log.read()
        assert told == text[:at].decode().split("\n")[:-1]
