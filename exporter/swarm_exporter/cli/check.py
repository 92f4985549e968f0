"""`swarm-exporter check`: validate the configuration and show what it means."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from swarm_exporter.addresses import origin_of, redact_url
from swarm_exporter.cli.options import flags_from, serve_options
from swarm_exporter.config import Config, load_config
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.durations import format_duration
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.sources.check_mapping import check_mapping
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.hosted import peer_url
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.identity import read_identity

if TYPE_CHECKING:
    from rich.console import Console

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

    Prints what would be run, and which sources each node is read through and why; mappings are
    tried on a live answer. Exits with 1, or 2 for a flag, where something is wrong.
    """
    config = load_config(flags_from(options), os.environ, Path.cwd())
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_shown(config))))
    else:
        _print(config)
    checked = asyncio.run(_check_mappings(config))
    for line, good in checked:
        click.secho(line, err=True, fg=None if good else "red")
    if not all(good for _, good in checked):
        raise SwarmExporterError("a mapping does not fit what the address answers; correct it")
    if not as_json:
        click.secho("The configuration is valid.", fg="green")


def _shown(config: Config) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    for node in shown["nodes"]:
        node["api"] = redact_url(node["api"])
    if shown["hosted"] is not None:
        shown["hosted"]["url"] = origin_of(shown["hosted"]["url"])
    for coordinator in shown["chain"]["nodes"].values():
        if coordinator is not None:
            # Its path may be the key.
            coordinator["rpc"] = origin_of(coordinator["rpc"])
    shown["chain"]["network"]["rpc"] = origin_of(shown["chain"]["network"]["rpc"])
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
    _print_choices(config, console)


def _print_choices(config: Config, console: Console) -> None:
    """Say of each source why it is asked or not; nodes of which the same is true share it."""
    from rich.text import Text

    for choices, names in config.read_alike().items():
        reward = config.reward_source(names[0]) or "nothing"
        many = "s" if len(names) > 1 else ""
        console.print(Text(f"\nnode{many} {', '.join(names)}: reward from {reward}", style="bold"))
        for choice in choices:
            mark = Text("  on   ", style="green") if choice.on else Text("  off  ", style="dim")
            fix = f"; {choice.fix}" if choice.fix else ""
            text = f"{choice.source:<14}{choice.why}{fix}"
            console.print(mark.append(text, style=""), soft_wrap=True)


async def _check_mappings(config: Config) -> list[tuple[str, bool]]:
    """Try each mapping of a person's own on a live answer; a line a field, and whether it fits."""
    addresses = [
        (f"{node.api}{config.leaderboard.path}", config.leaderboard.mapping)
        for node in config.nodes
        if config.leaderboard is not None and config.reads(node.name, "leaderboard")
    ]
    if config.hosted is not None and config.hosted.mapping != Hosted().mapping:
        addresses += [
            (peer_url(config.hosted, identity), config.hosted.mapping)
            for node in config.nodes
            if config.reads(node.name, "hosted")
            and (identity := (await asyncio.to_thread(read_identity, node))[0]).known
        ]
    lines: list[tuple[str, bool]] = []
    async with new_client() as client:
        for url, mapping in dict(addresses).items():
            lines.append((f"mapping at {redact_url(url)}", True))
            try:
                checked = await check_mapping(
                    url, mapping, client, timeout=config.timeout, limit=config.body_limit
                )
            except SourceError as error:
                lines.append((f"  not tried: {error.detail}", False))
                continue
            for field in checked.fields:
                said = field.problem or f"{field.type} {field.value}"
                lines.append((f"  {field.field:<13}{field.path}: {said}", not field.problem))
    return lines


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
