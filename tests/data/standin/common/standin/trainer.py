"""Stands in for the trainers of all generations: same processes, same log lines, no training.

Facts: rl-swarm v0.4.4, v0.6.4, v0.7.0. Behaviours come from standin.json, read again all the time.
"""

import contextlib
import json
import logging
import os
import re
import signal
import sys
import time
from pathlib import Path

from behaviour import read_behaviours
from identity import create_identity, nickname, peer_id
from plain_http import ask

_STANDIN = Path(__file__).resolve().parent
_FOLDER = _STANDIN.parent
_TICK_SECONDS = 0.05
_HYDRA = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"
_SWARM_LOG = "%(asctime)s - %(levelname)s - %(name)s:%(lineno)d - %(message)s"
_TRL = {"loss": 0.0, "grad_norm": 5.78, "learning_rate": 3.5e-07, "reward": 0.43, "epoch": 0.35}
_GENRL = "genrl.logging_utils.global_defs"
#: The first of the models that the trainer draws from where nobody names one.
_MODELS = {
    "genrl": "Gensyn/Qwen2.5-0.5B-Instruct",
    "codezero": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
}


class HTTPError(Exception):
    """The login app refused a request."""


class Trainer:
    """One run of a trainer of one generation."""

    def __init__(self, generation):
        self.generation = generation
        self.old = generation == "hivemind"
        self.arguments = _arguments()
        self.org = self.arguments.get("modal_org_id", os.environ.get("ORG_ID", ""))
        self.identity = Path(self.arguments.get("identity_path") or os.environ["IDENTITY_PATH"])
        self.config, self.proxy = self._configuration()
        self.peer = self.name = ""
        self.twin = 0
        self.held = b""
        self.escaped = False

    def run(self):
        signal.alarm(int(os.environ.get("STANDIN_LIFETIME", "300")))
        started = time.monotonic()
        self._record_start()
        self._open_logs()
        if not self.identity.exists():
            create_identity(self.identity, _STANDIN / "keys")
        self.peer = peer_id(self.identity.read_bytes())
        self.name = nickname(self.peer)
        self.twin = self._fork_twin()
        self._greet()
        behaviour = read_behaviours(_FOLDER)
        rounds = self._rounds(behaviour["first_round"])
        next_step = time.monotonic()
        while True:
            behaviour = read_behaviours(_FOLDER)
            self._obey(behaviour, time.monotonic() - started)
            if not behaviour["silent"] and time.monotonic() >= next_step:
                next(rounds)
                speed = float(os.environ.get("STANDIN_SPEED", "1"))
                next_step = time.monotonic() + behaviour["round_seconds"] / speed
            time.sleep(_TICK_SECONDS)

    def _configuration(self):
        """Return the text of the configuration, and the login app's address for submissions."""
        if self.old:
            config = Path(self.arguments["config"]).read_text()
            code = (_FOLDER / "hivemind_exp/chain_utils.py").read_text()
            return config, re.search(r'MODAL_PROXY_URL\s*=\s*"([^"]+)"', code)[1]
        path = Path(self.arguments["config-path"], self.arguments["config-name"])
        config = path.read_text()
        return config, re.search(r'modal_proxy_url:\s*"?([^"\s]+)', config)[1]

    def _record_start(self):
        start = {"pid": os.getpid(), "argv": sys.argv, "env": dict(os.environ)}
        with (_STANDIN / "starts.jsonl").open("a") as record:
            record.write(json.dumps(start) + "\n")

    def _open_logs(self):
        logs = Path(os.environ.get("ROOT") or Path.cwd()) / "logs"
        logs.mkdir(exist_ok=True)
        stream = sys.stderr if self.old else sys.stdout
        stream.reconfigure(encoding="utf-8")
        console = logging.StreamHandler(stream)
        console.setLevel(logging.INFO)
        if self.old:
            green, reset = ("", "") if os.environ.get("NO_COLOR") else ("\033[32m", "\033[0m")
            console.setFormatter(
                logging.Formatter(f"{green}%(levelname)s:%(name)s:%(message)s{reset}")
            )
            file = logging.FileHandler(logs / "swarm.log", mode="w", encoding="utf-8")
            file.setFormatter(logging.Formatter(_SWARM_LOG))
        else:
            console.setFormatter(logging.Formatter(_HYDRA))
            file = logging.FileHandler(logs / "swarm_launcher.log", mode="a", encoding="utf-8")
            file.setFormatter(logging.Formatter(_HYDRA))
        logging.addLevelName(logging.WARNING, "WARN")
        logging.raiseExceptions = False
        logging.basicConfig(level=logging.DEBUG, handlers=[console, file])

    def _fork_twin(self):
        """Fork a process of the same command line that owns p2pd, as hivemind's DHT does."""
        from_daemon, to_trainer = os.pipe()
        twin = os.fork()
        if not twin:
            os.close(from_daemon)
            self._be_twin(to_trainer)
        os.close(to_trainer)
        with os.fdopen(from_daemon, "rb") as daemon:
            if not daemon.readline():
                _stop(twin)
                self._die(
                    "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: "
                    "Daemon failed to start: failed to listen on any addresses"
                )
        return twin

    def _be_twin(self, to_trainer):
        signal.alarm(int(os.environ.get("STANDIN_LIFETIME", "300")))
        host = re.search(r"^host_maddr:\s*(\S+)", self.config, re.MULTILINE)
        command = [
            str(_FOLDER / ".venv/lib/python3/site-packages/hivemind/hivemind_cli/p2pd"),
            str(_STANDIN / "p2pd.py"),
            f"-id={self.identity}",
            f"-listen=/unix/tmp/hivemind-p2pd-{os.getpid()}.sock",
            f"-hostAddrs={host[1] if host else '/ip4/127.0.0.1/tcp/0'}",
        ]
        # Under a foreign name Python does not find its library by itself.
        env = os.environ | {"PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}"}
        python = os.path.realpath(sys.executable)
        daemon = os.posix_spawn(
            python, command, env, file_actions=[(os.POSIX_SPAWN_DUP2, to_trainer, 1)]
        )
        os.close(to_trainer)

        def leave(*_):
            _stop(daemon)
            os._exit(0)

        signal.signal(signal.SIGTERM, leave)
        os.waitpid(daemon, 0)
        os._exit(1)

    def _greet(self):
        peer, name = self.peer, self.name
        if self.old:
            runner = logging.getLogger("hivemind_exp.runner.grpo_runner")
            runner.info("🐱 Hello 🐈 [%s] 🦮 [%s]!", name, peer)
            if self.org:
                testnet = logging.getLogger("hivemind_exp.runner.gensyn.testnet_grpo_runner")
                testnet.info("Registering self with peer ID: %s", peer)
                self._post("register-peer")
            return
        log = logging.getLogger(_GENRL)
        log.info("✅ Connected to Gensyn Testnet")
        if self._post("register-peer") == 400:
            log.info("Peer ID [%s] is already registered! Continuing.", peer)
        if self.generation == "codezero":
            log.info("============!!!Joining CodeZero Swarm!!!============")
            log.info("🐝 Hello [%s] [%s]!", name, peer)
        else:
            log.info("🐱 Hello 🐈 [%s] 🦮 [%s]!", name, peer)
        log.info("Using Model: %s", os.environ.get("MODEL_NAME", _MODELS[self.generation]))

    def _rounds(self, number):
        """Do one round at each step."""
        one_round = self._hivemind_round if self.old else self._genrl_round
        first = number
        while True:
            every = read_behaviours(_FOLDER)["submit_every"]
            one_round(number, number == first, bool(every) and (number - first + 1) % every == 0)
            number += 1
            yield

    def _hivemind_round(self, number, first, due):
        log = logging.getLogger(f"hivemind_exp.trainer.hivemind_grpo_trainer:{self.name}")
        log.info("🐝 Joining round: %d starting at stage: 0", number)
        for stage in range(3):
            log.info("📈 Training round: %d stage: %d", number, stage)
            sys.stdout.write(f"{_TRL}\n")
            sys.stdout.flush()
            log.info("📉 Finished training round: %d stage: %d", number, stage)
            if due and self.org:
                self._post("submit-reward", roundNumber=number, stageNumber=stage, reward=1)
        if due and self.org:
            log.info("🏆 Submitting winners for round %d: %s", number, [self.peer])
            self._post("submit-winner", roundNumber=number, winners=[self.peer])
        log.info("Already finished round: %d. Next check in 300.0s.", number)

    def _genrl_round(self, number, first, due):
        log = logging.getLogger(_GENRL)
        if not first:
            log.info("🐝 Joining round: %d", number)
        log.info("Starting round: %d/1000000.", number)
        if due:
            try:
                self._post("submit-reward", roundNumber=number, stageNumber=0, reward=1)
                self._post("submit-winner", roundNumber=number, winners=[self.peer])
            except (HTTPError, OSError) as error:
                log.debug("%s", error)
        log.info("Already finished round: %d. Next check in 5.0s.", number)

    def _post(self, route, **body):
        """Return the answer's status. Raises what upstream lets through of a refusal."""
        url = f"{self.proxy}{route}"
        host, _, path = url.removeprefix("http://").partition("/")
        log = logging.getLogger("urllib3.connectionpool")
        log.debug("Starting new HTTP connection (1): %s", host)
        content = json.dumps({"orgId": self.org, "peerId": self.peer, **body})
        status, reason, _ = ask("POST", url, content.encode())
        log.debug('http://%s "POST /%s HTTP/1.1" %d None', host, path, status)
        # v0.4 ignores 500, and every generation a peer that is registered already.
        fine = 500 if self.old else 0, 400 if route == "register-peer" else 0
        if status >= 400 and status not in fine:
            kind = "Client" if status < 500 else "Server"
            raise HTTPError(f"{status} {kind} Error: {reason} for url: {url}")
        return status

    def _obey(self, behaviour, age):
        """Do what the behaviours ask of a running trainer."""
        ignored = signal.SIG_IGN if behaviour["ignore_term"] else signal.SIG_DFL
        signal.signal(signal.SIGTERM, ignored)
        if len(self.held) != behaviour["allocate"] << 20:
            # Written to, so that the machine really has to give the pages.
            self.held = b"x" * (behaviour["allocate"] << 20)
        if behaviour["escape"] and not self.escaped:
            self.escaped = True
            _escape({} if behaviour["escape"] == "clean" else dict(os.environ))
        if behaviour["trainer_exit"] is not None and age >= behaviour["trainer_exit_after"]:
            self._exit(behaviour["trainer_exit"])

    def _exit(self, code):
        if code < 0:
            os.kill(os.getpid(), -code)
        if code == 0:
            logging.getLogger(_GENRL).error(
                "Exception occurred during game run.\nTraceback (most recent call last):\n"
                "ValueError: expected sequence of length 2 at dim 1 (got 1)"
            )
            sys.exit(0)
        self._die("RuntimeError: stand-in was told to fail", code)

    def _die(self, text, code=1):
        sys.stderr.write(f"Traceback (most recent call last):\n{text}\n")
        sys.exit(code)


def _arguments():
    """Return the values of `--name value` by name."""
    words = iter(sys.argv[1:])
    return {word.removeprefix("--"): next(words) for word in words}


def _stop(pid):
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def _escape(env):
    """Start a process that no parent, session or group leads to."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    python = os.path.realpath(sys.executable)
    os.execve(python, [python, "-I", "-S", str(_STANDIN / "escaped.py")], env)  # noqa: S606


def main(generation):
    """Run until told to end. What goes wrong ends it with a traceback, as it does upstream."""
    trainer = Trainer(generation)
    try:
        trainer.run()
    finally:
        if trainer.twin:
            _stop(trainer.twin)
