"""supervisord: its configuration, its start, and its XML-RPC interface on a unix socket.

Facts: Supervisor 4.3.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.files import SupervisorFiles
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.launcher.private_files import write_private

#: What ends a value, an environment's entry or a file's name that is no text.
_UNWRITABLE = re.compile(r"[\"\r\n]|\s[;#]|[\ud800-\udfff]")
_ANSWER_SECONDS = 20.0
_START_SECONDS = 30.0
#: It waits for its programs, which may take as long as they were granted.
_STOP_SECONDS = 90.0


class Supervisor:
    """The supervisord of one folder, running or not."""

    def __init__(self, files: SupervisorFiles) -> None:
        """Name it; nothing is asked."""
        self._files = files

    def answers(self) -> bool:
        """Tell whether it runs. A socket that nobody listens on is a stale one."""
        try:
            self.call("getState")
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False
        return True

    def deaf_process(self) -> psutil.Process | None:
        """Return the supervisord of this folder that runs although it does not answer.

        It hangs, or its socket was removed. Ask where `answers` says no.
        """
        try:
            process = psutil.Process(int(self._files.pid.read_text()))
            ours = "supervisor.supervisord" in process.cmdline()
            folder = process.cwd()
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours and folder == os.path.realpath(self._files.root) else None

    def call(self, method: str, *arguments: Any) -> Any:  # noqa: ANN401 - XML-RPC
        """Call a method of supervisord's. Raises OSError where nobody answers, or Fault."""
        # A connection for each call: supervisord may have been started anew since the last.
        transport = _Transport(self._files.socket)
        try:
            with xmlrpc.client.ServerProxy("http://supervisor", transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except http.client.HTTPException as error:
            raise OSError(f"no answer ({type(error).__name__})") from None

    def states(self) -> dict[str, str]:
        """Return supervisord's word for each program, by its name."""
        return {info["name"]: info["statename"] for info in self.call("getAllProcessInfo")}

    def write_config(self, sections: Sequence[str]) -> None:
        """Write its configuration with these sections of programs. Raises OSError."""
        write_private(self._files.supervisor_config, _config(self._files, sections).encode())

    def add_programs(self) -> None:
        """Take in programs that were added to its configuration."""
        ((added, _, _),) = self.call("reloadConfig")
        for name in added:
            self.call("addProcessGroup", name)

    def start(self) -> None:
        """Start it apart from this terminal, and wait until it answers.

        Raises SwarmExporterError with the end of its log.
        """
        with contextlib.suppress(FileNotFoundError):
            self._files.socket.unlink()
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", "supervisord.conf"],
            cwd=self._files.root,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o077,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SwarmExporterError(
                    f"the supervisor does not start: {_last_line(self._files.supervisor_log)}; "
                    f"the whole log is {self._files.supervisor_log}"
                )
            time.sleep(0.05)
        # It outlives this process, which does not wait for it.
        process.returncode = 0

    def shut_down(self) -> None:
        """End it, and wait until it is gone."""
        pid = int(self.call("getPID"))
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self.call("shutdown")
        deadline = time.monotonic() + _STOP_SECONDS
        while _is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._files.socket.parent != self._files.root:
            with contextlib.suppress(OSError):
                self._files.socket.parent.rmdir()


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, with a bound on every wait."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401
        del host  # The socket's path says where.
        connection = _Connection(self._path)
        # Where `close` looks for it.
        self._connection = ("", connection)
        return connection


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ANSWER_SECONDS)
        try:
            self.sock.connect(os.fspath(self._path))
        except OSError:
            self.sock.close()
            raise


def _config(files: SupervisorFiles, sections: Sequence[str]) -> str:
    """Return the file. Paths are relative to the folder, where supervisord runs."""
    own = f"""[unix_http_server]
file={escape(str(files.socket))}
chmod=0600

[supervisord]
identifier=swarm-exporter
logfile={files.supervisor_log.name}
logfile_maxbytes=5MB
logfile_backups=2
pidfile={files.pid.name}
nocleanup=true
silent=true
minfds=256
minprocs=100

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([own, *sections])


def escape(text: str) -> str:
    """Return `text` as a value of supervisord's configuration, which expands %(names)s.

    Raises SwarmExporterError for what no quoting brings through: comments begin in quotes too.
    """
    if _UNWRITABLE.search(text):
        raise SwarmExporterError(
            f"{text!a} has a character that the supervisor's configuration cannot hold (a quote, a "
            "line break, # or ; after a space); rename the folder, or give another --state-dir"
        )
    return text.replace("%", "%%")


def _environment() -> dict[str, str]:
    """Return the variables that nodes inherit: a person's own, whatever shell they came from.

    A shell that a node has started (tmux) has that node's marker: nothing here is of that node.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SUPERVISOR_") and name != MARKER
    }


def _last_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().splitlines()[-1]
    except (OSError, IndexError):
        return "it left no log"


def _is_alive(pid: int) -> bool:
    try:
        # Our own child stays a zombie until it is waited for.
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
