"""The runner as a real process, with real children, signals, terminals and files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from launcher_support import make_spec
from support import eventually, free_port
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.launcher.processes import end_tree

DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
environment = {} if "clear" in sys.argv else dict(os.environ)
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)  # daemon"], environment)
"""


class Run:
    """One node's runner, and what it writes."""

    def __init__(self, folder: Path):
        self.home = folder / "launcher"
        self.home.mkdir()
        self.node = folder / "mein Knoten ✓"
        self.node.mkdir()
        self.runners: list[subprocess.Popen] = []

    def write_spec(self, command, **more):
        spec = make_spec(
            folder=str(self.node), command=tuple(command), marker=str(self.home), **more
        )
        (self.home / "spec.json").write_bytes(msgspec.json.encode(spec))
        return spec

    def start(self, command=None, **more) -> subprocess.Popen:
        if command is not None:
            self.write_spec(command, **more)
        runner = subprocess.Popen(
            [sys.executable, "-m", "swarm_exporter.launcher.runner", str(self.home)],
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        self.runners.append(runner)
        return runner

    def bash(self, script: str, **more) -> subprocess.Popen:
        return self.start(["bash", "-c", script], **more)

    @property
    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.node / "logs" / "console.log").read_text(errors="replace")
        return ""

    def says(self, text: str):
        return eventually(lambda: text in self.log, f"{text!r} in the log")

    def read(self, name: str) -> dict:
        return eventually(lambda: _json(self.home / name), name)

    @property
    def exit(self) -> dict:
        return self.read("exit.json")

    def members(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARKER) == str(self.home):
                    found.append(process)
        return found

    def close(self):
        for runner in self.runners:
            runner.kill()
            runner.communicate()
        end_tree(str(self.home), [], 0.0)


