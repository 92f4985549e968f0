"""Each generation of upstream's script under its own profile, by a stand-in for it."""

from __future__ import annotations

import os
import signal

import msgspec
import psutil
import pytest

import standin
from launcher_support import LaunchedNodes
from support import eventually, free_port
from swarm_exporter.launcher.nodes import launch_nodes
from swarm_exporter.launcher.ports import is_taken
from swarm_exporter.launcher.profile import Stop, detect_profile
from swarm_exporter.launcher.state import State

GENERATIONS = ("hivemind", "genrl", "codezero")
SETTINGS = """
launcher:
  ramp_interval: 100ms
  look_interval: 200ms
  restart: {{first_delay: 300ms, longest_delay: 1s, attempts: 3}}
  ports: {{login: {port}, p2p: {p2p}}}
"""


class Generation:
    """One node of a generation under the launcher."""

    def __init__(self, folder, name):
        self.name = name
        self.nodes = LaunchedNodes(folder)
        self.folder = folder / "rl-swarm-1"
        self.port = free_port()

    def build(self, **behaviour):
        standin.build_standin(self.folder, self.name, port=self.port, **behaviour)
        p2p = "" if self.name == "hivemind" else None
        settings = SETTINGS.format(port=self.port, p2p=free_port())
        if p2p is None:
            settings = settings.split(", p2p")[0] + "}\n"
        return self.nodes.configure(settings)

    def launch(self, config=None, **behaviour):
        config = config or self.build(**behaviour)
        self.nodes.launch(config)
        return config

    def launch_with(self, profile: dict, **behaviour):
        """Launch under the generation's profile, but for some of its values."""
        config = self.build(**behaviour)
        nodes = [
            msgspec.structs.replace(node, profile=msgspec.structs.replace(node.profile, **profile))
            for node in launch_nodes(config, self.nodes.folder)
        ]
        self.nodes.launcher.launch(nodes, config, reserve=0)

    @property
    def login(self):
        return self.folder / "modal-login" / "temp-data"


@pytest.fixture(params=GENERATIONS)
def generation(request, tmp_path):
    generation = Generation(tmp_path / "mein Knoten ✓", request.param)
    yield generation
    generation.nodes.end_by_force()
    standin.sweep(generation.folder)


@pytest.fixture
def genrl(tmp_path):
    generation = Generation(tmp_path, "genrl")
    yield generation
    generation.nodes.end_by_force()
    standin.sweep(generation.folder)


def test_it_starts_to_ready_answers_every_question_crashes_returns_and_stops(generation):
    """The whole life of a node: the login data are there at its end, and nothing else is."""
    nodes = generation.nodes
    generation.launch()
    first = nodes.until_state("running")
    assert nodes.spec().profile == generation.name == detect_profile(generation.folder)
    trainer = standin.trainer_process(generation.folder, generation.name)
    assert first.trainer_pid == trainer.pid
    asked = [name for name, _ in standin.answers(generation.folder)]
    assert asked == list(standin.PROMPTS[generation.name])
    assert is_taken(generation.port)
    (start,) = standin.starts(generation.folder)
    assert start["env"]["IDENTITY_PATH"] == str(generation.folder / "swarm.pem")
    identity = (generation.folder / "swarm.pem").read_bytes()

    trainer.kill()
    again = nodes.until(
        lambda state: (
            state.nodes["1"].restarts and state.nodes["1"].state == "running" and state.nodes["1"]
        ),
        "its return",
    )
    assert again.trainer_pid != trainer.pid
    assert sum(again.restarts.values()) == 1
    assert (generation.folder / "swarm.pem").read_bytes() == identity

    nodes.launcher.stop(None)
    assert standin.processes(generation.folder) == []
    assert nodes.processes() == []
    assert not is_taken(generation.port)
    names = sorted(path.name for path in generation.login.iterdir())
    assert names == ["userApiKey.json", "userData.json"]
    for path in generation.login.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().startswith("{")


def test_a_trainer_that_ends_with_0_leaves_a_script_that_waits_and_is_seen(generation):
    """The ordinary crash of v0.5 and later: "Exception occurred during game run."."""
    nodes = generation.nodes
    generation.launch_with({"trainer_grace": "1s"}, trainer_exit=0, trainer_exit_after=1.0)
    record = nodes.until(lambda state: state.nodes["1"].restarts and state.nodes["1"], "a restart")
    assert record.restarts == {"trainer_gone": 1}
    eventually(lambda: len(standin.starts(generation.folder)) >= 2, "a second trainer")


