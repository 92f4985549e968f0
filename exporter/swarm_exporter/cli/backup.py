"""`swarm-exporter backup FILE`: save identities and login data in one archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from swarm_exporter.cli.options import flags_from, setup_options
from swarm_exporter.config import load_config

EPILOG = """\b
Examples:
  swarm-exporter backup nodes.tar.gz --instances 3
  swarm-exporter backup ~/safe/nodes.tar.gz --config swarm.yml --force
  swarm-exporter backup nodes.tar.gz --instances 3 --dry-run
"""
_WARNING = "It holds private keys: keep it where nobody else can read it."


@click.command(epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@setup_options
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.option("--dry-run", is_flag=True, help="Show what would be saved, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what it holds as JSON.")
def command(
    file: str,
    profile: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click passes the options by name
) -> None:
    """Save identities (swarm.pem) and login data of all nodes in FILE, a tar.gz.

    An identity that is lost cannot be made again, and what it has earned is lost with it.
    """
    import msgspec

    from swarm_exporter.clock import SystemClock
    from swarm_exporter.launcher.archive import Kind
    from swarm_exporter.launcher.backup import collect, readable_by_others, save
    from swarm_exporter.launcher.choice import nodes_to_set_up
    from swarm_exporter.launcher.files import LauncherFiles
    from swarm_exporter.launcher.twins import identity_name

    cwd = Path.cwd()
    config = load_config(flags_from(options), os.environ, cwd)
    collected = collect(nodes_to_set_up(config, cwd, profile), LauncherFiles(config.state_dir))
    path = cwd / Path(file).expanduser()
    for note in collected.notes:
        click.echo(note, err=True)
    held = [
        {
            "node": entry.node,
            "kind": entry.kind.value,
            "path": entry.path,
            "size": entry.size,
            "peer_id": identity_name(content) if entry.kind is Kind.IDENTITY else None,
        }
        for entry, content in collected.files
    ]
    size = None if dry_run else save(path, collected, SystemClock(), force=force)
    if as_json:
        document = {"file": str(path), "written": not dry_run, "size": size, "files": held}
        click.echo(msgspec.json.format(msgspec.json.encode(document)))
    else:
        for item in held:
            peer = f"  {item['peer_id']}" if item["peer_id"] else ""
            click.echo(f"node {item['node']}: {item['path']}{peer}")
    if dry_run:
        click.echo("Dry run: nothing was written.", err=True)
        return
    click.echo(f"Saved {len(held)} files in {path}. {_WARNING}", err=True)
    if readable_by_others(path):
        click.echo(
            f"warning: the file system of {path} keeps no permissions, so others can read it; "
            "move it to another",
            err=True,
        )
