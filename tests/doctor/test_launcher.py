from __future__ import annotations

import os
import time

import psutil
import pytest

from launcher_support import WAITS, LaunchedNodes
from swarm_exporter.doctor.check import Check, Outcome
from swarm_exporter.doctor.launcher import check_launcher
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import LauncherState, NodeRecord, State, save_state


def check(folder) -> list[Check]:
    return check_launcher(folder, time.time())


def write(folder, *records: NodeRecord) -> None:
    files = LauncherFiles(folder)
    files.prepare()
    state = LauncherState(time=time.time(), nodes={record.name: record for record in records})
    save_state(files.state, state)


def test_where_nothing_was_launched_nothing_is_made(tmp_path):
    (found,) = check(tmp_path)
    assert (found.outcome, found.what) == (Outcome.ABSENT, "nothing was launched here")
    assert not list(tmp_path.iterdir())


def test_nodes_that_should_run_without_a_supervisor(tmp_path):
    write(tmp_path, NodeRecord(name="1"), NodeRecord(name="2", wanted=False))
    (found,) = check(tmp_path)
    assert found.outcome is Outcome.WARNING
    assert found.what == "does not run, although nobody has stopped 1"
    assert "swarm-exporter launch" in found.fix
    write(tmp_path, NodeRecord(name="2", wanted=False))
    assert check(tmp_path)[0].outcome is Outcome.ABSENT


@pytest.fixture
def launched(tmp_path):
    nodes = LaunchedNodes(tmp_path)
    yield nodes
    nodes.launcher.stop(None)


def test_a_real_launcher_that_works_and_one_that_is_deaf(launched):
    config = launched.configure(f"launcher: {{command: {WAITS!r}, ramp_interval: 0s}}")
    launched.launch(config)
    launched.until_state("running")
    checks = check(launched.folder / "state")
    assert [c.subject for c in checks] == ["supervisor", "policy", "node 1"]
    assert {c.outcome for c in checks} == {Outcome.OK}
    files = launched.launcher.files
    pid = int(files.pid.read_text())
    # Its socket is gone: it runs, and nobody can ask it.
    hidden = files.socket.with_name("hidden.sock")
    files.socket.rename(hidden)
    (found,) = check(launched.folder / "state")
    assert found.outcome is Outcome.FAILURE
    assert found.what == f"runs (process {pid}) but does not answer"
    hidden.rename(files.socket)
    psutil.Process(pid).kill()
    # It is a child of this process.
    os.waitpid(pid, 0)
    (found,) = check(launched.folder / "state")
    assert found.what == "is gone, but its nodes run on: 1"


@pytest.mark.parametrize(
    ("more", "outcome", "words"),
    [
        (
            {"state": State.FATAL, "reason": "ended 5 times"},
            Outcome.FAILURE,
            "was given up: ended 5",
        ),
        ({"state": State.BACKOFF, "reason": "killed"}, Outcome.WARNING, "backoff: killed"),
        ({"state": State.RUNNING}, Outcome.OK, "running"),
        ({"state": State.STOPPED}, Outcome.ABSENT, "stopped"),
        (
            {"state": State.STARTING, "waiting_login": True, "ports": {"login": 3001}},
            Outcome.WARNING,
            "waits for a person",
        ),
        ({"state": State.STARTING, "question": "Sure?"}, Outcome.WARNING, "asks: Sure?"),
    ],
)
def test_what_has_become_of_a_node(tmp_path, monkeypatch, more, outcome, words):
    monkeypatch.setattr("swarm_exporter.launcher.supervisord.Supervisor.answers", lambda _: True)
    write(tmp_path, NodeRecord(name="a", **more))
    found = check(tmp_path)[-1]
    assert (found.subject, found.outcome) == ("node a", outcome)
    assert words in found.what
    assert bool(found.fix) is (outcome in (Outcome.WARNING, Outcome.FAILURE))


def test_a_policy_that_has_fallen_silent(tmp_path, monkeypatch):
    monkeypatch.setattr("swarm_exporter.launcher.supervisord.Supervisor.answers", lambda _: True)
    write(tmp_path)
    found = check_launcher(tmp_path, time.time() + 60)[1]
    assert found.outcome is Outcome.FAILURE
    assert found.what.startswith("has written nothing for 1m")
    assert "policy.log" in found.fix
