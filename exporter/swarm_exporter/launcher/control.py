"""What a person does with the launcher: launch, stop, restart; and what it knows of the nodes."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from swarm_exporter.config import Config
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.exclusive import LOCK_SECONDS, exclusive
from swarm_exporter.launcher.files import LauncherFiles, NodeFiles, read_json, slug
from swarm_exporter.launcher.marker import RUNNER
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.private_files import write_private
from swarm_exporter.launcher.processes import ProcessTable, describe, end_tree
from swarm_exporter.launcher.programs import COMMAND, sections
from swarm_exporter.launcher.spec import NodeSpec, Settings, node_spec
from swarm_exporter.launcher.state import LauncherState, State, load_state, save_state
from swarm_exporter.launcher.supervisord import Supervisor

_HANDLED_SECONDS = 30.0
_LOOK_SECONDS = 0.1
#: Ended or waiting: nothing of it runs.
_AT_REST = (State.STOPPED, State.BACKOFF, State.FATAL, State.EXITED, State.UNKNOWN)

#: Called again and again while something is awaited.
Progress = Callable[[LauncherState], None]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a `launch` changed. Names of nodes, in their order."""

    started_supervisor: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    #: They are no longer named and still run.
    left_running: tuple[str, ...]


class Launcher:
    """The launcher of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        """Name it; nothing is started or asked."""
        self.files = LauncherFiles(state_dir)
        self.supervisor = Supervisor(self.files)

    def state(self) -> LauncherState | None:
        """Return what the policy wrote last, or None where nothing was launched here."""
        return load_state(self.files.state)

    def launch(
        self,
        nodes: Sequence[LaunchNode],
        config: Config,
        *,
        reserve: int,
        measured: int | None = None,
        plan_env: Callable[[LaunchNode], Mapping[str, str]] = lambda _: {},
        after_submit: bool = False,
        keep_stopped: bool = False,
    ) -> Changes:
        """Start what does not run, restart what has changed, and leave the rest alone.

        Returns once the policy has taken it in; the nodes start one after another from then on.
        Raises SwarmExporterError.
        """
        with exclusive(self.files):
            known = {spec.name: spec for spec in self._known_specs()}
            state = self.state() or LauncherState()
            specs = []
            for node in nodes:
                before = known.get(node.name)
                spec = node_spec(
                    node,
                    config.launcher,
                    slug=slug(node.name),
                    marker=before.marker if before else secrets.token_hex(8),
                    memory=measured,
                )
                planned = {k: v for k, v in plan_env(node).items() if k not in node.own_env}
                env = {**planned, **spec.env}
                spec = msgspec.structs.replace(spec, env=env, planned=tuple(planned))
                specs.append(spec)
            named = [spec.name for spec in specs]
            left = [
                spec
                for name, spec in known.items()
                if name not in named and name in state.nodes and state.nodes[name].runs
            ]
            running = self.supervisor.answers()
            if not running:
                self._refuse_deaf()
            changed = [
                s.name
                for s in specs
                if s.name in known
                and known[s.name].is_changed(s)
                and s.name in state.nodes
                and state.nodes[s.name].runs
            ]
            self._write([*specs, *left], config, reserve)
            if running:
                self.supervisor.add_programs()
            else:
                self.supervisor.start()
            wanted = [
                name
                for name in named
                if not (keep_stopped and name in state.nodes and not state.nodes[name].wanted)
            ]
            self.command("configure", wanted)
            if changed:
                self.command("restart", changed, reason="changed", after_submit=after_submit)
            return Changes(
                started_supervisor=not running,
                added=tuple(n for n in named if n not in known),
                changed=tuple(changed),
                unchanged=tuple(n for n in named if n in known and n not in changed),
                left_running=tuple(spec.name for spec in left),
            )

    def command(self, do: str, nodes: Sequence[str], **more: Any) -> None:  # noqa: ANN401 - JSON
        """Hand a command to the policy and wait until it has taken it in."""
        command = {"id": secrets.token_hex(4), "do": do, "nodes": list(nodes), **more}
        try:
            self.supervisor.call("sendRemoteCommEvent", COMMAND, json.dumps(command))
        except (OSError, xmlrpc.client.Fault) as error:
            raise SwarmExporterError(
                f"the supervisor does not take the command ({error}); look at "
                f"{self.files.supervisor_log}"
            ) from None
        self._await(
            lambda state: state.handled == command["id"],
            _HANDLED_SECONDS,
            f"the launcher did not take in the command; look at {self.files.policy_log}",
        )

    def stop(
        self,
        names: Sequence[str] | None,
        progress: Progress = lambda _: None,
        *,
        remember: bool = False,
    ) -> list[str]:
        """Stop nodes, or all of them and the supervisor; return the names of those that ran.

        With `remember` they count as wanted still, as where the machine is shut down. Nothing of
        them is left when it returns. Raises SwarmExporterError where something is.
        """
        with exclusive(self.files):
            if not self.supervisor.answers():
                self._end_deaf(names)
                ended = self._end_orphans(names)
                if not remember:
                    self._note_stopped(names)
                return ended
            state = self.state() or LauncherState()
            chosen = [name for name in names or state.nodes if name in state.nodes]
            ran = [name for name in chosen if state.nodes[name].runs]
            self.command("halt" if remember else "stop", chosen)
            specs = [self._spec(name) for name in chosen]
            # A runner that hangs is ended by supervisord first, and then what it has left.
            longest = 2 * max((spec.stop_grace for spec in specs if spec), default=0.0) + 60.0
            self._await(
                lambda now: all(now.nodes[name].state in _AT_REST for name in chosen),
                longest,
                f"a node did not end; look at {self.files.policy_log}",
                progress,
            )
            if names is None:
                self.supervisor.shut_down()
            self._refuse_remains(chosen)
            self._refuse_survivors(ran)
            return ran

    def held_ports(self, names: Sequence[str]) -> list[str]:
        """Return a sentence for each port of these nodes that somebody else holds."""
        return [
            f"port {port} ({key}) of node {name} is held by {holder(port)}, which is not the node's"
            for name in names
            if (spec := self._spec(name)) is not None
            for key, port in spec.ports.items()
            if is_taken(port)
        ]

    def restart(self, names: Sequence[str], *, after_submit: bool = False) -> None:
        """Restart nodes, now or each after its next submission.

        Raises SwarmExporterError for one that the newest launch did not name.
        """
        with exclusive(self.files):
            for name in names:
                if name not in self.named():
                    raise SwarmExporterError(
                        f"node {name} was not named by the newest launch; start it with "
                        "`swarm-exporter launch`"
                    )
            self.command("restart", names, reason="requested", after_submit=after_submit)

    def named(self) -> list[str]:
        """Return the nodes that the newest launch named, and those that ran on beside them."""
        return list((read_json(self.files.settings) or {}).get("nodes", ()))

    def orphans(self) -> list[str]:
        """Return the nodes that run although no supervisor does: that one was killed."""
        return [
            str(content["name"])
            for files in self.files.nodes()
            if files.is_held() and (content := read_json(files.spec)) is not None
        ]

    def is_orphaned(self) -> bool:
        """Tell whether nodes run without a supervisor."""
        return not self.supervisor.answers() and bool(self.orphans())

    # --- inside --------------------------------------------------------------------------------

    def _note_stopped(self, names: Sequence[str] | None) -> None:
        """Note, while no policy runs, that a person has stopped nodes."""
        state = self.state()
        if state is None:
            return
        for name, record in state.nodes.items():
            if names is None or name in names:
                record.wanted = False
                record.state, record.since, record.reason = (
                    State.STOPPED,
                    time.time(),
                    "stopped by hand",
                )
                record.pid = record.trainer_pid = record.due = None
                record.postponed = record.restarting = None
        with contextlib.suppress(OSError):
            save_state(self.files.state, state)

    def _refuse_deaf(self) -> None:
        deaf = self.supervisor.deaf_process()
        if deaf is not None:
            raise SwarmExporterError(
                f"the supervisor (process {deaf.pid}) runs but does not answer; try again, or end "
                "it and all nodes with `swarm-exporter stop`"
            )

    def _end_deaf(self, names: Sequence[str] | None) -> None:
        """End a supervisord that does not answer, as all nodes are to end; they outlive it."""
        if names is not None:
            self._refuse_deaf()
        deaf = self.supervisor.deaf_process()
        if deaf is not None:
            with contextlib.suppress(psutil.Error):
                deaf.kill()
                deaf.wait(LOCK_SECONDS)

    def _write(self, specs: Sequence[NodeSpec], config: Config, reserve: int) -> None:
        try:
            for spec in specs:
                folder = self.files.node(spec.name).folder
                folder.mkdir(mode=0o700, exist_ok=True)
                write_private(self.files.node(spec.name).spec, msgspec.json.encode(spec))
            settings = Settings(
                nodes=tuple(spec.name for spec in specs),
                ramp_interval=config.launcher.ramp_interval,
                reserve=reserve,
                look_interval=config.launcher.look_interval,
                restart=config.launcher.restart,
                watchdog=config.launcher.watchdog,
                exporter_url=exporter_url(config),
            )
            write_private(self.files.settings, msgspec.json.encode(settings))
            self.supervisor.write_config(sections(self.files, specs))
        except OSError as error:
            raise SwarmExporterError(
                f"{self.files.root} cannot be written ({(error.strerror or '').lower()}); make "
                "room, or give another --state-dir"
            ) from None

    def _known_specs(self) -> list[NodeSpec]:
        return [spec for files in self.files.nodes() if (spec := _read_spec(files)) is not None]

    def _spec(self, name: str) -> NodeSpec | None:
        return _read_spec(self.files.node(name))

    def _await(
        self,
        reached: Callable[[LauncherState], bool],
        seconds: float,
        problem: str,
        progress: Progress = lambda _: None,
    ) -> None:
        deadline = time.monotonic() + seconds
        while True:
            state = self.state()
            if state is not None:
                progress(state)
                if reached(state):
                    return
            if time.monotonic() > deadline:
                raise SwarmExporterError(problem)
            time.sleep(_LOOK_SECONDS)

    def _end_orphans(self, names: Sequence[str] | None) -> list[str]:
        """End nodes whose supervisor is gone, by their runners, then whatever is left."""
        specs = [s for s in self._known_specs() if names is None or s.name in names]
        ended = []
        for spec in specs:
            runner = self._runner(spec)
            if runner is not None:
                ended.append(spec.name)
                with contextlib.suppress(psutil.Error):
                    runner.terminate()
        for spec in specs:
            deadline = time.monotonic() + spec.stop_grace + 30.0
            while self.files.node(spec.name).is_held() and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
            if end_tree(spec.marker, [], spec.stop_grace):
                continue
        self._refuse_remains([spec.name for spec in specs])
        return ended

    def _runner(self, spec: NodeSpec) -> psutil.Process | None:
        """Return the runner that holds a node's lock, where one does."""
        files = self.files.node(spec.name)
        run = read_json(files.run)
        if run is None or not files.is_held():
            return None
        table = ProcessTable()
        table.look()
        pid = int(run["runner"])
        return psutil.Process(pid) if table.has(pid, RUNNER) else None

    def _refuse_remains(self, names: Sequence[str]) -> None:
        table = ProcessTable()
        table.look()
        for name in names:
            spec = self._spec(name)
            remains = table.members(spec.marker) if spec is not None else []
            if remains:
                raise SwarmExporterError(
                    f"node {name}: {describe(remains)} could not be ended; end it by hand"
                )

    def _refuse_survivors(self, names: Sequence[str]) -> None:
        """Say what the runners of nodes that just ended could not end."""
        for name in names:
            end = read_json(self.files.node(name).exit) or {}
            for survivor in end.get("survivors", ()):
                raise SwarmExporterError(f"node {name}: {survivor} could not be ended; see to it")


def exporter_url(config: Config) -> str:
    """Return where an exporter of this configuration answers on this machine."""
    host = config.listen_host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return (
        f"http://[{host}]:{config.listen_port}"
        if ":" in host
        else (f"http://{host}:{config.listen_port}")
    )


def _read_spec(files: NodeFiles) -> NodeSpec | None:
    try:
        return msgspec.json.decode(files.spec.read_bytes(), type=NodeSpec)
    except (OSError, msgspec.DecodeError):
        return None
