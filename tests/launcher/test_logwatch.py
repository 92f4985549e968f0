from __future__ import annotations

import os

import pytest

from launcher_support import make_spec
from swarm_exporter.launcher.logwatch import LogWatch


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    spec = make_spec(
        folder=str(tmp_path),
        ready_log=str(tmp_path / "logs" / "own.log"),
        ready_pattern=r"Joining round: \d+",
        waiting_login="Waiting for API key",
        logged_in="API key is activated",
        submit_log=str(tmp_path / "logs" / "own.log"),
        submit_accepted='submit-reward HTTP/1.1" 200',
        submit_refused='submit-reward HTTP/1.1" 4|Failed to submit',
    )
    return Logs(tmp_path / "logs", LogWatch(spec))


class Logs:
    def __init__(self, folder, watch):
        self.own, self.console = folder / "own.log", folder / "console.log"
        self.watch = watch
        self.offsets = {}

    def look(self):
        return self.watch.look(self.offsets)

    def write(self, text: str | bytes, path=None):
        with (path or self.own).open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


def test_what_the_patterns_find_is_told_once(logs):
    logs.write('Joining round: 7\n"POST /api/submit-reward HTTP/1.1" 200 None\n')
    logs.write("Failed to submit to chain.\n")
    facts = logs.look()
    assert (facts.ready, facts.accepted, facts.refused) == (True, 1, 1)
    facts = logs.look()
    assert (facts.ready, facts.accepted, facts.refused) == (False, 0, 0)


def test_half_a_line_is_waited_for(logs):
    logs.write("Joining rou")
    assert not logs.look().ready
    logs.write("nd: 12\n")
    assert logs.look().ready


def test_colours_progress_bars_and_wrong_bytes_do_not_hide_a_line(logs):
    logs.write(b"Map: 10%|#\rMap: 20%|##\r\x1b[32mJoining\x1b[0m round: 3\xff\x1b[0m\n")
    assert logs.look().ready


def test_the_last_word_about_the_login_counts(logs):
    logs.write("Waiting for API key to be activated...\n", logs.console)
    assert logs.look().waiting_login is True
    assert logs.look().waiting_login is None
    logs.write("Waiting for API key\nAPI key is activated! Proceeding...\n", logs.console)
    assert logs.look().waiting_login is False


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(logs):
    logs.write("old\n")
    logs.look()
    logs.write('submit-reward HTTP/1.1" 200 before\n')
    logs.own.rename(f"{logs.own}.1")
    logs.write('submit-reward HTTP/1.1" 200 after\n')
    assert logs.look().accepted == 2
    assert logs.look().accepted == 0


def test_a_truncated_or_removed_log_begins_anew(logs):
    logs.write("x" * 1000 + "\n")
    logs.look()
    logs.own.write_text('submit-reward HTTP/1.1" 200\n')
    assert logs.look().accepted == 1
    logs.own.unlink()
    assert logs.look().accepted == 0
    logs.write('submit-reward HTTP/1.1" 200\n')
    assert logs.look().accepted == 1


def test_where_the_run_began_nothing_before_counts(logs):
    logs.write("Joining round: 1\n")
    found = logs.own.stat()
    logs.offsets[str(logs.own)] = (found.st_ino, found.st_size)
    assert not logs.look().ready
    logs.write("Joining round: 2\n")
    assert logs.look().ready


def test_a_line_without_an_end_is_given_up_at_a_bound(logs):
    logs.write(b"y" * 200_000)
    logs.look()
    logs.write("\nJoining round: 2\n")
    assert logs.look().ready


def test_the_newest_line_of_all_logs_is_told(logs):
    assert logs.look().last_line is None
    logs.write("a\n")
    logs.write("b\n", logs.console)
    os.utime(logs.own, (1000, 1000))
    os.utime(logs.console, (2000, 2000))
    assert logs.look().last_line == 2000


def test_patterns_may_be_absent(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "console.log").write_text("Joining round: 1\n")
    assert not LogWatch(make_spec(folder=str(tmp_path))).look({}).ready
