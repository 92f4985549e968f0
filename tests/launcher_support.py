"""What tests of the launcher use by name: specs, and a launcher of real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.launcher.control import Launcher
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.launcher.nodes import launch_nodes
from swarm_exporter.launcher.spec import NodeSpec
from swarm_exporter.launcher.state import LauncherState, NodeRecord

#: How a node's command looks that only waits.
WAITS = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def make_spec(name: str = "1", folder: str = "/nodes/1", **more) -> NodeSpec:
    facts = {
        "slug": f"node-{name}",
        "marker": f"marker-{name}",
        "logs": f"{folder}/logs",
        "profile": "custom",
        "command": ("true",),
        "env": {},
        "unset": (),
        "umask": 0o077,
        "prompts": (),
        "login": (),
        "identity": "",
        "ports": {},
        "stop_signal": int(signal.SIGTERM),
        "stop_grace": 2.0,
        "console": f"{folder}/logs/console.log",
        "log_size": 1_000_000,
        "log_files": 3,
        "question_after": 0.5,
        "trainer": "",
        "trainer_grace": 30.0,
        "waiting_login": "",
        "logged_in": "",
        "ready_log": "",
        "ready_pattern": "",
        "ready_after": 0.0,
        "submit_period": None,
        "submit_log": "",
        "submit_accepted": "",
        "submit_refused": "",
        "start_timeout": 3600.0,
        "memory": 1_000_000,
    }
    return NodeSpec(name=name, folder=folder, **{**facts, **more})


class LaunchedNodes:
    """A launcher in a folder of its own, driven as the command line drives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = Launcher(folder / "state")

    def configure(self, settings: str, *, nodes: int = 1) -> Config:
        for number in range(1, nodes + 1):
            (self.folder / f"rl-swarm-{number}").mkdir(parents=True, exist_ok=True)
        file = self.folder / "swarm.yml"
        head = f"instances: {nodes}\nstate_dir: ./state\nlisten: 127.0.0.1:1\n"
        file.write_text(head + textwrap.dedent(settings))
        return load_config(Flags(config=str(file)), {}, self.folder)

    def launch(self, config: Config, **how):
        nodes = launch_nodes(config, self.folder)
        how.setdefault("reserve", config.launcher.reserve or 0)
        return self.launcher.launch(nodes, config, **how)

    @property
    def state(self) -> LauncherState:
        return self.launcher.state() or LauncherState()

    def node(self, name: str = "1") -> NodeRecord:
        return self.state.nodes.get(name) or NodeRecord(name=name)

    def until(self, reached, what: str, seconds: float = 30.0):
        """Look again until the launcher's state fulfils a condition."""
        end = time.monotonic() + seconds
        while True:
            state = self.state
            with contextlib.suppress(KeyError):
                if found := reached(state):
                    return found
            assert time.monotonic() < end, (what, state.nodes, state.events[-20:])
            time.sleep(0.05)

    def until_state(self, word: str, name: str = "1", seconds: float = 30.0) -> NodeRecord:
        def reached(state: LauncherState):
            record = state.nodes[name]
            return record if record.state == word else None

        return self.until(reached, f"node {name} {word}", seconds)

    def console(self, name: str = "1") -> str:
        try:
            return (Path(self.node(name).folder) / "logs" / "console.log").read_text()
        except FileNotFoundError:
            return ""

    def spec(self, name: str = "1") -> NodeSpec:
        found = self.launcher._spec(name)
        assert found is not None
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that runs of this launcher: supervisor, policy, runners, nodes."""
        markers = {spec.marker for spec in self.launcher._known_specs()}
        root = str(self.launcher.files.root)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                marked = process.environ().get(MARKER) in markers if markers else False
                ours = "swarm_exporter.launcher" in " ".join(process.cmdline())
                ours = ours or "supervisor.supervisord" in process.cmdline()
                if marked or (ours and process.cwd() == root):
                    found.append(process)
        return found

    def end_by_force(self) -> None:
        """Leave nothing, whatever the test did."""
        for _ in range(20):
            found = self.processes()
            if not found:
                shutil.rmtree(self.launcher.files.socket.parent, ignore_errors=True)
                return
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=2)


@contextlib.contextmanager
def sleeper(**how) -> Iterator[subprocess.Popen]:
    """A stranger's process, which nothing of ours may touch."""
    process = subprocess.Popen(["sleep", "600"], **how)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
