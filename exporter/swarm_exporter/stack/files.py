"""Where the stack keeps what: one private folder beside the launcher's."""

from __future__ import annotations

from pathlib import Path

from swarm_exporter.launcher.files import SupervisorFiles, private_folder


class StackFiles(SupervisorFiles):
    """The stack's folder, for one state folder of one person."""

    def __init__(self, state_dir: Path) -> None:
        """Name the files; nothing is made before `prepare`."""
        super().__init__(state_dir / "stack")
        #: What the last `up` was asked for.
        self.settings = self.root / "stack.json"
        self.data = self.root / "data"

    def prepare(self) -> None:
        """Make the folders, for nobody else to look into. Raises SwarmExporterError."""
        super().prepare()
        for folder in (self.data, self.root / "prometheus", self.root / "grafana"):
            private_folder(folder)

    def log(self, name: str) -> Path:
        """Return where a server's output goes."""
        return self.root / f"{name}.log"
