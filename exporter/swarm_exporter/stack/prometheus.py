"""Prometheus: scrapes the exporter, evaluates the rules. Flags of 2.42 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from swarm_exporter.assets import asset_files
from swarm_exporter.stack.server import Server, Settings


class Prometheus(Server):
    """The time series and the rules."""

    name = "prometheus"
    about = "time series and rules"
    default_port = 9090
    programs = ("prometheus",)
    brew = "brew install prometheus"
    debian = "apt-get install --no-install-recommends prometheus"
    ready_path = "/-/ready"
    optional = False

    def files(self, settings: Settings, root: Path) -> Mapping[str, bytes]:  # noqa: ARG002
        """Return the project's configuration with the addresses of this stack, and the rules."""
        assets = asset_files()
        config = msgspec.yaml.decode(assets["prometheus/prometheus.yml"])
        interval = f"{round(settings.interval * 1000)}ms"
        config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
        if "alertmanager" in settings.servers:
            (alertmanager,) = config["alerting"]["alertmanagers"]
            alertmanager["static_configs"][0]["targets"] = [
                urlsplit(settings.url("alertmanager")).netloc
            ]
        else:
            del config["alerting"]
        (scrape,) = config["scrape_configs"]
        scrape["static_configs"][0]["targets"] = [urlsplit(settings.exporter_url).netloc]
        rules = {k: v for k, v in assets.items() if k.startswith("prometheus/rules/")}
        return {"prometheus/prometheus.yml": msgspec.yaml.encode(config), **rules}

    def command(self, program: Path, settings: Settings, root: Path) -> Sequence[str]:  # noqa: ARG002
        """Keep the series below the stack's folder for as long as was asked."""
        return (
            str(program),
            "--config.file=prometheus/prometheus.yml",
            "--storage.tsdb.path=data/prometheus",
            f"--storage.tsdb.retention.time={settings.retention}",
            f"--web.listen-address=127.0.0.1:{settings.ports[self.name]}",
            "--log.level=warn",
        )
