"""Alertmanager: tells people of alerts, once and together. Flags of 0.25 and later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from swarm_exporter.assets import asset_files
from swarm_exporter.stack.server import Server, Settings


class Alertmanager(Server):
    """The messages."""

    name = "alertmanager"
    about = "messages of alerts"
    default_port = 9093
    programs = ("prometheus-alertmanager", "alertmanager")
    brew = "brew install alertmanager"
    debian = "apt-get install --no-install-recommends prometheus-alertmanager"
    ready_path = "/-/ready"
    #: It takes the paths of secrets as relative to where it was started.
    folder = "prometheus"

    def files(self, settings: Settings, root: Path) -> Mapping[str, bytes]:  # noqa: ARG002
        """Return the project's routes, inhibition and templates."""
        wanted = ("prometheus/alertmanager.yml", "prometheus/templates/")
        return {k: v for k, v in asset_files().items() if k.startswith(wanted)}

    def command(self, program: Path, settings: Settings, root: Path) -> Sequence[str]:
        """Listen on loopback alone: without the last flag it opens a second port to everybody."""
        return (
            str(program),
            "--config.file=alertmanager.yml",
            f"--storage.path={root / 'data' / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{settings.ports[self.name]}",
            "--cluster.listen-address=",
            # Longer than the longest `repeat_interval`, or messages are repeated more often.
            "--data.retention=336h",
            "--log.level=warn",
        )