def _json(path: Path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    run.close()


def test_a_command_runs_in_its_own_session_and_folder_with_its_variables(run):
    script = (
        'echo "in $PWD with $COLOUR and ${MODEL_NAME-nothing}"; ps -o pid=,sid= -p $$; sleep 600'
    )
    os.environ["MODEL_NAME"] = "inherited"
    try:
        run.bash(script, env={"COLOUR": "blue"}, unset=("MODEL_NAME",))
        run.says(f"in {run.node} with blue and nothing")
    finally:
        del os.environ["MODEL_NAME"]
    pid = run.read("run.json")["pid"]
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_it_ends_with_the_exit_code_of_its_command_and_tells_how_it_was(run):
    runner = run.bash("echo bye; exit 3")
    assert runner.wait(20) == 3
    end = run.exit
    assert (end["code"], end["signal"], end["asked"], end["survivors"]) == (3, 0, False, [])
    assert "bye\n" in run.log
    assert "ended with exit code 3" in run.log


def test_a_command_that_is_killed_is_told_from_one_that_ends(run):
    runner = run.bash("sleep 600")
    os.kill(run.read("run.json")["pid"], signal.SIGKILL)
    assert runner.wait(20) == 128 + 9
    assert (run.exit["code"], run.exit["signal"]) == (0, 9)


@pytest.mark.parametrize("command", [["no-such-program-here"], ["/etc/passwd"]])
def test_a_command_that_cannot_be_started_is_said(run, command):
    assert run.start(command).wait(20) == 127
    assert run.exit["error"].startswith(command[0])


def test_a_stop_ends_everything_it_has_started(run):
    script = f"""
        sleep 601 & setsid sleep 602 &
        {sys.executable} -c '{DAEMON}' keep
        {sys.executable} -c '{DAEMON}' clear
        echo all up; wait
    """
    runner = run.bash(script)
    run.says("all up")

    def daemons():
        found = [p for p in psutil.process_iter() if _is_daemon_of(p, runner.pid)]
        return found if len(found) == 2 else None

    before = [*run.members(), *eventually(daemons, "two daemons")]
    assert len({process.pid for process in before}) >= 5
    runner.terminate()
    assert runner.wait(20) == 0
    assert [p for p in before if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert run.exit["asked"]


def _is_daemon_of(process: psutil.Process, runner: int) -> bool:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        own = any(parent.pid == runner for parent in process.parents())
        return bool(words) and words[-1].endswith("# daemon") and own
    return False


def test_who_ignores_the_request_is_ended_by_force_after_the_grace(run):
    runner = run.bash("trap '' TERM; echo deaf; while :; do sleep 0.1; done", stop_grace=0.5)
    run.says("deaf")
    began = time.monotonic()
    runner.terminate()
    assert runner.wait(20) == 0
    assert time.monotonic() - began >= 0.5
    assert run.members() == []


def test_what_a_command_leaves_behind_ends_with_it(run):
    runner = run.bash("sleep 601 & setsid sleep 602 & exit 0")
    assert runner.wait(20) == 1
    assert run.exit["code"] == 0
    assert run.members() == []


def prompts(*pairs):
    return tuple({"name": n, "pattern": p, "answer": a} for n, p, a in pairs)


def test_questions_are_answered_by_their_text_and_answers_are_not_shown(run):
    script = """
        set -e
        read -p '>> Push to the Hub? [y/N] ' push
        cat > /dev/null < <(timeout 0.3 cat)   # an installer that reads all there is
        read -p 'Token: ' token
        read -p 'Model, or Enter: ' model
        echo "push=$push model=<$model> token has ${#token} letters"
        sleep 600
    """
    run.bash(
        script,
        prompts=prompts(
            ("model", "Model", ""), ("token", "Token:", "s3cret"), ("push", "Hub\\?", "N")
        ),
    )
    run.says("push=N model=<> token has 6 letters")
    assert "s3cret" not in run.log
    for name in ("push", "token", "model"):
        assert f'answered "{name}"' in run.log


def test_a_question_nobody_configured_is_said_and_its_input_never_ends(run):
    runner = run.bash("read -p 'Which planet? ' planet; echo got $planet; sleep 600")
    question = eventually(lambda: run.read("run.json")["question"], "the question")
    assert question == "Which planet?"
    assert runner.poll() is None
    assert "waits for an answer that nobody has configured" in run.log


def test_output_without_a_line_end_is_no_question(run):
    run.bash("printf 'Map: 50%%|####'; sleep 1; printf '|done'; sleep 600")
    run.says("|done")
    assert run.read("run.json")["question"] == ""


def test_an_answer_that_is_not_taken_becomes_a_question(run):
    script = "while :; do read -p 'Yes or no? ' a; case $a in yes) break;; esac; done; sleep 600"
    run.bash(script, prompts=prompts(("sure", "Yes or no", "maybe")))
    assert eventually(lambda: run.read("run.json")["question"], "the question") == "Yes or no?"
    assert run.log.count('answered "sure"') == 5


def test_login_data_are_saved_and_put_back_around_a_run_that_deletes_them(run):
    login = run.node / "login" / "userData.json"
    login.parent.mkdir()
    login.write_text('{"org": {}}')
    script = f"trap 'rm -f \"{login}\"; kill -- -$$' EXIT; echo up; sleep 600"
    runner = run.bash(script, login=(str(login),))
    run.says("up")
    runner.terminate()
    assert runner.wait(20) == 0
    assert login.read_text() == '{"org": {}}'
    assert login.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_costs_output_and_not_the_node(run):
    logs = run.node / "logs"
    logs.mkdir()
    (logs / "console.log").symlink_to("/dev/full")
    marker = run.node / "done"
    runner = run.bash(f"for i in $(seq 2000); do echo line $i; done; touch '{marker}'; exit 5")
    assert runner.wait(20) == 5
    assert marker.exists()


def test_the_log_is_bounded(run):
    runner = run.bash(
        "for i in $(seq 3000); do echo a line of some length $i; done", log_size=10_000
    )
    assert runner.wait(20) == 1
    files = sorted((run.node / "logs").iterdir())
    assert [path.name for path in files] == ["console.log", "console.log.1", "console.log.2"]
    assert all(path.stat().st_size < 80_000 for path in files)
    assert "a line of some length 3000" in "".join(path.read_text() for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_a_second_runner_stands_in_and_starts_nothing(run):
    first = run.bash("echo started; sleep 600")
    run.says("started")
    second = run.start()
    pid = run.read("run.json")["pid"]
    assert b"standing in" in second.stderr.readline()
    assert second.poll() is None
    os.kill(pid, signal.SIGKILL)
    assert first.wait(20) == second.wait(20) == 128 + 9
    assert run.log.count("\nstarted\n") == 1


def test_a_stop_of_the_stand_in_stops_the_node(run):
    first = run.bash("echo started; sleep 600")
    run.says("started")
    second = run.start()
    assert b"standing in" in second.stderr.readline()
    second.terminate()
    assert second.wait(20) == 0
    assert first.wait(20) == 0
    assert run.members() == []


def test_what_a_killed_runner_left_is_ended_before_the_next_start(run):
    first = run.bash("trap '' HUP PIPE; (trap '' HUP; exec setsid sleep 603) & echo up; sleep 600")
    run.says("up")
    left = [p.pid for p in run.members()]
    first.kill()
    first.wait()
    assert run.members()
    second = run.start()
    eventually(lambda: run.log.count("started as process") == 2, "the second start")
    assert not {p.pid for p in run.members()} & set(left)
    second.terminate()
    second.wait(20)


def test_ports_that_stay_taken_are_told(run):
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as stranger:
        try:
            runner = run.bash("sleep 600", ports={"login": port})
            run.read("run.json")
            eventually(lambda: psutil.Process(stranger.pid).net_connections(), "a server")
            runner.terminate()
            assert runner.wait(20) == 0
            assert run.exit["ports"][str(port)].startswith(f"process {stranger.pid} (python")
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_progress_bar_that_stands_still_is_no_question(run):
    bar = r"printf '\r  0%%|   | 0/9 [00:00<?, ?it/s]'; sleep 0.1; printf '\r 11%%|#  | 1/9 [00:30<04:00]'"
    run.bash(f"{bar}; sleep 2; echo; echo done; printf 'Which one? '; sleep 600")
    run.says("done")
    run.says("waits for an answer that nobody has configured")
    question = eventually(lambda: _json(run.home / "run.json")["question"], "the question")
    assert question == "Which one?"
    assert run.log.count("waits for an answer") == 1


def test_a_request_to_stop_that_comes_while_it_sets_out_is_not_lost(run, monkeypatch):
    import swarm_exporter.launcher.runner as module

    run.write_spec(["touch", "started"])
    monkeypatch.setattr(sys, "argv", ["runner", str(run.home)])
    log = module.RotatingLog

    def interrupted(*how):
        signal.raise_signal(signal.SIGTERM)
        return log(*how)

    monkeypatch.setattr(module, "RotatingLog", interrupted)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        assert module.main() == 0
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert not (run.node / "started").exists()
    assert not (run.home / "run.json").exists()
