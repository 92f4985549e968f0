"""The command line inside the test's own process: what it prints, and how it ends."""

from __future__ import annotations

from typing import NamedTuple

from click.testing import CliRunner

from swarm_exporter.cli import cli
from swarm_exporter.errors import FlagError, SwarmExporterError


class Done(NamedTuple):
    code: int
    out: str
    err: str


def command(*arguments: str) -> Done:
    """Run `swarm-exporter` with these arguments, ending as its main function does."""
    result = CliRunner().invoke(cli, arguments)
    error = result.exception
    if isinstance(error, SwarmExporterError):
        code = 2 if isinstance(error, FlagError) else 1
        return Done(code, result.stdout, f"{result.stderr}{error}\n")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Done(result.exit_code, result.stdout, result.stderr)


def good(*arguments: str) -> Done:
    done = command(*arguments)
    assert done.code == 0, done.err
    return done
