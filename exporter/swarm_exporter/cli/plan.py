"""`swarm-exporter plan`: how many nodes fit on this machine, why, and with which settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.config.launcher import Launch

if TYPE_CHECKING:
    from swarm_exporter.launcher.plan import Plan
    from swarm_exporter.launcher.profile import Profile

EPILOG = """\b
Examples:
  swarm-exporter plan                          how many fit here?
  swarm-exporter plan --instances 3            do three fit? exit code 1 where they do not
  swarm-exporter plan --profile genrl          for RL Swarm v0.5 and v0.6
  swarm-exporter plan --config swarm.yml --json
"""

#: The generation that is planned for where no folder tells one: the newest.
_NEWEST_PROFILE = "codezero"


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
    plan = _plan(config, profile, _asked(config, options["instances"]), Path.cwd())
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


def _plan(config: Config, flag: str | None, asked: int | None, cwd: Path) -> Plan:
    from swarm_exporter.launcher.machine import read_machine
    from swarm_exporter.launcher.measure import measured_memory
    from swarm_exporter.launcher.plan import make_plan, read_training

    folders = _folders(config, asked, cwd)
    profile = _profile(config, flag, folders[0], cwd)
    present = [folder for folder in folders if folder.is_dir()]
    return make_plan(
        read_machine(folders[0].parent),
        profile,
        nodes=asked,
        measured=measured_memory(present, profile.trainer),
        reserve=config.launcher.reserve,
        explicit=_explicit(config, os.environ),
        training=read_training(present[0], profile) if present else None,
        existing=len(present),
    )


def _folders(config: Config, asked: int | None, cwd: Path) -> list[Path]:
    """Return the nodes' folders; where no number is asked for, all of the default names."""
    from swarm_exporter.launcher.nodes import DEFAULT_FOLDER

    folders = [
        node.folder or cwd / DEFAULT_FOLDER.format(i=number)
        for number, node in enumerate(config.nodes, 1)
    ]
    while asked is None and (more := cwd / DEFAULT_FOLDER.format(i=len(folders) + 1)).is_dir():
        folders.append(more)
    return folders


def _profile(config: Config, flag: str | None, folder: Path, cwd: Path) -> Profile:
    from swarm_exporter.launcher.profile import detect_profile, load_profile

    common = config.launcher.launch
    own = config.launcher.nodes.get(config.nodes[0].name, Launch())
    name = flag or own.profile or common.profile
    if name is None and (own.command or common.command):
        name = "custom"
    base = config.source_file.parent if config.source_file is not None else cwd
    name = name or detect_profile(folder) or _NEWEST_PROFILE
    profile = load_profile(name, cwd if flag else base)
    return profile if config.launcher.tune else msgspec.structs.replace(profile, tuning=None)


def _explicit(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the person has set for all nodes, and a plan would."""
    from swarm_exporter.launcher.nodes import read_env_file
    from swarm_exporter.launcher.settings import PLANNED_VARIABLES

    common = config.launcher.launch
    given = dict(environ)
    if common.env_file is not None:
        given |= read_env_file(common.env_file)
    given |= common.env
    return {name: given[name] for name in PLANNED_VARIABLES if name in given}
