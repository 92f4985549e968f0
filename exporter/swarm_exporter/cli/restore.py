"""`swarm-exporter restore FILE`: put a backup's identities and login data back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from swarm_exporter.cli.options import flags_from, setup_options
from swarm_exporter.config import load_config
from swarm_exporter.errors import FlagError

EPILOG = """\b
Examples:
  swarm-exporter restore nodes.tar.gz --instances 3
  swarm-exporter restore nodes.tar.gz --instances 3 --dry-run
  swarm-exporter restore nodes.tar.gz --config swarm.yml --map 4=1 --login
"""


@click.command(epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@setup_options
@click.option(
    "--map", "renames", metavar="OLD=NEW", multiple=True, help="Restore node OLD as node NEW."
)
@click.option("--login", is_flag=True, help="Replace login data that differ.")
@click.option("--dry-run", is_flag=True, help="Show what would be restored, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what is done as JSON.")
def command(
    file: str,
    profile: str | None,
    renames: tuple[str, ...],
    login: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click passes the options by name
) -> None:
    """Put identities and login data of the archive FILE back into the nodes' folders.

    The whole archive is verified before anything is written. An identity that is there and
    differs is never overwritten.
    """
    import msgspec

    from swarm_exporter.launcher.archive import Kind, unpack
    from swarm_exporter.launcher.choice import nodes_to_set_up
    from swarm_exporter.launcher.restore import Action, carry_out, plan_restore
    from swarm_exporter.launcher.twins import identity_name

    cwd = Path.cwd()
    config = load_config(flags_from(options), os.environ, cwd)
    nodes = nodes_to_set_up(config, cwd, profile)
    archive = unpack(cwd / Path(file).expanduser())
    steps = plan_restore(archive, nodes, _renamed(renames), replace_login=login)
    if not dry_run:
        for step in steps:
            carry_out(step, archive.contents[step.entry])
    done = [
        {
            "node": step.node,
            "from_node": step.entry.node,
            "kind": step.entry.kind.value,
            "path": str(step.target),
            "action": step.action.value,
            "peer_id": identity_name(archive.contents[step.entry])
            if step.entry.kind is Kind.IDENTITY
            else None,
        }
        for step in steps
    ]
    if as_json:
        document = {"created": archive.manifest.created, "written": not dry_run, "files": done}
        click.echo(msgspec.json.format(msgspec.json.encode(document)))
    else:
        texts = {
            Action.WRITE: "is restored",
            Action.SAME: "is there already",
            Action.REPLACE: "differed and is replaced",
            Action.KEEP: "differs and stays; replace it with --login",
        }
        for step, item in zip(steps, done, strict=True):
            peer = f" ({item['peer_id']})" if item["peer_id"] else ""
            click.echo(f"node {step.node}: {step.target}{peer} {texts[step.action]}")
    if dry_run:
        click.echo("Dry run: nothing was written.", err=True)
    for node in nodes:
        restored = any(step.node == node.name for step in steps)
        if restored and node.profile.repository and not (node.folder / ".git").exists():
            click.echo(
                f"node {node.name}: {node.folder} has no checkout yet; make it with "
                "`swarm-exporter init`, which keeps what was restored",
                err=True,
            )


def _renamed(renames: tuple[str, ...]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for rename in renames:
        old, equals, new = rename.partition("=")
        if not equals or not old or not new:
            raise FlagError(f'--map: "{rename}" must be OLD=NEW, as 4=1')
        if old in renamed:
            raise FlagError(f"--map: {old} is given twice")
        renamed[old] = new
    return renamed
