"""`swarm-exporter plan`: how many nodes fit on this machine, why, and with which settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from swarm_exporter.config import Config, Flags, load_config

EPILOG = """\b
Examples:
  swarm-exporter plan                          how many fit here?
  swarm-exporter plan --instances 3            do three fit? exit code 1 where they do not
  swarm-exporter plan --profile genrl          for RL Swarm v0.5 and v0.6
  swarm-exporter plan --config swarm.yml --json
"""


@click.command(epilog=EPILOG)
@click.option("--instances", metavar="N", help="Number of nodes that you want.")
@click.option("--profile", metavar="NAME", help="hivemind, genrl, codezero, custom, or a .yml.")
@click.option("--folder", metavar="TEMPLATE", help="Node folder; {i}, {name} are filled in.")
@click.option(
    "--config", metavar="FILE", type=click.Path(), help="YAML file; see docs/configuration.md."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, sizes in bytes.")
def command(profile: str | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click passes the options by name
    """Say how many nodes fit on this machine, and with which settings.

    Nothing is started or written. A node's memory is measured where one has trained for half an
    hour, else the profile's figure is taken. Exits with 1 where the nodes asked for do not fit.
    """
    config = load_config(Flags(**options), os.environ, Path.cwd())
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    from swarm_exporter.launcher.plan_of import plan_of

    asked = _asked(config, options["instances"])
    plan = plan_of(config, Path.cwd(), os.environ, profile, asked)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(plan)))
    else:
        from swarm_exporter.cli.plan_text import print_plan

        print_plan(plan, profile)
    if not plan.fits:
        sys.exit(1)


def _asked(config: Config, flag: str | None) -> int | None:
    """Return the number of nodes that is wanted; one without a word of it is nobody's wish."""
    said = flag is not None or os.environ.get("SWARM_INSTANCES") or len(config.nodes) > 1
    return len(config.nodes) if said else None
