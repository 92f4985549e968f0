"""`swarm-exporter logs`: the nodes' logs, merged, each line with its node."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import click

from swarm_exporter.cli.launcher_options import launcher_of, launcher_options
from swarm_exporter.config import Flags, load_config
from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.launcher.nodes import DEFAULT_FOLDER, LAUNCHER_LOG
from swarm_exporter.launcher.tail import Tail

EPILOG = """\b
Examples:
  swarm-exporter logs              the last lines of every node
  swarm-exporter logs -f           and what they write from now on
  swarm-exporter logs -n 200 2     more of node 2
  swarm-exporter logs --all 2      its own logs as well, not only its command's output
"""
_LOOK_SECONDS = 0.2
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "red")


@click.command(epilog=EPILOG)
@click.argument("nodes", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Every log in the nodes' folders.")
@launcher_options
def command(
    nodes: tuple[str, ...],
    follow: bool,
    lines: int,
    everything: bool,
    config: str | None,
    state_dir: str | None,
) -> None:
    """Show the logs of NODES, or of all nodes.

    Works for nodes that somebody else started as well: their logs are found in their folders.
    """
    folders = _folders(config, state_dir)
    unknown = next((name for name in nodes if name not in folders), None)
    if unknown is not None:
        raise FlagError(f"node {unknown} is not known; known are {', '.join(folders)}")
    chosen = list(nodes) or list(folders)
    tails = [
        (name, Tail(path))
        for name in chosen
        for path in _logs(folders[name], everything=everything)
    ]
    if not tails:
        raise SwarmExporterError(f"no log is in {folders[chosen[0]] / 'logs'} yet")
    width = max(len(name) for name in chosen)
    prefixes = {
        name: click.style(f"{name:>{width}} | ", fg=_COLOURS[number % len(_COLOURS)])
        for number, name in enumerate(folders)
    }
    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        for name, tail in tails:
            _print(prefixes[name], tail.last(lines))
        while follow:
            news = [(name, tail.new()) for name, tail in tails]
            for name, fresh in news:
                _print(prefixes[name], fresh)
            if not any(fresh for _, fresh in news):
                time.sleep(_LOOK_SECONDS)


def _folders(config: str | None, state_dir: str | None) -> dict[str, Path]:
    """Return the folder of each node: of those that were launched, else of the configuration."""
    state = launcher_of(config, state_dir).state()
    if state is not None and state.nodes and config is None:
        return {name: Path(record.folder) for name, record in state.nodes.items()}
    settings = load_config(Flags(config=config, state_dir=state_dir), os.environ, Path.cwd())
    return {
        node.name: node.folder or Path.cwd() / DEFAULT_FOLDER.format(i=number)
        for number, node in enumerate(settings.nodes, 1)
    }


def _logs(folder: Path, *, everything: bool) -> list[Path]:
    """Return a node's logs: what its command prints, or else the log that was written to last."""
    console = folder / "logs" / LAUNCHER_LOG
    found = [path for path in sorted((folder / "logs").glob("*.log")) if path.is_file()]
    if everything or not found:
        return found
    return [console] if console in found else [max(found, key=lambda path: path.stat().st_mtime)]


def _print(prefix: str, lines: list[str]) -> None:
    for line in lines:
        click.echo(prefix + line)
    if lines:
        sys.stdout.flush()
