"""`swarm-exporter completion SHELL`: print the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EPILOG = """\b
Examples:
  swarm-exporter completion zsh  > ~/.zfunc/_swarm-exporter
  swarm-exporter completion bash > ~/.local/share/bash-completion/completions/swarm-exporter
  swarm-exporter completion fish > ~/.config/fish/completions/swarm-exporter.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL."""
    from swarm_exporter.cli import cli

    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - the choices are click's own shells
    click.echo(completion(cli, {}, "swarm-exporter", "_SWARM_EXPORTER_COMPLETE").source())
