"""`swarm-exporter stop`: stop nodes, and everything they have started."""

from __future__ import annotations

import click

from swarm_exporter.cli.launcher_options import (
    chosen_nodes,
    launcher_of,
    launcher_options,
    refuse_foreign,
)
from swarm_exporter.launcher.state import LauncherState

EPILOG = """\b
Examples:
  swarm-exporter stop          all nodes, and the supervisor
  swarm-exporter stop 2        one node; it stays stopped until the next launch
"""


@click.command(epilog=EPILOG)
@click.argument("nodes", nargs=-1)
@launcher_options
def command(nodes: tuple[str, ...], config: str | None, state_dir: str | None) -> None:
    """Stop NODES, or all of them and the supervisor.

    Each is asked first and ended by force after its profile's grace. Nothing of it is left when
    this command returns: exit code 1, and what is left, where something is. Login data are kept.
    """
    launcher = launcher_of(config, state_dir)
    names = chosen_nodes(launcher, nodes)
    refuse_foreign(launcher, names)
    said: dict[str, str] = {}

    def progress(state: LauncherState) -> None:
        for name in names:
            record = state.nodes.get(name)
            if record is not None and said.get(name) != record.state.value:
                if name in said:
                    click.echo(f"node {name}: {record.state.value}")
                said[name] = record.state.value

    ran = launcher.stop(names if nodes else None, progress)
    if not ran:
        click.echo("Nothing ran.")
    elif nodes:
        click.echo(f"Stopped: {', '.join(ran)}.")
    else:
        click.echo(f"Stopped: {', '.join(ran)}. Nothing of them is left.")
    for held in launcher.held_ports(names):
        click.secho(f"warning: {held}", fg="yellow", err=True)
