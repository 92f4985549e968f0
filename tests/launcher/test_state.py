from __future__ import annotations

import errno
import os

import pytest

from swarm_exporter.launcher import state as module
from swarm_exporter.launcher.files import LauncherFiles, slug
from swarm_exporter.launcher.state import (
    LauncherState,
    NodeRecord,
    RestartReason,
    State,
    load_state,
    save_state,
)


def test_what_is_saved_is_loaded(tmp_path):
    record = NodeRecord(
        name="1", state=State.BACKOFF, restarts={RestartReason.KILLED: 2}, offsets={"a": (1, 2)}
    )
    state = LauncherState(nodes={"1": record}, time=5.0, events=[(1.0, "1", "words")])
    save_state(tmp_path / "state.json", state)
    assert load_state(tmp_path / "state.json") == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "nodes": 3}', b"\xff"]
)
def test_what_is_no_state_is_none(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    assert load_state(tmp_path / "state.json") is None
    assert load_state(tmp_path / "absent.json") is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (NodeRecord(name="1", state=State.RUNNING, started=100.0), None),
        (NodeRecord(name="1", state=State.RUNNING, started=100.0, submit_period=50.0), 150.0),
        (NodeRecord(name="1", state=State.STOPPED, started=100.0, submit_period=50.0), None),
        (
            NodeRecord(
                name="1",
                state=State.RUNNING,
                started=100.0,
                trainer_began=130.0,
                submit_period=50.0,
            ),
            180.0,
        ),
        (
            NodeRecord(
                name="1", state=State.RUNNING, started=100.0, last_submit=140.0, submit_period=50.0
            ),
            190.0,
        ),
        (
            # Of the run before: the timer has begun anew.
            NodeRecord(
                name="1", state=State.RUNNING, started=100.0, last_submit=40.0, submit_period=50.0
            ),
            150.0,
        ),
    ],
)
def test_the_next_submission_is_a_period_after_the_start_or_the_last_one(record, expected):
    assert record.next_submit == expected


def test_names_become_file_names_that_stay_different(tmp_path):
    names = ["1", "a b", "a_b", "ä b", "../x", "x" * 64, "a:b", "%s"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    for text in slugs:
        assert "/" not in text
        assert ":" not in text
        assert text.isascii()
        assert len(text) < 80


def test_a_long_path_has_its_socket_elsewhere(tmp_path):
    short = LauncherFiles(tmp_path / "s" if len(str(tmp_path)) < 50 else tmp_path)
    deep = LauncherFiles(tmp_path / ("deep" * 40))
    assert len(str(deep.socket)) < 84
    assert deep.socket != short.socket
    deep.prepare()
    assert deep.socket.parent.stat().st_mode & 0o777 == 0o700
    deep.socket.parent.rmdir()


@pytest.fixture
def full_disk(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(module, "write_private", refuse)


def test_a_full_disk_does_not_hide_what_becomes_of_the_nodes(tmp_path, full_disk):
    path = tmp_path / "state.json"
    state = LauncherState(time=1.0, nodes={"1": NodeRecord(name="1")})
    save_state(path, state)
    size = path.stat().st_size
    full_disk()
    for number in range(100):
        state.events.append((2.0, "1", f"something happened {number}"))
    state.time, state.handled = 2.0, "abcd"
    save_state(path, state)
    assert load_state(path) == state
    assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays_whole_where_there_is_no_room_for_more(tmp_path, full_disk):
    path = tmp_path / "state.json"
    save_state(path, LauncherState(time=1.0))
    full_disk()
    with pytest.raises(OSError, match="No space left"):
        save_state(path, LauncherState(handled="x" * 40_000))
    assert load_state(path) == LauncherState(time=1.0)
