"""What the commands on launched nodes share: which launcher, and which nodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from swarm_exporter.config import Flags, load_config
from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.launcher.control import Launcher
from swarm_exporter.launcher.foreign import find_trainers

F = TypeVar("F", bound=Callable[..., Any])

_config_option = click.option(
    "--config", metavar="FILE", type=click.Path(), help="The nodes' configuration."
)
#: Says where the launcher's files are.
state_option = click.option(
    "--state-dir", metavar="DIR", type=click.Path(), help="Where the launcher's files are."
)


def launcher_options(command: F) -> F:
    """Add the options that say which launcher is meant."""
    return _config_option(state_option(command))


def launcher_of(config: str | None, state_dir: str | None) -> Launcher:
    """Return the launcher whose files are where a configuration or a flag says."""
    flags = Flags(config=config, state_dir=state_dir)
    return Launcher(load_config(flags, os.environ, Path.cwd()).state_dir)


def chosen_nodes(launcher: Launcher, names: Sequence[str]) -> list[str]:
    """Return the named nodes, or all. Raises FlagError for one that was never launched here."""
    state = launcher.state()
    known = list(state.nodes) if state is not None else []
    if not known:
        raise SwarmExporterError(
            "no node was launched here; start some with `swarm-exporter launch --instances 3`"
        )
    for name in names:
        if name not in known:
            raise FlagError(f"node {name} was not launched here; known are {', '.join(known)}")
    return list(names) or known


def refuse_foreign(launcher: Launcher, names: Sequence[str]) -> None:
    """Refuse to touch nodes that somebody else started. Raises SwarmExporterError."""
    state = launcher.state()
    if state is None:
        return
    resting = {n: Path(state.nodes[n].folder) for n in names if not state.nodes[n].runs}
    for name, trainer in find_trainers(resting).items() if resting else ():
        raise SwarmExporterError(
            f"node {name} runs, but was not started by this launcher (process {trainer.pid}): end "
            "it where it was started (screen, pm2, systemd, docker)"
        )
