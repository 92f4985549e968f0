"""The launcher as a whole, with a real supervisord: the hard cases, one after another."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import msgspec
import psutil
import pytest

from launcher_support import LaunchedNodes, sleeper
from support import eventually, free_port
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import State

QUICK = """
launcher:
  ramp_interval: 100ms
  look_interval: 200ms
  restart: {first_delay: 300ms, longest_delay: 1s, attempts: 3}
  profile: ./profile.yml
"""
PROFILE = """
title: a test's trainer
command: [bash, -c, 'echo "joined as $$"; while sleep 0.2; do echo round; done']
ready: {pattern: joined}
stop: {grace: 2s}
need: {memory: 1MiB, tuned_memory: 1MiB, disk: 1MiB}
torch: false
"""


@pytest.fixture
def nodes(tmp_path):
    nodes = LaunchedNodes(tmp_path)
    nodes.profile = lambda text=PROFILE: (tmp_path / "profile.yml").write_text(text)
    nodes.profile()
    yield nodes
    nodes.end_by_force()


def test_three_nodes_start_run_and_stop_and_nothing_is_left(nodes):
    config = nodes.configure(QUICK, nodes=3)
    changes = nodes.launch(config)
    assert (changes.started_supervisor, changes.added) == (True, ("1", "2", "3"))
    for name in "123":
        record = nodes.until_state("running", name)
        assert os.getsid(record.pid) == os.getpgid(record.pid) == record.pid
    ready = [nodes.node(name).ready for name in "123"]
    assert ready == sorted(ready)
    assert "joined as" in nodes.console("3")
    assert len(nodes.processes()) >= 1 + 1 + 3 + 3
    assert nodes.launcher.stop(None) == ["1", "2", "3"]
    assert nodes.processes() == []
    assert not nodes.launcher.files.socket.exists()
    assert nodes.launcher.stop(None) == []


def test_closing_the_terminal_changes_nothing(nodes):
    nodes.configure(QUICK)
    leader, follower = os.openpty()
    command = [
        sys.executable,
        "-m",
        "swarm_exporter",
        "launch",
        "--config",
        "swarm.yml",
        "--reserve",
        "0",
    ]
    terminal = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        cwd=nodes.folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    record = nodes.until_state("running")
    os.close(leader)
    terminal.wait(20)
    assert psutil.pid_exists(record.pid)
    assert nodes.launcher.supervisor.answers()
    handled = nodes.state.time
    nodes.until(lambda state: state.time > handled + 1, "a look after the terminal was gone")
    assert nodes.node().state is State.RUNNING


def test_a_node_that_is_killed_returns_while_another_ramps_up(nodes):
    nodes.profile(PROFILE.replace("ready: {pattern: joined}", "ready: {after: 1s}"))
    nodes.launch(nodes.configure(QUICK, nodes=2))
    first = nodes.until_state("running", "1")
    nodes.until_state("starting", "2")
    os.kill(first.pid, signal.SIGKILL)
    again = nodes.until(
        lambda state: (
            state.nodes["1"]
            if state.nodes["1"].restarts and state.nodes["1"].state == "running"
            else None
        ),
        "its return",
    )
    assert (again.restarts, again.failures) == ({"killed": 1}, 1)
    assert again.pid != first.pid
    assert nodes.until_state("running", "2").restarts == {}


def test_a_runner_that_is_killed_leaves_no_second_copy(nodes):
    nodes.profile(
        PROFILE.replace('echo "joined', 'trap : HUP PIPE; setsid sleep 600 & echo "joined')
    )
    nodes.launch(nodes.configure(QUICK))
    first = nodes.until_state("running")
    left = [p.pid for p in nodes.processes() if "sleep" in p.name()]
    psutil.Process(first.pid).parent().kill()
    nodes.until(lambda state: state.nodes["1"].restarts == {"killed": 1}, "its restart")
    nodes.until_state("running")
    assert not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in left
    )
    assert nodes.node().pid != first.pid


def test_one_that_exits_0_at_once_ends_in_fatal_and_not_in_a_busy_loop(nodes):
    nodes.profile(PROFILE.replace('echo "joined', 'exit 0; echo "joined'))
    nodes.launch(nodes.configure(QUICK))
    record = nodes.until_state("fatal")
    # The launch itself may have begun the count anew.
    assert 3 <= record.restarts["exited"] <= 6
    assert "exit code 0, 4 times in a row" in record.reason
    assert nodes.console().count("started as process") == record.restarts["exited"] + 1
    nodes.launcher.command("configure", ["1"])
    nodes.until(lambda state: state.nodes["1"].state != "fatal", "a new try")


def test_a_command_that_is_not_there_is_named(nodes):
    nodes.profile(PROFILE.replace("[bash,", "[no-such-shell,"))
    nodes.launch(nodes.configure(QUICK))
    assert "no-such-shell: No such file" in nodes.until_state("fatal").reason


def test_the_script_that_lives_on_without_its_trainer_is_restarted(nodes, monkeypatch):
    profile = PROFILE.replace(
        'echo "joined as $$"; while sleep 0.2; do echo round; done',
        "sleep 2002 & t=$!; echo joined; wait $t; echo script lives on; sleep 600",
    )
    nodes.profile(profile + "trainer: ^sleep 2002\ntrainer_grace: 1s\n")
    nodes.launch(nodes.configure(QUICK))
    record = nodes.until_state("running")
    script = record.pid
    os.kill(record.trainer_pid, signal.SIGKILL)
    nodes.until(lambda state: state.nodes["1"].trainer_pid is None, "no trainer")
    assert "script lives on" in eventually(
        lambda: "script lives on" in nodes.console() and nodes.console(), "its line"
    )
    assert psutil.pid_exists(script)
    again = nodes.until(
        lambda state: state.nodes["1"].restarts == {"trainer_gone": 1}, "a restart", 60
    )
    assert again
    assert nodes.until_state("running").pid != script


def test_a_port_that_is_taken_is_named_with_its_holder(nodes):
    port = free_port()
    config = nodes.configure(QUICK + f"  ports: {{login: {port}}}\n")
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as stranger:
        eventually(lambda: psutil.Process(stranger.pid).net_connections(), "a server")
        nodes.launch(config)
        record = nodes.until_state("backoff")
        stranger.kill()
    assert record.reason.startswith(
        f"its login port {port} is held by process {stranger.pid} (python"
    )
    assert "give the node another port under `ports`" in record.reason
    nodes.until_state("running")


def test_supervisord_is_killed_and_the_next_launch_takes_the_nodes_over(nodes):
    config = nodes.configure(QUICK, nodes=2)
    nodes.launch(config)
    before = {name: nodes.until_state("running", name).pid for name in "12"}
    supervisor = int(nodes.launcher.supervisor.call("getPID"))
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not nodes.launcher.supervisor.answers(), "silence")
    assert nodes.launcher.orphans() == ["1", "2"]
    assert all(psutil.pid_exists(pid) for pid in before.values())
    changes = nodes.launch(config)
    assert changes.started_supervisor
    nodes.until(
        lambda state: (
            all("taken over" in str(state.events) for _ in "12")
            and nodes.launcher.supervisor.states()["node-1"] == "RUNNING"
        ),
        "the take-over",
    )
    assert {name: nodes.until_state("running", name).pid for name in "12"} == before
    assert nodes.node().restarts == {}
    assert nodes.console().count("joined as") == 1
    nodes.launcher.stop(None)
    assert nodes.processes() == []


def test_supervisord_is_killed_and_stop_ends_the_orphans(nodes):
    nodes.launch(nodes.configure(QUICK, nodes=2))
    for name in "12":
        nodes.until_state("running", name)
    os.kill(int(nodes.launcher.supervisor.call("getPID")), signal.SIGKILL)
    eventually(lambda: not nodes.launcher.supervisor.answers(), "silence")
    assert nodes.launcher.stop(None) == ["1", "2"]
    assert nodes.processes() == []
    for name in "12":
        record = nodes.node(name)
        assert (record.state, record.wanted, record.pid) == (State.STOPPED, False, None)
        assert record.reason == "stopped by hand"


def test_everything_of_the_launcher_is_killed_and_the_next_launch_starts_no_second_copy(nodes):
    nodes.profile(PROFILE.replace('echo "joined', 'trap : HUP PIPE; echo "joined'))
    config = nodes.configure(QUICK)
    nodes.launch(config)
    before = nodes.until_state("running").pid
    for process in nodes.processes():
        if process.pid != before and "sleep" not in process.name():
            process.kill()
    eventually(lambda: not nodes.launcher.supervisor.answers(), "silence")
    nodes.launch(config)
    nodes.until(lambda state: state.nodes["1"].pid not in (None, before), "a new start")
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == "zombie"
    commands = [p for p in nodes.processes() if p.name() == "bash"]
    assert len(commands) == 1


def test_two_launches_at_the_same_moment_start_one_of_each(nodes):
    config = nodes.configure(QUICK, nodes=2)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(nodes.launch(config))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(change.started_supervisor for change in results) == [False, False, True]
    for name in "12":
        nodes.until_state("running", name)
    supervisors = [p for p in nodes.processes() if "supervisor.supervisord" in p.cmdline()]
    assert len(supervisors) == 1
    assert [nodes.console(name).count("joined as") for name in "12"] == [1, 1]


def test_a_second_launch_changes_only_what_differs(nodes):
    nodes.launch(nodes.configure(QUICK, nodes=2))
    before = {name: nodes.until_state("running", name).pid for name in "12"}
    settings = QUICK + "nodes:\n  - {}\n  - launch: {env: {COLOUR: blue}}\n  - {}\n"
    config = nodes.configure(settings.replace("\nlauncher", "launcher"), nodes=3)
    changes = nodes.launch(config, plan_env=lambda _: {"OMP_NUM_THREADS": "1"})
    assert (changes.added, changes.changed, changes.unchanged) == (("3",), ("2",), ("1",))
    nodes.until_state("running", "3")
    nodes.until(lambda state: state.nodes["2"].restarts == {"changed": 1}, "the restart of node 2")
    assert nodes.until_state("running", "1").pid == before["1"]
    assert nodes.until_state("running", "2").pid != before["2"]
    # Fewer named: who is no longer named goes on, and says so.
    changes = nodes.launch(nodes.configure(QUICK, nodes=1))
    assert changes.left_running == ("2", "3")
    assert nodes.node("3").state is State.RUNNING
    assert nodes.launcher.stop(["3"]) == ["3"]
    nodes.launch(nodes.configure(QUICK, nodes=1))
    with pytest.raises(SwarmExporterError, match="node 3 was not named by the newest launch"):
        nodes.launcher.restart(["3"])
    assert nodes.launcher.named() == ["1", "2"]
    assert nodes.node("1").state is State.RUNNING


def test_stopping_by_hand_lasts_until_the_next_launch(nodes):
    config = nodes.configure(QUICK, nodes=2)
    nodes.launch(config)
    for name in "12":
        nodes.until_state("running", name)
    assert nodes.launcher.stop(["1"]) == ["1"]
    looked = nodes.state.time
    nodes.until(lambda state: state.time > looked + 1, "some looks")
    assert nodes.node("1").state is State.STOPPED
    nodes.launch(config, keep_stopped=True)
    looked = nodes.state.time
    nodes.until(lambda state: state.time > looked + 1, "some looks")
    assert nodes.node("1").state is State.STOPPED
    nodes.launch(config)
    nodes.until_state("running", "1")


def test_a_launcher_that_is_shut_down_and_killed_in_the_midst_knows_what_was_wanted(nodes):
    nodes.profile(PROFILE.replace('echo "joined', 'trap : TERM; echo "joined'))
    nodes.launch(nodes.configure(QUICK))
    nodes.until_state("running")
    command = threading.Thread(target=lambda: nodes.launcher.stop(None, remember=True))
    command.start()
    nodes.until_state("stopping")
    assert nodes.node().wanted
    command.join()
    assert (nodes.node().state, nodes.node().wanted) == (State.STOPPED, True)
    assert nodes.processes() == []


def test_a_pid_of_a_stranger_is_never_signalled(nodes):
    config = nodes.configure(QUICK)
    nodes.launch(config)
    nodes.until_state("running")
    nodes.launcher.stop(None)
    with (
        sleeper() as stranger,
        sleeper(env={"SWARM_EXPORTER_NODE": "of another launcher"}) as other,
    ):
        files = LauncherFiles(nodes.folder / "state")
        run = b'{"runner": %d, "pid": %d, "started": 1.0, "question": "", "positions": {}}'
        files.node("1").run.write_bytes(run % (stranger.pid, stranger.pid))
        files.pid.write_text(f"{other.pid}\n")
        nodes.launch(config)
        nodes.until_state("running")
        nodes.launcher.stop(None)
        assert nodes.launcher.stop(None) == []
        assert stranger.poll() is None
        assert other.poll() is None


def test_a_launch_from_a_shell_that_a_node_has_started_marks_nothing_else(nodes, monkeypatch):
    config = nodes.configure(QUICK, nodes=2)
    nodes.launch(config)
    for name in "12":
        nodes.until_state("running", name)
    nodes.launcher.stop(None)
    monkeypatch.setenv("SWARM_EXPORTER_NODE", nodes.spec("1").marker)
    nodes.launch(config)
    second = nodes.until_state("running", "2")
    (listener,) = [
        p for p in nodes.processes() if "swarm_exporter.launcher.listener" in p.cmdline()
    ]
    nodes.launcher.stop(["1"])
    assert listener.is_running()
    assert nodes.node("2").pid == second.pid
    assert nodes.node("2").restarts == {}


def test_a_port_that_is_not_free_after_the_stop_is_said(nodes):
    port = free_port()
    nodes.launch(nodes.configure(QUICK + f"  ports: {{login: {port}}}\n"))
    nodes.until_state("running")
    with socket.create_server(("127.0.0.1", port)):
        assert nodes.launcher.stop(None) == ["1"]
        (held,) = nodes.launcher.held_ports(["1"])
    assert held.startswith(f"port {port} (login) of node 1 is held by process {os.getpid()} ")
    assert nodes.launcher.held_ports(["1"]) == []
    assert nodes.processes() == []


def test_a_supervisor_that_does_not_answer_gets_no_second_one_and_can_be_stopped(nodes):
    config = nodes.configure(QUICK, nodes=2)
    nodes.launch(config)
    for name in "12":
        nodes.until_state("running", name)
    supervisor = int(nodes.launcher.supervisor.call("getPID"))
    # As a cleaner of temporary files does.
    nodes.launcher.files.socket.unlink()
    with pytest.raises(SwarmExporterError, match=rf"supervisor \(process {supervisor}\) runs but"):
        nodes.launch(config)
    with pytest.raises(SwarmExporterError, match="does not answer"):
        nodes.launcher.stop(["1"])
    supervisors = [p for p in nodes.processes() if "supervisor.supervisord" in p.cmdline()]
    assert [p.pid for p in supervisors] == [supervisor]
    assert nodes.launcher.stop(None) == ["1", "2"]
    eventually(lambda: nodes.processes() == [], "nothing left")


def test_a_stale_socket_and_pid_file_do_not_stand_in_the_way(nodes):
    files = LauncherFiles(nodes.folder / "state")
    files.prepare()
    import socket

    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(files.socket))
    files.pid.write_text("99999999\n")
    assert files.socket.exists()
    nodes.launch(nodes.configure(QUICK))
    nodes.until_state("running")


def test_a_folder_with_spaces_and_unicode_in_a_long_path(tmp_path):
    folder = tmp_path / "meine Knoten ✓ %s ; #1" / ("very long " * 8)
    folder.mkdir(parents=True)
    nodes = LaunchedNodes(folder)
    (folder / "profile.yml").write_text(PROFILE)
    try:
        nodes.launch(nodes.configure(QUICK))
        record = nodes.until_state("running")
        assert psutil.Process(record.pid).cwd() == str(folder / "rl-swarm-1")
        assert len(os.fsencode(nodes.launcher.files.socket)) < 104
        nodes.launcher.stop(None)
        assert nodes.processes() == []
    finally:
        nodes.end_by_force()


def test_every_shell_finds_the_same_socket(tmp_path, monkeypatch):
    deep = tmp_path / ("very long " * 8)
    here = LauncherFiles(deep).socket
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert LauncherFiles(deep).socket == here


def test_head_room_that_vanishes_in_mid_ramp_stops_it_and_what_runs_stays(nodes):
    hungry = (
        'hold = bytearray(700_000_000); print("joined", flush=True); import time; time.sleep(600)'
    )
    nodes.profile(
        PROFILE.replace(
            "bash, -c, 'echo \"joined as $$\"; while sleep 0.2; do echo round; done'",
            f"'{sys.executable}', -c, '{hungry}'",
        )
    )
    from swarm_exporter.launcher.machine import available_memory

    reserve = available_memory() - 500_000_000
    nodes.launch(nodes.configure(QUICK, nodes=3), reserve=reserve)
    first = nodes.until_state("running", "1")
    problem = nodes.until(lambda state: state.ramp_problem, "the end of the ramp")
    assert "of memory are available, but the next node needs" in problem
    assert nodes.node("2").state is State.STOPPED
    assert nodes.node("1").pid == first.pid
    assert nodes.node("1").state is State.RUNNING


def test_two_nodes_with_one_identity_never_start(nodes):
    nodes.profile(PROFILE + "identity: swarm.pem\n")
    config = nodes.configure(QUICK, nodes=2)
    for number in (1, 2):
        (nodes.folder / f"rl-swarm-{number}" / "swarm.pem").write_bytes(b"the same key")
    nodes.launch(config)
    nodes.until_state("running", "1")
    record = nodes.until_state("fatal", "2")
    assert "the same identity as node 1" in record.reason
    assert nodes.console("2") == ""


def test_a_node_somebody_else_started_is_not_started_twice(nodes):
    nodes.profile(
        PROFILE.replace(
            'echo "joined as $$"; while sleep 0.2; do echo round; done',
            "echo joined; exec sleep 2003",
        )
        + "trainer: ^sleep 2003\n"
    )
    config = nodes.configure(QUICK)
    with subprocess.Popen(["sleep", "2003"], cwd=nodes.folder / "rl-swarm-1") as foreign:
        try:
            nodes.launch(config)
            record = nodes.until_state("backoff")
            assert f"process {foreign.pid} (sleep), which was not started here" in record.reason
            nodes.launcher.stop(None)
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_a_state_folder_of_somebody_else_is_refused(tmp_path):
    nodes = LaunchedNodes(tmp_path)
    (tmp_path / "profile.yml").write_text(PROFILE)
    config = nodes.configure(QUICK)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "launcher").symlink_to(tmp_path)
    with pytest.raises(SwarmExporterError, match="somebody else"):
        nodes.launch(config)


def test_what_the_launcher_keeps_is_for_nobody_else_to_read(nodes):
    nodes.launch(nodes.configure(QUICK))
    nodes.until_state("running")
    files = nodes.launcher.files
    assert files.root.stat().st_mode & 0o777 == 0o700
    for path in files.root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            # Locks are empty.
            assert found.st_mode & 0o077 == 0 or not found.st_size, path


def test_a_restart_by_hand_and_its_reason(nodes):
    nodes.launch(nodes.configure(QUICK))
    before = nodes.until_state("running").pid
    nodes.launcher.restart(["1"])
    nodes.until(lambda state: state.nodes["1"].restarts == {"requested": 1}, "the restart")
    assert nodes.until_state("running").pid != before
    assert nodes.node().failures == 0


def test_restarts_at_the_same_moment_are_each_taken_in(nodes):
    nodes.launch(nodes.configure(QUICK, nodes=3))
    for name in "123":
        nodes.until_state("running", name)
    problems = []

    def restart(name):
        try:
            nodes.launcher.restart([name])
        except SwarmExporterError as error:
            problems.append(error)

    threads = [threading.Thread(target=restart, args=name) for name in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for name in "123":
        nodes.until(lambda s, n=name: s.nodes[n].restarts == {"requested": 1}, "its restart")


def test_the_watchdog_restarts_a_silent_idle_node(nodes):
    nodes.profile(PROFILE.replace("while sleep 0.2; do echo round; done", "sleep 600"))
    nodes.launch(nodes.configure(QUICK + "  watchdog: {silent: 1s, per_day: 1}\n"))
    nodes.until(lambda state: state.nodes["1"].restarts == {"silent": 1}, "the restart")
    nodes.until_state("running")
    looked = nodes.state.time
    nodes.until(lambda state: state.time > looked + 2.5, "more looks")
    assert nodes.node().restarts == {"silent": 1}


def test_a_listener_that_is_killed_goes_on_where_it_was(nodes):
    nodes.launch(nodes.configure(QUICK))
    before = nodes.until_state("running")
    (listener,) = [
        p for p in nodes.processes() if "swarm_exporter.launcher.listener" in p.cmdline()
    ]
    listener.kill()
    killed = time.time()
    nodes.until(lambda state: state.time > killed + 1, "looks of the next listener")
    after = nodes.node()
    assert (after.pid, after.state, after.restarts) == (before.pid, "running", {})


def test_a_torn_state_is_set_aside_and_the_nodes_run(nodes):
    config = nodes.configure(QUICK)
    files = LauncherFiles(nodes.folder / "state")
    files.prepare()
    files.state.write_bytes(b'{"version": 1, "nod')
    nodes.launch(config)
    nodes.until_state("running")
    (aside,) = files.root.glob("state.json.damaged-*")
    assert aside.read_bytes() == b'{"version": 1, "nod'
    assert "set aside" in files.policy_log.read_text()


def test_the_state_survives_as_a_whole_file(nodes):
    nodes.launch(nodes.configure(QUICK))
    nodes.until_state("running")
    content = msgspec.json.decode(nodes.launcher.files.state.read_bytes())
    assert content["nodes"]["1"]["state"] == "running"
    assert content["version"] == 1
