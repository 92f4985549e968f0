"""`python -m swarm_exporter.launcher.listener FOLDER`: the policy at work, under supervisord.

supervisord tells it of every change of a process, and hands on what a person asks for; between
those it looks at the nodes on its own clock. What it sees and decided stands in state.json.
"""

from __future__ import annotations

import json
import logging
import random
import re
import select
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
from supervisor import childutils

from swarm_exporter.launcher import machine
from swarm_exporter.launcher.files import LauncherFiles, NodeFiles, read_json
from swarm_exporter.launcher.login import save_login
from swarm_exporter.launcher.logwatch import LogWatch
from swarm_exporter.launcher.marker import RUNNER
from swarm_exporter.launcher.measure import process_memory
from swarm_exporter.launcher.policy import (
    IDLE_SHARE,
    Action,
    Deed,
    Exit,
    Observed,
    Policy,
    Surroundings,
)
from swarm_exporter.launcher.preflight import obstacle
from swarm_exporter.launcher.processes import ProcessTable, command_line, cpu_seconds
from swarm_exporter.launcher.programs import COMMAND
from swarm_exporter.launcher.spec import NodeSpec, Settings
from swarm_exporter.launcher.state import (
    LauncherState,
    RestartReason,
    load_state,
    save_state,
    set_aside,
)
from swarm_exporter.launcher.supervisord import Supervisor

log = logging.getLogger(__name__)

#: Events in a row lead to one look.
_SHORTEST_PAUSE_SECONDS = 0.2
#: Memory is added up page by page: not at every look.
_MEMORY_SECONDS = 30.0
_EARNINGS_SECONDS = 60.0
#: The exporter is on this machine: no proxy of the person's reaches it.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_AFTER_FAULT_SECONDS = 10.0
_UP = ("STARTING", "RUNNING", "STOPPING")


class _Watched:
    """What is remembered of one node from look to look."""

    def __init__(self, spec: NodeSpec, files: NodeFiles) -> None:
        self.spec = spec
        self.files = files
        self.logs = LogWatch(spec)
        self.trainer = re.compile(spec.trainer) if spec.trainer else None
        self.twins: set[psutil.Process] = set()
        self.run_started: float | None = None
        self.cpu: tuple[float, float] | None = None
        self.memory_at = 0.0
        self.sweep: subprocess.Popen[bytes] | None = None


