from __future__ import annotations

import asyncio
import subprocess

import psutil
import pytest

from support import eventually, make_config, make_node
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import (
    LauncherState,
    NodeRecord,
    RestartReason,
    State,
    save_state,
)
from swarm_exporter.sources import base
from swarm_exporter.sources.launcher import LaunchedNodes


@pytest.fixture
def look(tmp_path, clock):
    """Ask the source once, with what the launcher last wrote."""
    source = LaunchedNodes(NodeTrees())

    def ask(*records: NodeRecord, age: float = 0.0, nodes=None, ramp_problem: str = ""):
        state = LauncherState(time=clock.time() - age, ramp_problem=ramp_problem)
        state.nodes = {record.name: record for record in records}
        files = LauncherFiles(tmp_path / "state")
        files.prepare()
        if records:
            save_state(files.state, state)
        config = make_config(
            *(nodes or (make_node("1"), make_node("2"))), state_dir=tmp_path / "state"
        )
        (target,) = source.targets(config)
        context = base.Context(client=None, clock=clock, config=config, identities={}, first=True)
        return asyncio.run(source.poll(target, context))

    return ask


def record(name: str = "1", **more) -> NodeRecord:
    facts = {
        "state": State.RUNNING,
        "started": 1_799_990_000.0,
        "trainer_pid": 7,
        "submit_period": 10_800.0,
        "last_submit": 1_799_995_000.0,
        "submits_accepted": 2,
        "restarts": {RestartReason.KILLED: 1},
        "ports": {"login": 3001},
        "profile": "genrl",
    }
    return NodeRecord(name=name, **{**facts, **more})


def test_what_the_launcher_says_is_told(look):
    facts = look(
        record(), record("2", state=State.STOPPED, reason="stopped by hand", trainer_pid=None)
    )
    one, two = facts.value.nodes["1"], facts.value.nodes["2"]
    assert (one.state, one.trainer_up, one.started) == ("running", True, 1_799_990_000.0)
    assert (one.restarts, one.submits) == ({"killed": 1}, {"accepted": 2, "refused": 0})
    assert (one.next_submit, one.unsubmitted_since) == (1_800_005_800.0, 1_799_995_000.0)
    assert (two.state, two.reason, two.started, two.next_submit) == (
        "stopped",
        "stopped by hand",
        None,
        None,
    )
    assert facts.summary == "1 of 2 trainers run"


@pytest.mark.parametrize(
    ("profile", "shown"),
    [("codezero", "codezero"), ("/home/me/nodes/my fork.yml", "my fork"), ("custom", "custom")],
)
def test_a_profile_of_ones_own_is_told_without_its_folders(look, profile, shown):
    assert look(record(profile=profile)).value.nodes["1"].profile == shown


def test_nodes_that_were_never_launched_are_absent(look):
    assert look().value.nodes == {}
    assert set(look(record()).value.nodes) == {"1"}
    assert set(look(record("other")).value.nodes) == set()


def test_a_launcher_that_is_gone_is_said_and_nothing_of_it_is_believed(look, tmp_path):
    facts = look(record(folder=str(tmp_path)), record("2", state=State.STOPPED), age=60)
    one = facts.value.nodes["1"]
    assert (one.state, one.reason, one.trainer_up) == (
        "unknown",
        "the launcher does not run",
        False,
    )
    assert (one.started, one.next_submit, one.last_submit) == (None, None, None)
    assert one.restarts == {"killed": 1}
    assert facts.value.nodes["2"].state == "stopped"


def test_why_the_ramp_stopped_is_said_of_the_nodes_that_wait(look):
    waiting = record("2", state=State.STOPPED, reason="waits for its turn")
    by_hand = record("1", state=State.STOPPED, reason="stopped by hand", wanted=False)
    nodes = look(waiting, by_hand, ramp_problem="too little memory").value.nodes
    assert (nodes["2"].reason, nodes["1"].reason) == ("too little memory", "stopped by hand")


@pytest.mark.parametrize("left", [False, True])
def test_a_node_that_somebody_else_started_is_found_by_its_folder(look, tmp_path, left):
    folder = tmp_path / "rl-swarm-1"
    folder.mkdir()
    command = ["bash", "-c", "exec -a 'python -m rgym_exp.runner.swarm_launcher' sleep 600"]
    with subprocess.Popen(command, cwd=folder) as trainer:
        try:
            wait_for_title(trainer.pid)
            records = [record(folder=str(folder))] if left else []
            nodes = (make_node("1", folder=folder), make_node("2", folder=tmp_path / "absent"))
            found = look(*records, age=60 if left else 0, nodes=nodes).value.nodes
        finally:
            trainer.kill()
    assert set(found) == {"1"}
    one = found["1"]
    assert (one.trainer_up, one.profile, one.launched) == (True, "genrl", left)
    assert one.state == ("unknown" if left else "running")
    assert one.started is not None


def wait_for_title(pid: int) -> None:
    eventually(lambda: "swarm_launcher" in " ".join(psutil.Process(pid).cmdline()), "its title")
