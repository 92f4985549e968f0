"""The command line: `swarm-exporter COMMAND`; without a command, `serve`.

Each command is one module with a `command`; it is imported only when it is called.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

import click

from swarm_exporter import __version__
from swarm_exporter.errors import FlagError, SwarmExporterError

#: Command -> the line that `--help` shows. The module of the same name holds the command.
COMMANDS = {
    "serve": "Export nodes to Prometheus (the default command).",
    "check": "Validate the configuration without starting anything.",
    "doctor": "Say what works on this machine, what does not, and the fix.",
    "plan": "Say how many nodes fit on this machine, and with which settings.",
    "init": "Set up a folder for each node from an RL Swarm checkout or URL.",
    "launch": "Start the nodes one after another, and keep them running.",
    "status": "Show what each node earns, in the terminal.",
    "logs": "Show the nodes' logs, merged.",
    "restart": "Restart nodes, at once or after their next submission.",
    "stop": "Stop nodes and everything they have started.",
    "digest": "Say what the nodes earned in a day, and send it.",
    "stack": "Run Prometheus, Alertmanager and Grafana beside the exporter.",
    "assets": "Write boards and rules for a Prometheus and Grafana of yours.",
    "sd": "Write the list of machines for a Prometheus that scrapes many.",
    "demo": "Run a simulated swarm, and the exporter on it.",
    "backup": "Save identities and login data in one archive.",
    "restore": "Put a backup's identities and login data back.",
    "service": "Start the nodes at boot: install, remove or show the unit.",
    "completion": "Print the completion script for a shell.",
}
_DEFAULT = "serve"
_OF_THE_GROUP = {"--help", "-h", "--version", "-V"}

EPILOG = """\b
Examples:
  swarm-exporter --instances 3          export the nodes on ports 3000, 3001, 3002
  swarm-exporter --api-port 8000        one node whose swarm API is on port 8000
  swarm-exporter --config swarm.yml     the nodes that a file names
  swarm-exporter launch --instances 3   start three nodes, one after another
  swarm-exporter demo                   no node yet? a simulated swarm
  swarm-exporter status --watch         the table in the terminal
"""


class Commands(click.Group):
    """A group that imports a command when it is called, and falls back to `serve`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command by its name."""
        if name not in COMMANDS:
            return None
        command = import_module(f"swarm_exporter.cli.{name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - tells the type checker
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `--instances 3` as `serve --instances 3`."""
        if not args or (args[0].startswith("-") and args[0] not in _OF_THE_GROUP):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="swarm-exporter")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Launcher and Prometheus exporter for RL Swarm (Gensyn) nodes: what each earns, and why not.

    Every command has its own --help with examples. Exit codes: 0 good, 1 failed, 2 wrong usage.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Run the command line; every foreseen error is one sentence on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal's encoding lacks must not end the program.
            stream.reconfigure(errors="replace")
    try:
        cli(prog_name="swarm-exporter")
    except SwarmExporterError as error:
        click.echo(f"swarm-exporter: {error}", err=True)
        sys.exit(2 if isinstance(error, FlagError) else 1)
