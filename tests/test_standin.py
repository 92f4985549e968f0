"""The stand-in for upstream's checkout behaves as upstream was measured to behave."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from cryptography.hazmat.primitives import serialization

import standin
from standin import behave, build_standin, processes, server_process, starts, submissions
from support import eventually, free_port
from swarm_exporter.launcher.profile import Profile, detect_profile, fill, load_profile

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HELLO = re.compile(r"Hello (?:🐈 )?\[([^\]]+)\] (?:🦮 )?\[(Qm[1-9A-HJ-NP-Za-km-z]{44})\]!")
HUB = ">> Would you like to push models you train in the RL swarm to the Hugging Face Hub? [y/N] "
MODEL = (
    ">> Enter the name of the model you want to use in huggingface repo/name format, or press "
    "[Enter] to use the default model. "
)
#: Question and answer of each generation, in its order.
DIALOGUES = {
    "hivemind": [
        (">> Would you like to connect to the Testnet? [Y/n] ", "Y"),
        (">> Which swarm would you like to join (Math (A) or Math Hard (B))? [A/b] ", "A"),
        (">> How many parameters (in billions)? [0.5, 1.5, 7, 32, 72] ", "0.5"),
        (HUB, "N"),
    ],
    "genrl": [
        (HUB, "N"),
        (MODEL, ""),
        (">> Would you like your model to participate in the AI Prediction Market? [Y/n] ", "N"),
    ],
    "codezero": [(HUB, "N"), (MODEL, "")],
}


class Run:
    """A stand-in's script, running, and what it has printed."""

    def __init__(self, folder: Path, generation: str, port: int) -> None:
        self.folder = folder
        self.generation = generation
        self.port = port
        self.console = folder.parent / "console"
        self.script: subprocess.Popen[bytes] | None = None

    def start(self, *, own_session: bool = True, stdin: int = subprocess.DEVNULL, **env: str):
        with self.console.open("ab") as console:
            self.script = subprocess.Popen(
                ["bash", "./run_rl_swarm.sh"],
                cwd=self.folder,
                stdin=stdin,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=own_session,
                env=os.environ | env,
            )
        return self.script

    @property
    def printed(self) -> str:
        return self.console.read_text(errors="replace")

    def says(self, pattern: str) -> None:
        eventually(lambda: re.search(pattern, self.printed), f'"{pattern}" in {self.console}')

    def log(self, name: str) -> str:
        return (self.folder / "logs" / name).read_text()

    def trainer(self) -> psutil.Process | None:
        return standin.trainer_process(self.folder, self.generation)

    def trained(self) -> psutil.Process:
        """Wait until the trainer has handed something in, and return it."""
        eventually(lambda: submissions_of("submit-reward", self.folder), "submission")
        return eventually(self.trainer, "trainer")

    def logged_in(self) -> bool:
        data = self.folder / "modal-login/temp-data"
        return all((data / name).exists() for name in ("userData.json", "userApiKey.json"))


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Build a stand-in in a folder with an awkward name, and end all that it starts."""
    runs: list[Run] = []

    def build(generation: str = "genrl", **how) -> Run:
        place = tmp_path / f"{len(runs)}"
        port = how.setdefault("port", free_port())
        folder = build_standin(place / "node 1 节点", generation, **{"prompts": (), **how})
        runs.append(Run(folder, generation, port))
        return runs[-1]

    try:
        yield build
    finally:
        for run in runs:
            standin.sweep(run.folder)
            if run.script is not None:
                run.script.wait(10)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal, ours and a program's; it hangs up with the test."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def submissions_of(route: str, folder: Path) -> list[dict]:
    return [s for s in submissions(folder) if s["route"] == route]


def peer_of(identity: Path) -> bytes:
    """The multihash of a peer id, by a library that knows RSA keys."""
    content = identity.read_bytes()
    assert content[:3] == b"\x08\x00\x12"
    assert content[3] & 0x7F | content[4] << 7 == len(content) - 5
    key = serialization.load_der_private_key(content[5:], None).public_key()
    public = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    size = bytes([len(public) & 0x7F | 0x80, len(public) >> 7])
    return b"\x12\x20" + hashlib.sha256(b"\x08\x00\x12" + size + public).digest()


def from_base58(text: str) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes(34, "big")


def apply_patches(folder: Path, profile: Profile, ports: dict[str, int]) -> None:
    for patch in profile.patches:
        file = folder / patch.file
        text = file.read_text()
        new = fill(patch.replace, {"ports": ports})
        patched, count = re.subn(patch.find, new, text)
        assert count, f"nothing to patch in {file}: {patch.find}"
        assert re.sub(patch.find, new, patched) == patched
        file.write_text(patched)


@pytest.mark.parametrize("generation", DIALOGUES)
def test_a_generation_asks_trains_submits_and_ends(checkout, terminal, generation: str) -> None:
    run = checkout(generation, prompts=None, port=3000)
    folder = run.folder
    assert detect_profile(folder) == generation
    profile = load_profile(generation, folder)
    port = free_port()
    apply_patches(folder, profile, {"login": port, "p2p": free_port()})
    master, slave = terminal
    script = run.start(stdin=slave)
    # `read -p` shows its questions on stderr, which is the console here.
    for (question, answer), prompt in zip(
        DIALOGUES[generation],
        (p for p in profile.prompts if p.name != "hub_token"),
        strict=True,
    ):
        assert re.search(prompt.pattern, question)
        assert answer == prompt.answer
        run.says(re.escape(question))
        os.write(master, f"{answer}\n".encode())
    trainer = run.trained()
    assert [a for _, a in standin.answers(folder)] == [a for _, a in DIALOGUES[generation]]
    assert [n for n, _ in standin.answers(folder)] == list(standin.PROMPTS[generation])
    assert re.search(profile.waiting_login, run.printed)
    assert re.search(profile.logged_in, run.printed)

    identity = folder / "swarm.pem"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o400
    name, peer = HELLO.search(run.printed).groups()
    assert from_base58(peer) == peer_of(identity)
    assert len(name.split()) == 3
    assert submissions_of("submit-reward", folder)[0]["body"]["peerId"] == peer

    ready = folder / profile.ready.log if profile.ready.log else run.console
    assert re.search(profile.ready.pattern, ready.read_text(errors="replace"))
    if profile.submit.accepted:
        log = folder / profile.submit.log
        eventually(lambda: re.search(profile.submit.accepted, log.read_text()), "accepted")
        assert f"http://localhost:{port} " in log.read_text()
        assert "urllib3" not in run.printed
    else:
        assert "\033[32mINFO:hivemind_exp." in run.printed
        assert "🐝 Joining round: 30512 starting at stage: 0" in run.log("swarm.log")

    assert re.search(profile.trainer, " ".join(trainer.cmdline()))
    assert trainer.parent().pid == script.pid
    (twin,) = trainer.children()
    assert twin.cmdline() == trainer.cmdline()
    (daemon,) = twin.children()
    assert daemon.cmdline()[0].endswith("hivemind/hivemind_cli/p2pd")
    assert f"-id={identity}" in daemon.cmdline()
    server = server_process(folder)
    assert server.cwd() == os.path.realpath(folder / "modal-login")
    assert {os.getpgid(p.pid) for p in processes(folder)} == {script.pid}

    os.killpg(script.pid, signal.SIGTERM)
    assert script.wait(10) == -signal.SIGTERM
    assert ">> Shutting down trainer..." in run.printed
    assert not run.logged_in()
    eventually(lambda: not processes(folder), "end of all processes")


class Ending(msgspec.Struct, frozen=True):
    """How a run ends, and what that leaves."""

    what: str
    status: int
    own_session: bool = True
    trainer_exit: int | None = None
    group_signal: int | None = None
    login_kept: bool = False
    server_left: bool = False


@pytest.mark.parametrize(
    "ending",
    [
        Ending("trainer exits 1", -15, trainer_exit=1),
        Ending("trainer exits 1", 0, own_session=False, trainer_exit=1, server_left=True),
        Ending("trainer is killed", -15, trainer_exit=-9),
        Ending("trainer is killed", 0, own_session=False, trainer_exit=-9, server_left=True),
        Ending("SIGTERM to the group", -15, group_signal=signal.SIGTERM),
        Ending("SIGKILL to the group", -9, group_signal=signal.SIGKILL, login_kept=True),
    ],
    ids=lambda e: f"{e.what}, {'own' if e.own_session else 'no own'} session",
)
def test_what_an_ending_leaves(checkout, ending: Ending) -> None:
    run = checkout("codezero")
    script = run.start(own_session=ending.own_session)
    run.trained()
    if ending.group_signal is None:
        behave(run.folder, trainer_exit=ending.trainer_exit)
    else:
        os.killpg(script.pid, ending.group_signal)
    assert script.wait(10) == ending.status
    assert run.logged_in() is ending.login_kept
    if ending.server_left:
        assert "No such process" in run.printed
        url = f"http://127.0.0.1:{run.port}/api/get-api-key-status?orgId=x"
        assert httpx.get(url).text == "pending"
    else:
        eventually(lambda: server_process(run.folder) is None, "end of the login app")


def test_after_a_trainer_that_exits_0_the_script_waits_for_the_login_app(checkout) -> None:
    run = checkout()
    script = run.start()
    run.trained()
    behave(run.folder, trainer_exit=0)
    eventually(lambda: run.trainer() is None, "end of the trainer")
    assert "Exception occurred during game run." in run.log("swarm_launcher.log")
    eventually(lambda: not psutil.Process(script.pid).children()[1:], "script alone with the app")
    assert script.poll() is None
    assert run.logged_in()
    server_process(run.folder).terminate()
    assert script.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("generation", DIALOGUES)
def test_stdin_at_its_end_kills_the_script_and_the_login(checkout, generation: str) -> None:
    run = checkout(generation, prompts=None)
    script = run.start()
    assert script.wait(10) == -signal.SIGTERM
    assert not (run.folder / "standin/starts.jsonl").exists()
    # v0.4 asks before it starts the login app; the files go all the same.
    assert not run.logged_in()
    eventually(lambda: not processes(run.folder), "end of all processes")


def test_a_terminal_that_hangs_up_ends_the_script_and_the_login(checkout) -> None:
    # As leader of its session, bash makes the terminal that it reads its controlling one.
    run = checkout("codezero", prompts=None)
    master, slave = pty.openpty()
    try:
        script = run.start(stdin=slave)
        os.write(master, b"N\n\n")
        run.trained()
    finally:
        os.close(slave)
        os.close(master)
    assert script.wait(10) == -signal.SIGTERM
    assert not run.logged_in()
    eventually(lambda: not processes(run.folder), "end of all processes")


def feed(run: Run, text: str, **env: str) -> subprocess.Popen[bytes]:
    """Start a script with its answers in a pipe."""
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    with os.fdopen(reader):
        return run.start(stdin=reader, **env)


@pytest.mark.parametrize(
    ("outside", "inside"), [({"MODEL_NAME": "foo/bar"}, ""), ({}, None)], ids=["set", "unset"]
)
def test_the_enter_key_empties_a_models_name_from_the_environment(
    checkout, monkeypatch: pytest.MonkeyPatch, outside: dict[str, str], inside: str | None
) -> None:
    monkeypatch.delenv("MODEL_NAME", raising=False)
    run = checkout(prompts=None)
    feed(run, "N\n\nN\n", **outside)
    env = eventually(lambda: starts(run.folder), "trainer")[0]["env"]
    assert env.get("MODEL_NAME") == inside
    assert env["PRG_GAME"] == "false"
    assert env["ORG_ID"] == standin.ORGANISATION


def test_an_installer_can_eat_the_answers(checkout) -> None:
    run = checkout(prompts=None, eat_stdin=True)
    script = feed(run, "N\n\nN\n")
    assert script.wait(10) == -signal.SIGTERM
    assert (run.folder / "standin/eaten").read_bytes() == b"N\n\nN\n"
    assert standin.answers(run.folder) == []
    assert not run.logged_in()


def test_v0_4_asks_again_and_a_token_skips_the_hub(checkout) -> None:
    run = checkout("hivemind", prompts=None)
    feed(run, "what\nY\nx\nb\n3\n0.5\n", HF_TOKEN="hf_none")  # noqa: S106
    argv = eventually(lambda: starts(run.folder), "trainer")[0]["argv"]
    assert ">>> Please answer yes or no." in run.printed
    assert ">>> Please answer A or B." in run.printed
    assert ">>> Please answer in [0.5, 1.5, 7, 32, 72]." in run.printed
    assert argv[1:3] == ["--hf_token", "hf_none"]
    assert argv[argv.index("--game") + 1] == "dapo"
    contract = "0x6947c6E196a48B77eFa9331EC1E3e45f3Ee5Fd58"
    assert f"SWARM_CONTRACT_ADDRESS={contract}" in (run.folder / "modal-login/.env").read_text()


def test_v0_4_on_a_gpu_ends_where_its_peer_to_peer_port_is_taken(checkout) -> None:
    ports = {"login": free_port(), "p2p": free_port()}
    first = checkout("hivemind", gpu=True)
    second = checkout("hivemind", gpu=True)
    for run, login in ((first, ports["login"]), (second, free_port())):
        apply_patches(run.folder, load_profile("hivemind", run.folder), {**ports, "login": login})
    first.start()
    first.trained()
    assert second.start().wait(10) == -signal.SIGTERM
    assert "Daemon failed to start: failed to listen on any addresses" in second.printed


def test_nobody_has_logged_in_and_then_the_key_is_pending(checkout) -> None:
    run = checkout(login=False, login_pending=True)
    run.start()
    run.says("Waiting for modal userData.json to be created")
    standin.log_in(run.folder)
    run.says("Found userData.json. Proceeding...")
    run.says("Waiting for API key to be activated...")
    assert not starts(run.folder)
    behave(run.folder, login_pending=False)
    run.says("API key is activated! Proceeding...")
    run.trained()


def test_refused_submissions_are_in_the_log_file_alone(checkout) -> None:
    run = checkout(submit_status=400)
    run.start()
    run.trained()
    refused = load_profile("genrl", run.folder).submit.refused
    eventually(lambda: re.search(refused, run.log("swarm_launcher.log")), "refusal")
    error = f"400 Client Error: Bad Request for url: http://localhost:{run.port}/api/submit-reward"
    eventually(lambda: error in run.log("swarm_launcher.log"), "error")
    assert "Client Error" not in run.printed
    assert "Failed to call submitReward: InvalidRoundNumber" in run.log("yarn.log")
    assert run.trainer() is not None


@pytest.mark.parametrize("generation", ["hivemind", "codezero"])
def test_without_the_login_files_v0_4_ends_and_v0_7_goes_on(checkout, generation: str) -> None:
    run = checkout(generation)
    script = run.start()
    run.trained()
    for file in (run.folder / "modal-login/temp-data").iterdir():
        file.unlink()
    eventually(lambda: submissions(run.folder)[-1]["status"] == 404, "user not found")
    if generation == "hivemind":
        assert script.wait(10) == -signal.SIGTERM
        assert "404 Client Error: Not Found" in run.printed
    else:
        eventually(lambda: "404 Client Error" in run.log("swarm_launcher.log"), "error")
        assert run.trainer() is not None


def test_a_taken_port_is_said_in_the_yarn_log_alone(checkout) -> None:
    first = checkout()
    second = checkout(port=first.port)
    first.start()
    first.trained()
    second.start()
    eventually(lambda: starts(second.folder), "second trainer")
    assert "Error: listen EADDRINUSE" in second.log("yarn.log")
    assert "EADDRINUSE" not in second.printed
    # It has talked to the other's login app all the time, and submits there.
    eventually(lambda: server_process(second.folder) is None, "end of its login app")
    peer = eventually(lambda: HELLO.search(second.printed), "greeting")[2]
    eventually(
        lambda: peer in {s["body"]["peerId"] for s in submissions(first.folder)}, "submission"
    )


def test_a_script_can_end_with_0_at_once(checkout) -> None:
    run = checkout(exit_at_once=True)
    assert run.start().wait(10) == 0
    assert run.printed == ""
    assert run.logged_in()


def test_a_question_that_nobody_has_configured(checkout, terminal) -> None:
    run = checkout(extra_prompt=">> What is your favourite colour? ")
    master, slave = terminal
    run.start(stdin=slave)
    run.says(re.escape(">> What is your favourite colour? "))
    assert not starts(run.folder)
    os.write(master, b"green\n")
    run.trained()
    assert standin.answers(run.folder) == [("extra", "green")]


@pytest.mark.parametrize("how", ["session", "clean"])
def test_a_process_escapes(checkout, how: str) -> None:
    run = checkout(escape=how)
    script = run.start()
    run.trained()
    os.killpg(script.pid, signal.SIGTERM)
    script.wait(10)
    (escaped,) = eventually(
        lambda: len(processes(run.folder)) == 1 and processes(run.folder), "one process left"
    )
    assert os.getsid(escaped.pid) != script.pid
    assert os.getpgid(escaped.pid) != script.pid
    assert ("STANDIN_FOLDER" in escaped.environ()) is (how == "session")


def test_a_trainer_can_ignore_sigterm_hold_memory_and_fall_silent(checkout) -> None:
    run = checkout(ignore_term=True, allocate=96)
    script = run.start()
    trainer = run.trained()
    assert trainer.memory_info().rss > 96 << 20
    behave(run.folder, allocate=0)
    eventually(lambda: trainer.memory_info().rss < 96 << 20, "memory given back")

    behave(run.folder, silent=True)
    size = eventually(lambda: _same_twice(run.console), "silence")
    behave(run.folder, silent=False)
    eventually(lambda: run.console.stat().st_size > size, "output again")

    os.killpg(script.pid, signal.SIGTERM)
    assert script.wait(10) == -signal.SIGTERM
    eventually(lambda: [p.pid for p in processes(run.folder)] == [trainer.pid], "trainer alone")


def _same_twice(file: Path) -> int:
    """The size of a file over three rounds, or 0 where it has grown."""
    before = file.stat().st_size
    time.sleep(0.6)
    return before if file.stat().st_size == before else 0


def test_an_identity_is_kept_and_a_lost_one_is_replaced_by_another(checkout) -> None:
    run = checkout(identities=2)
    first, again = greeted_peer(run), greeted_peer(run)
    (run.folder / "swarm.pem").unlink()
    other = greeted_peer(run)
    assert first == again != other
    assert from_base58(other) == peer_of(run.folder / "swarm.pem")


def greeted_peer(run: Run) -> str:
    """Start a script until its trainer says who it is, and end it."""
    standin.log_in(run.folder)
    before = len(HELLO.findall(run.printed)) if run.console.exists() else 0
    script = run.start()
    eventually(lambda: len(HELLO.findall(run.printed)) > before, "greeting")
    os.killpg(script.pid, signal.SIGTERM)
    script.wait(10)
    return HELLO.findall(run.printed)[-1][1]


def test_an_install_takes_its_time(checkout) -> None:
    run = checkout(slow_start=0.5)
    run.start()
    run.says("Getting requirements")
    began = time.monotonic()
    run.trained()
    assert time.monotonic() - began > 0.4
    assert ">> Done!" in run.printed


def test_an_unknown_behaviour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="trainer_ext"):
        build_standin(tmp_path / "x", "genrl", trainer_ext=1)
