"""Stand-ins for checkouts of RL Swarm: same script, same files, same processes, no training.

What they do is in tests/data/standin; the facts are rl-swarm's, v0.4.4, v0.6.4 and v0.7.0.
Each process ends by itself after STANDIN_LIFETIME seconds (300); tests end them with `sweep`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_DATA = Path(__file__).parent / "data" / "standin"
#: The trainer's module of each generation.
MODULES = {
    "hivemind": "hivemind_exp.gsm8k.train_single_gpu",
    "genrl": "rgym_exp.runner.swarm_launcher",
    "codezero": "code_gen_exp.runner.swarm_launcher",
}
#: What the script of each generation asks, in its order, by the names of the profiles.
PROMPTS = {
    "hivemind": ("testnet", "swarm", "parameters", "push_to_hub"),
    "genrl": ("push_to_hub", "model", "prediction_market"),
    "codezero": ("push_to_hub", "model"),
}
#: Files that name the login app's port.
_NAMING_PORT = (
    "run_rl_swarm.sh",
    "hivemind_exp/chain_utils.py",
    "rgym_exp/config/rg-swarm.yaml",
    "code_gen_exp/config/code-gen-swarm.yaml",
)
SERVER_TITLE = "next-server (v14.2.35)"
ORGANISATION = "f2aa5d40-c21c-493a-9cd6-357e56f85dc6"


def build_standin(
    folder: Path,
    generation: str,
    *,
    prompts: Sequence[str] | None = None,
    port: int = 3000,
    login: bool = True,
    identities: int = 1,
    **behaviour: Any,
) -> Path:
    """Create a checkout of `generation` in `folder`, and return the folder.

    `prompts` are the questions that the script asks, all of its generation's by default. `port`
    is the login app's, in the files where upstream has 3000 and in package.json, where it beats
    PORT. Without `login` nobody has logged in yet. The trainer can create as
    many `identities` as said, each other than those before. For the behaviours see `behave`.
    """
    for part in ("common", generation):
        shutil.copytree(_DATA / part, folder, dirs_exist_ok=True)
    for script in (folder / "standin/steps.sh", folder / "standin/bin/next"):
        _fill_in_python(script)
    if port != 3000:
        _replace(folder / "modal-login/package.json", '"next start"', f'"next start -p {port}"')
        for name in _NAMING_PORT:
            if (folder / name).exists():
                _replace(folder / name, "localhost:3000", f"localhost:{port}")
    asked = PROMPTS[generation] if prompts is None else prompts
    (folder / "standin/prompts").write_text(" ".join(asked))
    keys = folder / "standin/keys"
    keys.mkdir()
    for number in range(identities):
        (keys / f"{number}").write_bytes(new_identity())
    shutil.copy(_DATA / "behaviours.json", folder / "standin.json")
    behave(folder, **behaviour)
    if login:
        log_in(folder)
    return folder


def behave(folder: Path, **behaviour: Any) -> None:
    """Change what a stand-in does, from now on, also while it runs.

    exit_at_once: the script exits 0 before it does anything.
    extra_prompt: text of a question that the script asks last, before the trainer.
    eat_stdin: installing reads away what waits on stdin.
    slow_start: seconds that installing takes.
    login_pending: the login app says `pending`.
    submit_status: the login app's answer to submissions: 200, 400, 500.
    trainer_exit: the trainer's exit status, or minus the signal that kills it; None is never.
    trainer_exit_after: seconds after the trainer's start, for `trainer_exit`.
    silent: the trainer lives, but does and prints nothing.
    ignore_term: the trainer ignores SIGTERM.
    allocate: MiB that the trainer holds.
    escape: "session" starts a process in a session of its own, without a parent that leads to
    it; "clean" the same without any environment; "" none.
    gpu: v0.4 takes a GPU's configuration, which binds a fixed peer-to-peer port.
    first_round, round_seconds: of the trainer; STANDIN_SPEED in the environment divides these.
    submit_every: rounds from one submission to the next; 0 is never.
    """
    file = folder / "standin.json"
    known = json.loads(file.read_text())
    unknown = behaviour.keys() - known.keys()
    assert not unknown, f"no behaviours of the stand-in: {unknown}"
    unfinished = folder / "standin/standin.json.new"
    unfinished.write_text(json.dumps(known | behaviour, indent=2))
    unfinished.replace(file)


def log_in(folder: Path, *, activated: bool = True) -> None:
    """Write the files of a login, as the login app does."""
    data = folder / "modal-login/temp-data"
    data.mkdir(exist_ok=True)
    user = {"orgId": ORGANISATION, "address": "0x" + "11" * 20, "userId": "standin"}
    key = {"publicKey": "04", "privateKey": "00", "createdAt": 0, "activated": activated}
    (data / "userApiKey.json").write_text(json.dumps({ORGANISATION: [key]}, indent=2))
    (data / "userData.json").write_text(json.dumps({ORGANISATION: user}, indent=2))


def new_identity() -> bytes:
    """Return the content of a new swarm.pem: a libp2p private key of type RSA."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    content = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    size = bytes([len(content) & 0x7F | 0x80, len(content) >> 7])
    return b"\x08\x00\x12" + size + content


