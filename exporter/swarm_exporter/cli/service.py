"""`swarm-exporter service`: start the nodes at boot."""

from __future__ import annotations

import os
import shlex
import sys
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swarm_exporter.cli.launch import command as launch
from swarm_exporter.config import Flags, load_config
from swarm_exporter.config.values import state_dir as default_state_dir

if TYPE_CHECKING:
    from swarm_exporter.launcher.boot import Unit

EPILOG = """\b
Examples:
  swarm-exporter service show -- --instances 3
  swarm-exporter service install -- --instances 3
  swarm-exporter service install --now -- --config ~/swarm.yml
  swarm-exporter service remove --now
"""
_options = click.argument("launch_options", nargs=-1, type=click.UNPROCESSED)


@click.group(epilog=EPILOG)
def command() -> None:
    """Start the nodes at boot: a systemd user unit on Linux, a launchd agent on macOS.

    It runs `swarm-exporter launch --foreground` from the present folder, with the present PATH
    and with the options that stand behind `--`.
    """


@command.command()
@click.option("--now", is_flag=True, help="Start it now, too.")
@_options
def install(now: bool, launch_options: tuple[str, ...]) -> None:
    """Write the unit; what stands behind `--` goes to `launch`."""
    from swarm_exporter.launcher.boot import install as install_unit
    from swarm_exporter.launcher.boot import run

    unit = _unit(launch_options, _state_dir(launch_options))
    written = install_unit(unit)
    click.echo(f"{'written' if written else 'already there'}: {unit.path}")
    _warn_of_variables()
    if now:
        for arguments in unit.start:
            run(arguments)
        click.echo("It runs now.")
    else:
        click.echo("Start it with:")
        for arguments in unit.start:
            click.echo(f"  {shlex.join(arguments)}")
    for hint in unit.hints:
        click.echo(hint)


@command.command()
@click.option("--now", is_flag=True, help="Stop it now, too.")
def remove(now: bool) -> None:
    """Remove the unit; nodes that run go on unless --now stops them."""
    from swarm_exporter.launcher.boot import remove as remove_unit
    from swarm_exporter.launcher.boot import run

    unit = _unit((), default_state_dir(os.environ))
    if not unit.path.exists():
        click.echo(f"Nothing to do: there is no {unit.path}.")
        return
    if now:
        for arguments in unit.stop:
            run(arguments)
    remove_unit(unit)
    click.echo(f"removed: {unit.path}")
    if now:
        for arguments in unit.forget:
            run(arguments)
    else:
        click.echo(f"What it has started goes on; stop it with: {shlex.join(unit.halt)}")


@command.command()
@_options
def show(launch_options: tuple[str, ...]) -> None:
    """Print the unit that `install` would write, and touch nothing."""
    from swarm_exporter.launcher.boot import is_installed

    unit = _unit(launch_options, _state_dir(launch_options))
    click.echo(unit.text, nl=False)
    if is_installed(unit):
        state = "is just this"
    else:
        state = "is another" if unit.path.exists() else "does not exist"
    click.echo(f"{unit.path} {state}.", err=True)


def _unit(launch_options: tuple[str, ...], state_dir: Path) -> Unit:
    from swarm_exporter.launcher.boot import own_program, unit

    return unit(
        launch_options,
        platform=sys.platform,
        environ=os.environ,
        cwd=Path.cwd(),
        program=own_program(),
        state_dir=state_dir,
    )


def _state_dir(launch_options: tuple[str, ...]) -> Path:
    """Return where the launcher will keep its state, and so say now what is wrong with a file.

    A wrong option is said now as well, and not at the next boot.
    """
    launch.make_context("launch", ["--foreground", "--keep-stopped", *launch_options])
    flags = Flags(
        config=_value(launch_options, "--config"), state_dir=_value(launch_options, "--state-dir")
    )
    return load_config(flags, os.environ, Path.cwd()).state_dir


def _value(options: tuple[str, ...], flag: str) -> str | None:
    """Return the value of one of the options that are passed on."""
    value = None
    for option, following in zip_longest(options, options[1:]):
        if option == flag:
            value = following
        elif option.startswith(f"{flag}="):
            value = option.partition("=")[2]
    return value


def _warn_of_variables() -> None:
    """The service manager hands on none of the variables that are set here."""
    names = {f"SWARM_{name.upper()}" for name in Flags.__struct_fields__}
    found = sorted(name for name in names if os.environ.get(name))
    if found:
        click.echo(
            f"warning: {', '.join(found)} {'is' if len(found) == 1 else 'are'} set here, but not "
            "at boot; give the same as options behind `--`, or in a file with --config",
            err=True,
        )
