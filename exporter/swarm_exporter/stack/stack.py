"""The stack of one state folder: started, stopped and looked at; Supervisor 4.3 keeps it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from swarm_exporter.assets import Written, write_files
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.exclusive import exclusive
from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.private_files import cause, write_private
from swarm_exporter.launcher.supervisord import Supervisor, escape
from swarm_exporter.stack.alertmanager import Alertmanager
from swarm_exporter.stack.files import StackFiles
from swarm_exporter.stack.grafana import Grafana
from swarm_exporter.stack.prometheus import Prometheus
from swarm_exporter.stack.server import Server, Settings, version

#: In the order of their starts.
SERVERS: tuple[Server, ...] = (Prometheus(), Alertmanager(), Grafana())
EXPORTER = "exporter"
#: A server that reads a long history at its start takes its time.
_READY_SECONDS = 120.0
_STOP_SECONDS = 30
_ANSWER_SECONDS = 2.0
_LOOK_SECONDS = 0.1
#: supervisord's words for a program that runs or is about to, and for one that needs help.
_RUNS = ("RUNNING", "STARTING", "BACKOFF")
_GIVEN_UP = ("FATAL", "EXITED", "UNKNOWN")


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """The exporter of the stack: its own, or one that runs already."""

    url: str
    #: The options of `serve`; None where it is not the stack's to start.
    options: tuple[str, ...] | None = None
    cwd: str = "."
    #: Its version and its configuration file's content, as a hash.
    stamp: str = ""
    #: The options of its own exporter, where one that runs elsewhere is scraped instead.
    options_before: tuple[str, ...] | None = None


class Up(msgspec.Struct, frozen=True, kw_only=True):
    """What an `up` asked for, as it is remembered for the next."""

    settings: Settings
    exporter: Exporter
    #: The servers that were found, with their programs.
    programs: dict[str, str]
    #: What each program is, beyond its command: another one is started anew.
    stamps: dict[str, str] = {}


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """How one server does."""

    name: str
    about: str
    #: ready, starting, stopped, failed, missing, left out, or elsewhere: it is not the stack's.
    state: str
    url: str = ""
    version: str = ""
    program: str = ""
    pid: int | None = None
    #: Unix seconds.
    since: float | None = None
    memory_bytes: int | None = None
    log: str = ""
    #: What to do about it; empty where there is nothing to do.
    action: str = ""


class Stack:
    """The servers of one state folder."""

    def __init__(
        self,
        state_dir: Path,
        *,
        path: str | None = None,
        servers: Sequence[Server] = SERVERS,
    ) -> None:
        """Name it; nothing is started or asked. Programs are looked for on `path`."""
        self.files = StackFiles(state_dir)
        self._supervisor = Supervisor(self.files)
        self._servers = servers
        self._path = os.environ.get("PATH") if path is None else path

    def last(self) -> Up | None:
        """Return what the last `up` asked for, or None where there was none."""
        try:
            return msgspec.json.decode(self.files.settings.read_bytes(), type=Up)
        except (OSError, msgspec.DecodeError):
            return None

    def found(self, wanted: Sequence[str]) -> dict[str, Path]:
        """Return the program of each wanted server that is installed. Raises SwarmExporterError.

        Where a server without which the stack is of no use is missing, it says how to install it.
        """
        found = {s.name: p for s in self._servers if (p := s.find(self._path)) is not None}
        for server in self._servers:
            if not server.optional and server.name not in found:
                raise SwarmExporterError(f"{server.name} is not installed: {install(server)}")
        return {name: program for name, program in found.items() if name in wanted}

    def missing(self, found: Mapping[str, Path]) -> list[str]:
        """Return a sentence for each server that could be there and is not."""
        return [
            f"{server.name} ({server.about}) is not installed: {install(server)}"
            for server in self._servers
            if server.name not in found and server.find(self._path) is None
        ]

    def up(
        self,
        settings: Settings,
        exporter: Exporter,
        programs: Mapping[str, Path],
        say: Callable[[str, str], None] = lambda *_: None,
        *,
        kept: Callable[[str], None] = lambda _: None,
        stopped: threading.Event | None = None,
    ) -> Written:
        """Start what is not running, restart what has changed, and wait until each answers.

        `say` is called with the name and address of each that is ready, `kept` with each file
        that a person has changed. Once `stopped` is set nothing is waited for any more. Raises
        SwarmExporterError where a port is somebody else's or a server does not start.
        """
        servers = [server for server in self._servers if server.name in programs]
        _refuse_equal_ports(settings, exporter, servers)
        with exclusive(self.files):
            running = self.running()
            if not running:
                self._end_leftovers()
            self._refuse_held_ports(settings, exporter, servers, running)
            written, changed = self._write(settings, exporter, servers, programs)
            for name in written.kept:
                kept(name)
            if running:
                self._take_over(changed)
            else:
                self._supervisor.start()
        # Without the lock: `stack down` from another terminal need not wait.
        if exporter.options is not None:
            self._await_ready(EXPORTER, f"{exporter.url}/-/healthy", stopped)
        say(EXPORTER, exporter.url)
        for server in servers:
            url = settings.url(server.name)
            self._await_ready(server.name, url + server.ready_path, stopped)
            say(server.name, url)
        return written

    def down(self) -> list[str]:
        """Stop all servers; what they have stored stays. Return the names of those that ran."""
        if not self.files.root.is_dir():
            return []
        with exclusive(self.files):
            running = self.running()
            if running:
                self._supervisor.shut_down()
                return [name for name, state in running.items() if state in _RUNS]
            return self._end_leftovers()

    def _end_leftovers(self) -> list[str]:
        """End a supervisord that does not answer, and servers whose supervisord is gone.

        Nobody restarts or stops these any more, and they hold their ports. Return their names.
        """
        found: dict[psutil.Process, str] = {}
        deaf = self._supervisor.deaf_process()
        if deaf is not None:
            found[deaf] = "supervisord"
            found |= dict.fromkeys(deaf.children(recursive=True), "")
        for process, name in self._orphans():
            found.setdefault(process, name)
        # Parents first: a supervisord would start its programs again.
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill() if found[process] == "supervisord" else process.terminate()
        _, alive = psutil.wait_procs(list(found), timeout=_STOP_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return [name for name in found.values() if name]

    def leftovers(self) -> bool:
        """Tell whether servers of ours run that no supervisord keeps any more."""
        return any(True for _ in self._orphans())

    def _orphans(self) -> Iterator[tuple[psutil.Process, str]]:
        """Yield this person's processes that run a command of ours in our folder, unsupervised.

        The arguments tell: a wrapper or an interpreter may stand before them.
        """
        up = self.last()
        if up is None:
            return
        root = self.files.root.absolute()
        commands = {
            server.name: (
                os.path.realpath(root / server.folder),
                list(server.command(Path(up.programs[server.name]), up.settings, root))[1:],
            )
            for server in self._servers
            if server.name in up.programs
        }
        if up.exporter.options is not None:
            serve = ["-m", "swarm_exporter", "serve", *up.exporter.options]
            commands[EXPORTER] = (os.path.realpath(up.exporter.cwd), serve)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.uids().real != os.getuid() or _is_supervised(process):
                    continue
                words, folder = process.cmdline(), process.cwd()
                for name, (own_folder, arguments) in commands.items():
                    if folder == own_folder and words[-len(arguments) :] == arguments:
                        yield process, name

    def state(self) -> list[ServerState]:
        """Return how each server does."""
        up = self.last()
        infos = self._infos()
        found = []
        if up is not None:
            own = up.exporter.options is not None
            found.append(
                self._server_state(
                    EXPORTER,
                    "reads the nodes",
                    up.exporter.url,
                    f"{up.exporter.url}/-/healthy",
                    infos.get(EXPORTER),
                    own=own,
                )
            )
        for server in self._servers:
            program = up.programs.get(server.name) if up is not None else None
            if up is None or program is None:
                at = server.find(self._path)
                state, action = "stopped", "swarm-exporter stack up"
                if at is None:
                    state, action = "missing", install(server)
                elif up is not None:
                    state, action = "left out", f"swarm-exporter stack up --with {server.name}"
                found.append(
                    ServerState(
                        name=server.name,
                        about=server.about,
                        state=state,
                        program=str(at or ""),
                        version=version(at) if at is not None else "",
                        action=action,
                    )
                )
                continue
            url = up.settings.url(server.name)
            how = self._server_state(
                server.name, server.about, url, url + server.ready_path, infos.get(server.name)
            )
            said = version(Path(program))
            found.append(msgspec.structs.replace(how, program=program, version=said))
        return found

    def _server_state(
        self,
        name: str,
        about: str,
        url: str,
        ready_url: str,
        info: Mapping[str, Any] | None,
        *,
        own: bool = True,
    ) -> ServerState:
        answers = _answers(ready_url)
        word = info["statename"] if info is not None else "STOPPED"
        state, action = "ready", ""
        if not own:
            state = "elsewhere" if answers else "stopped"
            action = "" if answers else f"nothing answers at {url}; start it, or stack up again"
        elif word in ("STOPPED", "STOPPING") or info is None:
            state, action = "stopped", "swarm-exporter stack up"
        elif word in _GIVEN_UP:
            state, action = "failed", self._last_words(name)
        elif not answers:
            state, action = "starting", "" if word == "STARTING" else self._last_words(name)
        pid = int(info["pid"]) if info is not None and info["pid"] else None
        return ServerState(
            name=name,
            about=about,
            state=state,
            url=url,
            pid=pid,
            since=float(info["start"]) if info is not None and pid is not None else None,
            memory_bytes=_memory(pid) if pid is not None else None,
            log=str(self.files.log(name)) if own else "",
            action=action,
        )

    def running(self) -> dict[str, str]:
        """Return supervisord's word for each program; empty where it does not run."""
        return {name: str(info["statename"]) for name, info in self._infos().items()}

    def _infos(self) -> dict[str, Mapping[str, Any]]:
        """Return what supervisord says of each program; empty where it does not run."""
        try:
            return {info["name"]: info for info in self._supervisor.call("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def _refuse_held_ports(
        self,
        settings: Settings,
        exporter: Exporter,
        servers: Sequence[Server],
        running: Mapping[str, str],
    ) -> None:
        before = self.last()
        for server in servers:
            port = settings.ports[server.name]
            ours = (
                before is not None
                and running.get(server.name) in _RUNS
                and before.settings.ports.get(server.name) == port
            )
            if not ours and is_taken(port):
                raise SwarmExporterError(
                    f"port {port} of {server.name} is held by {holder(port)}; stop it (a package "
                    "may have started its own), or give another with "
                    f"--port {server.name}={port + 1}"
                )
        ours = before is not None and before.exporter.url == exporter.url
        if exporter.options is not None and not (ours and running.get(EXPORTER) in _RUNS):
            port = int(exporter.url.rpartition(":")[2])
            if is_taken(port):
                raise SwarmExporterError(
                    f"port {port} of the exporter is held by {holder(port)}; stop it, or give "
                    "another with --listen"
                )

    def _write(
        self,
        settings: Settings,
        exporter: Exporter,
        servers: Sequence[Server],
        programs: Mapping[str, Path],
    ) -> tuple[Written, list[str]]:
        """Write every file; return what became of them, and whose have changed."""
        root = self.files.root.absolute()
        sections, by_server = [], {}
        before = self.last()
        stamps = {name: version(program) for name, program in programs.items()}
        stamps[EXPORTER] = exporter.stamp
        if exporter.options is not None:
            command = [sys.executable, "-m", "swarm_exporter", "serve", *exporter.options]
            sections.append(self._section(EXPORTER, command, exporter.cwd, {}))
        try:
            for server in servers:
                (self.files.data / server.name).mkdir(mode=0o700, exist_ok=True)
                by_server[server.name] = server.files(settings, root)
                command = list(server.command(programs[server.name], settings, root))
                environ = server.environ(settings, root)
                sections.append(self._section(server.name, command, server.folder, environ))
            files = {path: content for each in by_server.values() for path, content in each.items()}
            written = write_files(self.files.root, files)
            self._supervisor.write_config(sections)
            up = Up(
                settings=settings,
                exporter=exporter,
                programs={name: str(program) for name, program in programs.items()},
                stamps=stamps,
            )
            write_private(self.files.settings, msgspec.json.encode(up))
        except OSError as error:
            raise SwarmExporterError(
                f"{self.files.root} cannot be written ({cause(error)}); make room, or give "
                "another --state-dir"
            ) from None
        touched = {*written.written, *written.removed}
        # Grafana looks for new boards by itself; every change of its settings needs a new start.
        changed = [name for name, own in by_server.items() if touched & own.keys()]
        if any(path.startswith("prometheus/rules/") for path in written.removed):
            changed.append("prometheus")
        if before is not None:
            # An upgrade, or a change of the exporter's file, has left the commands as they were.
            changed += [n for n, stamp in stamps.items() if before.stamps.get(n, stamp) != stamp]
        return written, changed

    def _section(
        self, name: str, command: Sequence[str], folder: str, environ: Mapping[str, str]
    ) -> str:
        quoted = ",".join(f'{key}="{escape(value)}"' for key, value in environ.items())
        return f"""[program:{name}]
command={escape(shlex.join(command))}
directory={escape(folder)}
environment={quoted}
autostart=true
autorestart=true
startsecs=2
startretries=8
stopsignal=TERM
stopwaitsecs={_STOP_SECONDS}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""

    def _take_over(self, changed: Sequence[str]) -> None:
        """Make a running supervisord run what is written now. Raises SwarmExporterError."""
        try:
            self._take_over_programs(changed)
        except (OSError, xmlrpc.client.Error) as error:
            raise SwarmExporterError(
                f"the supervisor refuses ({error}); run `swarm-exporter stack down`, then up again"
            ) from None

    def _take_over_programs(self, changed: Sequence[str]) -> None:
        call = self._supervisor.call
        ((added, altered, removed),) = call("reloadConfig")
        for name in (*removed, *altered):
            self._stop(name)
            call("removeProcessGroup", name)
        for name in (*added, *altered):
            call("addProcessGroup", name)
        for name, state in self.running().items():
            if name in (*added, *altered):
                continue
            if name in changed and state in _RUNS:
                self._stop(name)
                state = "STOPPED"
            if state not in _RUNS:
                call("startProcess", name, False)

    def _stop(self, name: str) -> None:
        """Stop a program, and wait for as long as it may take; the call itself does not wait."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self._supervisor.call("stopProcess", name, False)
        deadline = time.monotonic() + _STOP_SECONDS + 10
        while self.running().get(name) in (*_RUNS, "STOPPING") and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def _await_ready(self, name: str, url: str, stopped: threading.Event | None) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while stopped is None or not stopped.is_set():
            state = self.running().get(name, "STOPPED")
            # A port that was free a moment ago may answer for somebody else.
            if state in ("RUNNING", "STARTING") and _answers(url):
                return
            if state in _GIVEN_UP or time.monotonic() > deadline:
                raise SwarmExporterError(f"{name} does not start: {self._last_words(name)}")
            time.sleep(_LOOK_SECONDS)

    def _last_words(self, name: str) -> str:
        log = self.files.log(name)
        with contextlib.suppress(OSError, IndexError):
            last = log.read_text(errors="replace").strip().splitlines()[-1]
            return f"{last[-300:]} (the whole log is {log})"
        return f"it left no log in {log}"


def install(server: Server) -> str:
    """Return the command that installs a server on this machine."""
    return server.brew if sys.platform == "darwin" else server.debian


def answering_exporter(url: str) -> bool:
    """Tell whether an exporter of ours answers at `url`, whoever has started it."""
    try:
        answer = httpx.get(f"{url}/api/status", timeout=_ANSWER_SECONDS, trust_env=False)
        return answer.status_code == 200 and "refresh_seconds" in msgspec.json.decode(
            answer.content, type=dict[str, Any]
        )
    except (httpx.HTTPError, msgspec.DecodeError):
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _memory(pid: int) -> int | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in members)
    return None


def _is_supervised(process: psutil.Process) -> bool:
    """Tell whether a supervisord keeps a process; one whose supervisord was killed has another."""
    parent = process.parent()
    return parent is not None and "supervisor.supervisord" in parent.cmdline()


def _refuse_equal_ports(settings: Settings, exporter: Exporter, servers: Sequence[Server]) -> None:
    taken = {int(exporter.url.rpartition(":")[2]): EXPORTER}
    for server in servers:
        port = settings.ports[server.name]
        if port in taken:
            raise SwarmExporterError(
                f"port {port} is given to {taken[port]} and {server.name}; give another with "
                f"--port {server.name}={port + 1}"
            )
        taken[port] = server.name