class Listener:
    """Looks at every node, lets the policy decide, and does what it says."""

    def __init__(self, root: Path) -> None:
        """Read settings, specs and what was known before."""
        self._files = LauncherFiles(root.parent)
        self._supervisor = Supervisor(self._files)
        self._table = ProcessTable()
        self._watched: dict[str, _Watched] = {}
        self._earnings: dict[str, float] = {}
        self._swarm_halted = False
        self._earnings_at = 0.0
        state = load_state(self._files.state)
        if state is None:
            state = LauncherState()
            aside = set_aside(self._files.state, time.time())
            if aside is not None:
                log.error(
                    "%s is no state of this version: set aside as %s", self._files.state, aside
                )
        self._said_until = time.time()
        self._settings = self._read_settings()
        self._policy = Policy(state, self._settings, self._specs(), random.uniform)
        alive = [name for name, node in self._watched.items() if node.files.is_held()]
        self._policy.resume(time.time(), alive)

    def run(self) -> None:
        """Go on until supervisord closes the input."""
        childutils.listener.ready()
        due = 0.0
        while True:
            pause = max(due - time.monotonic(), 0.0)
            if select.select([sys.stdin], [], [], pause)[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                headers = childutils.get_headers(line)
                payload = sys.stdin.read(int(headers["len"]))
                self._take_event(headers["eventname"], payload)
                childutils.listener.ok()
                childutils.listener.ready()
                due = min(due, time.monotonic() + _SHORTEST_PAUSE_SECONDS)
            else:
                self._look()
                due = time.monotonic() + self._settings.look_interval

    # --- what a person asks for ----------------------------------------------------------------

    def _take_event(self, name: str, payload: str) -> None:
        if name != "REMOTE_COMMUNICATION":
            return  # A process changed: the look that follows sees it.
        header, _, body = payload.partition("\n")
        if header != f"type:{COMMAND}":
            return
        try:
            self._take_command(json.loads(body))
        except (ValueError, KeyError, TypeError):
            log.exception("a command was not understood")

    def _take_command(self, command: dict[str, Any]) -> None:
        now = time.time()
        do = command["do"]
        if do == "configure":
            self._settings = self._read_settings()
            self._policy.configure(self._settings, self._specs())
        elif do == "halt":
            self._policy.halt(now)
        for name in command.get("nodes", ()):
            if name not in self._watched:
                continue
            if do == "configure":
                self._policy.want(name, now)
            elif do == "stop":
                self._policy.unwant(name, now)
            elif do == "restart":
                reason = RestartReason(command.get("reason", RestartReason.REQUESTED))
                later = bool(command.get("after_submit"))
                self._policy.restart(name, now, reason, after_submit=later)
        self._policy.state.handled = command["id"]

    # --- one look ------------------------------------------------------------------------------

    def _look(self) -> None:
        now = time.time()
        try:
            states = self._supervisor.states()
            self._table.look()
            self._ask_earnings(now)
            seen = {name: self._observe(node, states, now) for name, node in self._watched.items()}
            around = Surroundings(
                available_memory=machine.available_memory(),
                pressure=machine.pressure(),
                swarm_halted=self._swarm_halted,
            )
            for action in self._policy.step(now, seen, around):
                self._do(action, now)
        except (OSError, xmlrpc.client.Error, psutil.Error) as error:
            # supervisord is ending, or the machine refuses: the next look tries again.
            log.warning("this look failed: %s", error)
        except Exception:
            # Whatever it is, the nodes go on and so does the watch.
            log.exception("a fault of the launcher itself; please report these lines")
        self._publish(now)

    def _observe(self, node: _Watched, states: dict[str, str], now: float) -> Observed:
        spec, record = node.spec, self._policy.state.nodes[node.spec.name]
        up = states.get(spec.slug) in _UP
        held = node.files.is_held()
        run = self._run(node) if held else None
        roots = [int(run["runner"])] if run is not None else []
        members = self._table.members(spec.marker, roots)
        if not held and not up:
            # Its runner was killed and had no chance to end what it had started.
            self._sweep(node, remains=bool(members))
        if run is not None and run["started"] != node.run_started:
            node.run_started = run["started"]
            if run["started"] != record.started:
                record.offsets = {k: (v[0], v[1]) for k, v in run["positions"].items()}
        facts = node.logs.look(record.offsets)
        if held:
            self._save_login(node)
        return Observed(
            up=up,
            sweeping=node.sweep is not None,
            orphaned=held and not up,
            pid=run["pid"] if run is not None else None,
            started=run["started"] if run is not None else None,
            question=run["question"] if run is not None else "",
            exit=self._exit(node, record.started) if not held else None,
            trainer_pid=self._trainer(node, members),
            ready=facts.ready,
            waiting_login=facts.waiting_login,
            accepted=facts.accepted,
            refused=facts.refused,
            last_line=facts.last_line,
            busy=self._is_busy(node, members, now),
            memory=self._memory(node, members, now),
            idle_earning=self._earnings.get(spec.name),
        )

    def _run(self, node: _Watched) -> dict[str, Any] | None:
        """Return what the runner that holds the node's lock has written, once it has."""
        run = read_json(node.files.run)
        # That of a runner which was killed stays behind.
        return run if run is not None and self._table.has(int(run["runner"]), RUNNER) else None

    def _exit(self, node: _Watched, started: float | None) -> Exit | None:
        content = read_json(node.files.exit)
        if content is None:
            return None
        end = msgspec.convert(content, Exit)
        # A runner removes what the one before has written. This one may have been too short to
        # be seen, or could not even begin.
        return end if end.error or started in (None, end.started) else None

    def _trainer(self, node: _Watched, members: list[psutil.Process]) -> int | None:
        """Return the trainer, never the twin that it has forked.

        A twin has the trainer's command line and outlives it (hivemind's DHT is a forked process).
        """
        if node.trainer is None:
            return None
        found = {p.pid: p for p in members if node.trainer.search(command_line(p))}
        node.twins &= set(found.values())
        node.twins |= {p for p in found.values() if self._table.parent(p.pid) in found}
        return min((pid for pid, p in found.items() if p not in node.twins), default=None)

    def _is_busy(self, node: _Watched, members: list[psutil.Process], now: float) -> bool:
        before, used = node.cpu, cpu_seconds(members)
        node.cpu = (now, used)
        if before is None or now <= before[0]:
            return False
        return (used - before[1]) / (now - before[0]) > IDLE_SHARE

    def _memory(self, node: _Watched, members: list[psutil.Process], now: float) -> int | None:
        if not members or now - node.memory_at < _MEMORY_SECONDS:
            return None
        node.memory_at = now
        sizes = [size for size in map(process_memory, members) if size is not None]
        return sum(sizes) if sizes else None

    def _save_login(self, node: _Watched) -> None:
        try:
            save_login(node.spec.login, node.files.login)
        except OSError as error:
            log.warning("node %s: login data not saved: %s", node.spec.name, error.strerror)

    def _sweep(self, node: _Watched, *, remains: bool) -> None:
        if node.sweep is not None:
            node.sweep = node.sweep if node.sweep.poll() is None else None
        elif remains:
            log.warning("node %s: ending what is left of it", node.spec.name)
            node.sweep = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable,
                    "-m",
                    "swarm_exporter.launcher.sweep",
                    *("--marker", node.spec.marker),
                    *("--grace", str(node.spec.stop_grace)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    # --- deeds ---------------------------------------------------------------------------------

    def _do(self, action: Action, now: float) -> None:
        node = self._watched[action.node]
        try:
            if action.deed is Deed.STOP:
                self._supervisor.call("stopProcess", node.spec.slug, False)
                return
            if not node.files.is_held():
                problem = obstacle(node.spec, self._running(node), self._strangers())
                if problem is not None:
                    self._policy.refuse(action.node, now, problem.problem, final=problem.final)
                    return
            self._supervisor.call("startProcess", node.spec.slug, False)
        except xmlrpc.client.Fault as fault:
            # It ended, or was started, in this very moment: the next look sees what it is.
            log.warning("node %s: %s: %s", action.node, action.deed.value, fault.faultString)

    def _running(self, node: _Watched) -> list[NodeSpec]:
        records = self._policy.state.nodes
        return [
            other.spec
            for name, other in self._watched.items()
            if other is not node and records[name].runs
        ]

    def _strangers(self) -> Iterator[psutil.Process]:
        """Yield the processes that are no node's of this launcher."""
        own: set[int] = set()
        for node in self._watched.values():
            own.update(p.pid for p in self._table.members(node.spec.marker))
        return (process for process in self._table.processes() if process.pid not in own)

    # --- what is known, and where it goes ------------------------------------------------------

    def _read_settings(self) -> Settings:
        return msgspec.json.decode(self._files.settings.read_bytes(), type=Settings)

    def _specs(self) -> dict[str, NodeSpec]:
        """Read the specs of all nodes of the settings anew."""
        specs = {}
        for name in self._settings.nodes:
            files = self._files.node(name)
            spec = msgspec.json.decode(files.spec.read_bytes(), type=NodeSpec)
            specs[name] = spec
            if name not in self._watched or self._watched[name].spec != spec:
                self._watched[name] = _Watched(spec, files)
        return specs

    def _ask_earnings(self, now: float) -> None:
        """Ask the exporter what the nodes earn, where the watchdog needs to know."""
        rules = self._settings.watchdog
        if rules.stalled is None or now - self._earnings_at < _EARNINGS_SECONDS:
            return
        self._earnings_at = now
        self._earnings = {}
        try:
            url = f"{self._settings.exporter_url}/api/status"
            with _DIRECTLY.open(url, timeout=2.0) as answer:
                document = json.load(answer)
            for line in document["nodes"]:
                since = line["last_increase"] or line["earned_since"]
                if since is not None and line["condition"] in ("earning", "training"):
                    self._earnings[line["node"]] = max(now - since, 0.0)
            self._swarm_halted = any(n["condition"] == "swarm_halted" for n in document["nodes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the watchdog cannot ask the exporter what the nodes earn: %s", error)

    def _publish(self, now: float) -> None:
        state = self._policy.state
        state.time = now
        for at, node, words in state.events:
            if at > self._said_until:
                log.info("node %s: %s", node, words)
        self._said_until = max([self._said_until, *(at for at, _, _ in state.events)])
        try:
            save_state(self._files.state, state)
        except OSError as error:
            log.warning("the state is not written: %s", error.strerror)


def main() -> None:
    """Run below supervisord."""
    logging.basicConfig(
        level="INFO", stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s"
    )
    try:
        Listener(Path(sys.argv[1]).resolve()).run()
    except Exception:
        # supervisord starts it again at once: what stays wrong must not keep a processor busy.
        log.exception("the policy ends, and begins anew in %.0f seconds", _AFTER_FAULT_SECONDS)
        time.sleep(_AFTER_FAULT_SECONDS)
        sys.exit(1)


if __name__ == "__main__":
    main()