def starts(folder: Path) -> list[dict[str, Any]]:
    """Return `pid`, `argv` and `env` of every start of the trainer so far."""
    return _records(folder, "starts.jsonl")


def submissions(folder: Path) -> list[dict[str, Any]]:
    """Return `route`, `status` and `body` of every request to the folder's own login app."""
    return _records(folder, "submissions.jsonl")


def answers(folder: Path) -> list[tuple[str, str]]:
    """Return prompt and answer, as the script has read them so far; over all its starts."""
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / "standin/answers").read_text().splitlines()
        return [(line.split("\t")[0], line.split("\t")[1]) for line in lines]
    return []


def processes(folder: Path) -> list[psutil.Process]:
    """Return every living process of a stand-in, wherever it has gone; zombies are not living."""
    real, escaped = os.path.realpath(folder), _escaped(folder)
    return [p for p in psutil.process_iter() if _belongs(p, real, escaped)]


def trainer_process(folder: Path, generation: str) -> psutil.Process | None:
    """Return the trainer: not the twin, which has the same command line and is its child."""
    started = {start["pid"] for start in starts(folder)}
    module = f" -m {MODULES[generation]} "
    alike = (p for p in processes(folder) if module in _command_line(p))
    return next((p for p in alike if p.pid in started), None)


def server_process(folder: Path) -> psutil.Process | None:
    """Return the login app."""
    return next((p for p in processes(folder) if _command_line(p) == SERVER_TITLE), None)


def sweep(folder: Path) -> None:
    """Kill whatever a stand-in has left behind, and wait until it is gone."""
    while left := processes(folder):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Not psutil.wait_procs: who is nobody's child any more may stay a zombie for a while.
        time.sleep(0.01)


def _records(folder: Path, name: str) -> list[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / "standin" / name).read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]
    return []


def _escaped(folder: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return int((folder / "standin/escaped.pid").read_text())
    return None


def _belongs(process: psutil.Process, folder: str, escaped: int | None) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.pid == escaped or f"{process.cwd()}/".startswith(f"{folder}/"):
            return True
        return os.path.realpath(process.environ().get("STANDIN_FOLDER", "/")) == folder
    except (psutil.Error, OSError):
        return False


def _command_line(process: psutil.Process) -> str:
    try:
        # psutil takes a title of several words for several arguments.
        return " ".join(process.cmdline()).strip()
    except (psutil.Error, OSError):
        return ""


def _fill_in_python(script: Path) -> None:
    home = f"{sys.base_prefix}:{sys.base_exec_prefix}"
    values = {
        "@PYTHON@": sys.executable,
        "@BASE_PYTHON@": os.path.realpath(sys.executable),
        "@PYTHONHOME@": home,
    }
    for mark, value in values.items():
        _replace(script, mark, shlex.quote(value))


def _replace(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))
