"""The person's nodes in the simulated swarm: real processes, started through the launcher."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.config.launcher import Launch, Launcher, Restart
from swarm_exporter.config.logs import TrainingLog
from swarm_exporter.config.sources import SOURCES, Choice
from swarm_exporter.demo.peers import Peer
from swarm_exporter.launcher import control
from swarm_exporter.launcher.nodes import launch_nodes
from swarm_exporter.model import Node

#: Simulated nodes are light and quick: what takes minutes with real ones takes seconds here.
_SETTINGS = Launcher(
    ramp_interval=0.5,
    look_interval=0.5,
    reserve=0,
    restart=Restart(first_delay=3.0, longest_delay=15.0, healthy_after=30.0, attempts=20),
)


#: Where upstream's trainers write theirs (RL Swarm v0.5 and later).
_LOG = "logs/swarm_launcher.log"


#: What a simulated node has.
_CHOICES = tuple(
    Choice(source=source, on=source in ("leaderboard", "training_log"), why="a simulated node")
    for source in SOURCES
)


class DemoNodes:
    """Simulated trainers under a launcher of their own. Its calls block."""

    def __init__(
        self, folder: Path, peers: Sequence[Peer], apis: Sequence[str], swarm: tuple[str, int]
    ) -> None:
        """Set up below `folder`; the trainers meet the swarm at `swarm`, its control port."""
        self._launcher = control.Launcher(folder)
        self.nodes = tuple(
            Node(name=str(number), api=api, peer_id=peer.id, folder=folder / f"node-{number}")
            for number, (api, peer) in enumerate(zip(apis, peers, strict=True), 1)
        )
        address = f"{swarm[0]}:{swarm[1]}"
        python = (sys.executable, "-m", "swarm_exporter.demo.trainer")
        with as_file(files(__package__) / "trainer.yml") as profile:
            log = ("--log", f"{{folder}}/{_LOG}")
            launch = Launch(
                profile=str(profile),
                command=(*python, "--swarm", address, *log, "--node", "{number}"),
            )
        self._settings = msgspec.structs.replace(_SETTINGS, launch=launch)

    def configure(self, config: Config) -> Config:
        """Return `config` with these nodes."""
        return msgspec.structs.replace(
            config,
            nodes=self.nodes,
            launcher=self._settings,
            choices={node.name: _CHOICES for node in self.nodes},
            logs={node.name: TrainingLog(folder=node.folder) for node in self.nodes},
        )

    def start(self, config: Config) -> None:
        """Let the launcher start them, one after another. Raises SwarmExporterError."""
        for node in self.nodes:
            assert node.folder is not None  # noqa: S101 - given above
            (node.folder / _LOG).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._launcher.launch(launch_nodes(config, Path()), config, reserve=0)

    def stop(self) -> None:
        """End them and their supervisor. Raises SwarmExporterError where something is left."""
        self._launcher.stop(None)
