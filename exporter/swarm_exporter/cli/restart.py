"""`swarm-exporter restart`: restart nodes, at once or after their next submission."""

from __future__ import annotations

import time

import click

from swarm_exporter.cli.launcher_options import (
    chosen_nodes,
    launcher_of,
    launcher_options,
    refuse_foreign,
)
from swarm_exporter.durations import format_duration
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.state import NodeRecord

EPILOG = """\b
Examples:
  swarm-exporter restart 2
  swarm-exporter restart --after-submit      all, each once it has submitted its reward
"""


@click.command(epilog=EPILOG)
@click.argument("nodes", nargs=-1)
@click.option("--after-submit", is_flag=True, help="Wait for each node's next submission.")
@launcher_options
def command(
    nodes: tuple[str, ...], after_submit: bool, config: str | None, state_dir: str | None
) -> None:
    """Restart NODES, or all of them, one after another.

    RL Swarm v0.5.7 and later keep what they earn in memory for up to 3 hours: a restart throws
    away what was not submitted. --after-submit waits for the submission.
    """
    launcher = launcher_of(config, state_dir)
    names = chosen_nodes(launcher, nodes or launcher.named())
    refuse_foreign(launcher, names)
    if not launcher.supervisor.answers():
        raise SwarmExporterError(
            "the launcher does not run; `swarm-exporter launch` starts it, and takes over what runs"
        )
    state = launcher.state()
    records = {n: state.nodes[n] for n in names} if state is not None else {}
    launcher.restart(names, after_submit=after_submit)
    for name, record in records.items():
        click.echo(f"node {name}: {_words(record, after_submit=after_submit)}")


def _words(record: NodeRecord, *, after_submit: bool) -> str:
    now = time.time()
    if not record.runs:
        return "is started"
    if after_submit and record.next_submit is not None:
        wait = max(record.next_submit - now, 1.0)
        return f"is restarted after its next submission, in about {format_duration(wait)}"
    if after_submit:
        return "is restarted; when it submits is not known"
    if record.unsubmitted_since is not None:
        lost = format_duration(max(now - record.unsubmitted_since, 1.0))
        return f"is restarted, and loses {lost} of reward that was not submitted"
    return "is restarted"
