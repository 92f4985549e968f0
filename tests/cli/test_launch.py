"""launch, status, logs, restart and stop as a person types them, with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess

import pytest

from launcher_support import LaunchedNodes
from support import COMMAND, eventually

PROFILE = """
title: a test's trainer
command: [bash, -c, 'echo "joined {node}"; while sleep 0.2; do echo "round of {node}"; done']
ready: {pattern: joined}
stop: {grace: 2s}
need: {memory: 1MiB, tuned_memory: 1MiB, disk: 1MiB}
torch: false
submit: {period: 3h}
"""
SETTINGS = """
launcher: {profile: ./profile.yml, ramp_interval: 100ms, look_interval: 200ms, reserve: "0"}
"""


@pytest.fixture
def nodes(tmp_path):
    nodes = LaunchedNodes(tmp_path)
    (tmp_path / "profile.yml").write_text(PROFILE)
    nodes.configure(SETTINGS, nodes=2)
    yield nodes
    nodes.end_by_force()


@pytest.fixture
def run(nodes):
    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments, "--config", "swarm.yml"],
            cwd=nodes.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


def test_a_whole_day_with_two_nodes(nodes, run):
    said = run("launch")
    assert "node 1: running" in said
    assert "2 nodes run. See `swarm-exporter status`." in said

    assert run("launch").count("2 nodes run") == 1
    assert nodes.node().restarts == {}

    said = run("logs", "-n", "2")
    assert "1 | round of 1" in said or "1 | joined 1" in said
    assert "2 | " in said
    assert "\x1b" not in said, "no colour where there is no terminal"
    assert "joined 2" in run("logs", "-n", "1000", "2")

    status = json.loads(run("status", "--json"))
    process = status["nodes"][0]["process"]
    assert (process["state"], process["trainer_up"], process["launched"]) == ("running", True, True)
    assert process["next_submit"] - process["started"] == pytest.approx(3 * 3600, abs=5)
    assert "a restart now loses" in run("status")

    assert "node 2: is restarted, and loses" in run("restart", "2")
    nodes.until(lambda state: state.nodes["2"].restarts == {"requested": 1}, "the restart")
    nodes.until_state("running", "2")
    said = run("restart", "2", "--after-submit")
    assert "node 2: is restarted after its next submission, in about " in said

    assert run("stop", "1").endswith("Stopped: 1.\n")
    assert nodes.node("2").state == "running"
    assert "stopped by hand" in run("status")
    assert "Stopped: 2. Nothing of them is left." in run("stop")
    assert run("stop") == "Nothing ran.\n"
    assert nodes.processes() == []
    assert "the launcher does not run" in run("restart", code=1)


def test_logs_follow_until_ctrl_c(nodes, run):
    run("launch")
    command = [*COMMAND, "logs", "-f", "--config", "swarm.yml"]
    with subprocess.Popen(command, cwd=nodes.folder, stdout=subprocess.PIPE, text=True) as logs:
        seen = set()
        for line in logs.stdout:
            seen.add(line.strip())
            if {"1 | round of 1", "2 | round of 2"} <= seen:
                break
        logs.send_signal(signal.SIGINT)
        assert logs.wait(10) == 0


@pytest.mark.parametrize(("no_color", "prefix"), [("", b"\x1b[36m1 | \x1b[0m"), ("1", b"1 | ")])
def test_the_nodes_have_colours_on_a_terminal_unless_nobody_wants_them(nodes, no_color, prefix):
    logs = nodes.folder / "rl-swarm-1" / "logs"
    logs.mkdir()
    (logs / "console.log").write_text("a line\n")
    leader, follower = os.openpty()
    subprocess.run(
        [*COMMAND, "logs", "--config", "swarm.yml", "1"],
        cwd=nodes.folder,
        stdout=follower,
        env={**os.environ, "NO_COLOR": no_color},
        check=True,
    )
    os.close(follower)
    assert os.read(leader, 1000) == prefix + b"a line\r\n"
    os.close(leader)


def test_in_the_foreground_it_stops_the_nodes_at_its_end_and_they_are_wanted_still(nodes, run):
    command = [*COMMAND, "launch", "--foreground", "--config", "swarm.yml"]
    with subprocess.Popen(command, cwd=nodes.folder, stdout=subprocess.PIPE, text=True) as launch:
        for line in launch.stdout:
            if line == "node 2: running\n":
                break
        launch.send_signal(signal.SIGTERM)
        said, _ = launch.communicate(timeout=30)
    assert launch.returncode == 0
    assert "Stopping the nodes." in said
    assert nodes.processes() == []
    assert nodes.node().wanted
    assert "2 nodes run" in run("launch", "--keep-stopped")


def test_a_node_that_cannot_run_makes_it_fail_with_the_reason(nodes, run):
    (nodes.folder / "profile.yml").write_text(PROFILE.replace("[bash,", "[no-such-shell,"))
    nodes.configure(SETTINGS.replace("}", ", restart: {first_delay: 100ms, attempts: 1}}"), nodes=1)
    said = run("launch", code=1)
    assert "no-such-shell: No such file or directory" in said
    assert "0 of 1 nodes run." in said


def test_too_little_memory_stops_the_ramp_and_makes_it_fail(nodes, run):
    nodes.configure(SETTINGS.replace('reserve: "0"', "reserve: 900TiB"), nodes=2)
    said = run("launch", code=1)
    assert "No further node was started" in said
    assert "are left to the machine" in said


def test_a_dry_run_shows_what_would_be_started_without_a_secret(nodes, run):
    nodes.configure(SETTINGS.replace("}", ", env: {HF_TOKEN: s3cret}}"), nodes=1)
    said = run("launch", "--dry-run")
    assert "variables  HF_TOKEN" in said
    assert f"folder     {nodes.folder / 'rl-swarm-1'}" in said
    said += run("check") + run("check", "--json")
    assert '"HF_TOKEN": "(set)"' in said
    assert "s3cret" not in said
    assert nodes.processes() == []


def test_json_says_what_was_changed(nodes, run):
    changes = json.loads(run("launch", "--json"))
    assert changes["added"] == ["1", "2"]
    nodes.until_state("running", "2")


def test_who_asks_for_what_is_not_there_is_told(nodes, run):
    assert "no node was launched here" in run("stop", code=1)
    run("launch")
    assert "node 9 was not launched here; known are 1, 2" in run("stop", "9", code=2)
    assert "node 9 is not known; known are 1, 2" in run("logs", "9", code=2)
    assert '--reserve: "much" is no size' in run("launch", "--reserve", "much", code=2)


def test_a_node_somebody_else_started_is_shown_and_not_touched(nodes, run):
    folder = nodes.folder / "rl-swarm-1"
    command = ["bash", "-c", "exec -a 'python -m rgym_exp.runner.swarm_launcher' sleep 600"]
    (folder / "logs").mkdir()
    (folder / "logs" / "swarm_launcher.log").write_text("Joining round: 1\n")
    run("launch")
    run("stop")
    with subprocess.Popen(command, cwd=folder) as foreign:
        try:
            eventually(lambda: "rgym" in _title(foreign.pid), "its title")
            assert f"(process {foreign.pid}): end it where it was started" in run("stop", code=1)
            status = json.loads(run("status", "--json"))
            process = status["nodes"][0]["process"]
            assert (process["state"], process["trainer_up"], process["launched"]) == (
                "running",
                True,
                False,
            )
            assert foreign.poll() is None
        finally:
            foreign.kill()


def _title(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123
        return file.read()


def test_a_stop_says_which_port_a_stranger_holds(nodes, run):
    run("launch")
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        nodes.configure(SETTINGS.replace("}", f", ports: {{login: {port}}}}}"), nodes=1)
        run("launch", "--no-wait")
        stranger.listen()
        assert f"port {port} (login) of node 1 is held by process {os.getpid()} (" in run("stop")


def test_the_terminal_shows_a_table_and_ctrl_c_leaves_the_nodes_alone(nodes):
    (nodes.folder / "profile.yml").write_text(PROFILE.replace("pattern: joined", "pattern: never"))
    leader, follower = os.openpty()
    command = [*COMMAND, "launch", "--config", "swarm.yml"]
    launch = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        cwd=nodes.folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    nodes.until_state("starting")
    seen = b""
    while b"its trainer has not joined the swarm yet" not in seen:
        seen += os.read(leader, 65_536)
    os.write(leader, b"\x03")
    while b"The rest goes on in the background" not in seen:
        seen += os.read(leader, 65_536)
    assert launch.wait(10) == 0
    os.close(leader)
    assert nodes.node().state == "starting"