def test_submissions_are_seen_in_the_log(genrl):
    genrl.launch()
    record = genrl.nodes.until(
        lambda state: state.nodes["1"].submits_accepted >= 2 and state.nodes["1"], "submissions"
    )
    assert record.next_submit == pytest.approx(record.last_submit + 3 * 3600)
    assert record.submits_refused == 0
    standin.behave(genrl.folder, submit_status=400)
    genrl.nodes.until(lambda state: state.nodes["1"].submits_refused >= 1, "a refusal")


def test_a_restart_after_the_submission_happens_after_one(genrl):
    genrl.launch(submit_every=0)
    before = genrl.nodes.until_state("running")
    genrl.nodes.launcher.restart(["1"], after_submit=True)
    looked = genrl.nodes.state.time
    genrl.nodes.until(lambda state: state.time > looked + 1, "some looks")
    assert genrl.nodes.node().pid == before.pid
    assert genrl.nodes.node().postponed == "requested"
    standin.behave(genrl.folder, submit_every=1)
    genrl.nodes.until(lambda state: state.nodes["1"].restarts == {"requested": 1}, "the restart")
    assert len(standin.submissions(genrl.folder)) >= 1


def test_without_login_data_it_waits_for_the_person_and_goes_on_when_they_have_logged_in(genrl):
    genrl.launch(login=False)
    record = genrl.nodes.until(lambda s: s.nodes["1"].waiting_login and s.nodes["1"], "the wait")
    assert (record.state, record.reason) == (State.STARTING, "waits for a person to log in")
    standin.log_in(genrl.folder, activated=False)
    looked = genrl.nodes.state.time
    genrl.nodes.until(lambda state: state.time > looked + 1, "some looks")
    assert genrl.nodes.node().waiting_login
    standin.log_in(genrl.folder)
    assert not genrl.nodes.until_state("running").waiting_login


@pytest.mark.parametrize("damage", ["absent", "half-written", "older is kept"])
def test_login_data_are_put_back_before_a_start(genrl, damage):
    config = genrl.launch()
    genrl.nodes.until_state("running")
    genrl.nodes.launcher.stop(None)
    data = genrl.login / "userData.json"
    whole = data.read_text()
    if damage == "absent":
        data.unlink()
    elif damage == "half-written":
        data.write_text(whole[: len(whole) // 2])
    else:
        whole = whole.replace("{", "{ ", 1)
        data.write_text(whole)
    genrl.launch(config)
    genrl.nodes.until_state("running")
    assert data.read_text() == whole
    genrl.nodes.launcher.stop(None)
    assert data.read_text() == whole


def test_a_question_nobody_configured_is_shown_and_not_answered(genrl):
    genrl.launch(extra_prompt=">> Which planet do you train on? ")
    record = genrl.nodes.until(lambda s: s.nodes["1"].question and s.nodes["1"], "the question", 40)
    assert record.question == ">> Which planet do you train on?"
    assert record.state is State.STARTING
    assert "extra" not in [name for name, _ in standin.answers(genrl.folder)]


def test_an_installer_that_reads_the_input_takes_no_answer_away(genrl):
    genrl.launch(eat_stdin=True)
    genrl.nodes.until_state("running")
    assert [name for name, _ in standin.answers(genrl.folder)] == list(standin.PROMPTS["genrl"])


@pytest.mark.parametrize("how", ["session", "clean"])
def test_who_escapes_into_a_session_of_their_own_is_ended_too(genrl, how):
    genrl.launch(escape=how)
    genrl.nodes.until_state("running")
    pid = int(eventually(lambda: _text(genrl.folder / "standin" / "escaped.pid"), "the escape"))
    assert os.getsid(pid) != genrl.nodes.node().pid
    genrl.nodes.launcher.stop(None)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _text(path):
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def test_a_trainer_that_ignores_the_request_is_ended_by_force_after_its_grace(genrl):
    genrl.launch_with({"stop": Stop(grace="1s")}, ignore_term=True)
    genrl.nodes.until_state("running")
    assert genrl.nodes.launcher.stop(None) == ["1"]
    assert standin.processes(genrl.folder) == []
    assert (genrl.login / "userData.json").exists()


def test_the_twin_of_a_killed_trainer_is_not_taken_for_it(genrl):
    genrl.launch()
    record = genrl.nodes.until_state("running")
    looked = genrl.nodes.state.time
    genrl.nodes.until(lambda state: state.time > looked, "a look that sees the twin")
    os.kill(record.pid, signal.SIGSTOP)
    try:
        os.kill(record.trainer_pid, signal.SIGKILL)
        genrl.nodes.until(lambda state: state.nodes["1"].trainer_pid is None, "no trainer")
        line = "rgym_exp.runner.swarm_launcher"
        twins = [p for p in standin.processes(genrl.folder) if line in " ".join(p.cmdline())]
        assert twins
    finally:
        os.kill(record.pid, signal.SIGCONT)
