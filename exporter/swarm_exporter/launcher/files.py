"""Where the launcher keeps what: one private folder, and one below it for each node."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from swarm_exporter.errors import SwarmExporterError

#: A unix socket's path may have 104 bytes on macOS and 108 on Linux, the last of them zero;
#: supervisord makes it under a longer name first.
_LONGEST_SOCKET_PATH = 84


class SupervisorFiles:
    """The folder of one supervisord."""

    def __init__(self, root: Path) -> None:
        """Name the files; nothing is made before `prepare`."""
        self.root = root
        self.lock = self.root / "launch.lock"
        self.supervisor_config = self.root / "supervisord.conf"
        self.supervisor_log = self.root / "supervisord.log"
        self.pid = self.root / "supervisord.pid"
        self.socket = self._socket()

    def prepare(self) -> None:
        """Make the folders, for nobody else to look into. Raises SwarmExporterError."""
        for folder in (self.root, self.socket.parent):
            private_folder(folder)

    def _socket(self) -> Path:
        path = self.root / "supervisor.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        # Not in TMPDIR: another shell, cron or a service has another one, and would find nothing.
        return Path("/tmp") / f"swarm-exporter-{os.getuid()}-{short}" / "s.sock"  # noqa: S108 - 0700


class LauncherFiles(SupervisorFiles):
    """The launcher's folder, for one state folder of one person."""

    def __init__(self, state_dir: Path) -> None:
        """Name the files; nothing is made before `prepare`."""
        super().__init__(state_dir / "launcher")
        self.settings = self.root / "launcher.json"
        self.state = self.root / "state.json"
        self.policy_log = self.root / "policy.log"
        #: What PyTorch tells from inside the nodes (torch_helper/).
        self.torch = self.root / "torch"

    def node(self, name: str) -> NodeFiles:
        """Return the files of one node."""
        return NodeFiles(self.root / "nodes" / slug(name))

    def nodes(self) -> list[NodeFiles]:
        """Return the files of every node that was ever set up here."""
        folder = self.root / "nodes"
        return [NodeFiles(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def prepare(self) -> None:
        """Make the folders, for nobody else to look into. Raises SwarmExporterError."""
        super().prepare()
        for folder in (self.root / "nodes", self.torch):
            private_folder(folder)


class NodeFiles:
    """The launcher's files of one node; they hold its secrets (answers, variables, login)."""

    def __init__(self, folder: Path) -> None:
        """Name the files; nothing is made."""
        self.folder = folder
        self.spec = folder / "spec.json"
        #: Held by the runner while the node runs: no second copy can start.
        self.lock = folder / "lock"
        self.run = folder / "run.json"
        self.exit = folder / "exit.json"
        self.login = folder / "login"
        self.errors = folder / "runner.log"

    def is_held(self) -> bool:
        """Tell whether a runner holds the lock, that is, lives."""
        try:
            with self.lock.open("a") as file:
                # Shared: who else only looks at this moment is no runner.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def slug(name: str) -> str:
    """Return a node's name as a file's and a program's name; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if plain == name:
        return f"node-{name}"
    return f"node-{plain[:32]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700. Raises SwarmExporterError where it is not ours alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise SwarmExporterError(
                f"{folder} belongs to somebody else; remove it, or give another --state-dir"
            )
        folder.chmod(0o700)
    except OSError as error:
        raise SwarmExporterError(
            f"{folder} cannot be made ({(error.strerror or '').lower()}); give another --state-dir"
        ) from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file, or None where there is no whole one."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
