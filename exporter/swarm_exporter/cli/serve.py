"""`swarm-exporter serve`: poll the nodes and export them until stopped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from swarm_exporter.cli.options import flags_from, serve_options
from swarm_exporter.config import load_config
from swarm_exporter.logs import configure_logging
from swarm_exporter.service import Service

EPILOG = """\b
Examples:
  swarm-exporter serve --instances 3
  swarm-exporter serve --instances 3 --api-port 8000
  swarm-exporter serve --api-url http://127.0.0.1:8000 --nickname "tall slow flamingo"
  swarm-exporter serve --config swarm.yml --listen 127.0.0.1:10331
"""


@click.command(epilog=EPILOG)
@serve_options
def command(**options: Any) -> None:  # noqa: ANN401 - click passes the options by name
    """Export nodes to Prometheus.

    Reads each node's swarm API and shows what it finds on /metrics, on a status page and in
    `swarm-exporter status`. Stop it with Ctrl-C; SIGHUP reloads the configuration.
    """
    flags = flags_from(options)
    service = Service(lambda: load_config(flags, os.environ, Path.cwd()))
    configure_logging(service.config.log_level, service.config.log_format)
    asyncio.run(service.run_until_signal())
