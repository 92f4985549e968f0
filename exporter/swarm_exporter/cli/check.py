"""`swarm-exporter check`: validate the configuration and show what it means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from swarm_exporter.addresses import redact_url
from swarm_exporter.cli.options import flags_from, serve_options
from swarm_exporter.config import Config, load_config
from swarm_exporter.durations import format_duration

EPILOG = """\b
Examples:
  swarm-exporter check --config swarm.yml
  swarm-exporter check --instances 3 --api-port 8000
  swarm-exporter check --config swarm.yml --json
"""


@click.command(epilog=EPILOG)
@serve_options
@click.option("--json", "as_json", is_flag=True, help="Print the configuration as JSON.")
def command(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click passes the options by name
    """Validate the configuration without starting anything.

    Prints what would be run; exits with 1, or 2 for a flag, where something is wrong.
    """
    config = load_config(flags_from(options), os.environ, Path.cwd())
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_shown(config))))
        return
    _print(config)


def _shown(config: Config) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    for node in shown["nodes"]:
        node["api"] = redact_url(node["api"])
    launcher = shown["launcher"]
    for launch in (launcher["launch"], *launcher["nodes"].values()):
        # A token is given in one of these.
        for secret in ("env", "answers"):
            launch[secret] = dict.fromkeys(launch[secret], "(set)")
    return shown


def _print(config: Config) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("node", "api", "folder", "peer"):
        table.add_column(title, overflow="fold")
    for node in config.nodes:
        peer = node.peer_id or node.nickname or node.identity_file
        if peer is None:
            peer = "from its folder" if node.folder is not None else "unknown: give --peer-id"
        table.add_row(
            Text(node.name),
            Text(redact_url(node.api)),
            Text(str(node.folder or "-")),
            Text(str(peer)),
        )
    console = Console()
    console.print(table)
    console.print(
        Text(
            f"\nlisten {config.listen_host}:{config.listen_port}, "
            f"interval {format_duration(config.interval)}, "
            f"timeout {format_duration(config.timeout)}, "
            f"stalled after {format_duration(config.stall_after)}, "
            f"state in {config.state_dir}"
        )
    )
    console.print(Text(f"readers of this machine: {', '.join(_collectors(config)) or 'none'}"))
    console.print(Text("The configuration is valid.", style="green"))


def _collectors(config: Config) -> list[str]:
    """Return the name of each collector that reads; in words, of those that do not and why."""
    from swarm_exporter.host import collectors
    from swarm_exporter.host.trees import NodeTrees

    reads, off, absent = [], [], []
    for collector in collectors(NodeTrees()):
        if not collector.is_present():
            absent.append(collector.name)
        elif config.collects(collector.name, collector.on_by_default):
            reads.append(collector.name)
        else:
            off.append(collector.name)
    if off:
        reads.append(f"off: {' '.join(off)}")
    if absent:
        reads.append(f"not of this machine: {' '.join(absent)}")
    return reads
