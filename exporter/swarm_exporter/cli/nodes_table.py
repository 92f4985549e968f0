"""The launcher's nodes as a table for a terminal, while they start or stop."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from swarm_exporter.cli.table import plain
from swarm_exporter.durations import format_duration
from swarm_exporter.launcher.state import LauncherState, NodeRecord, State

_STYLES = {
    State.RUNNING: "green",
    State.STARTING: "cyan",
    State.BACKOFF: "yellow",
    State.STOPPING: "blue",
    State.FATAL: "red",
}


def nodes_table(state: LauncherState, names: Sequence[str], now: float) -> Table:
    """Return a row for each node: its state, since when, and why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Node", "State", "For"):
        table.add_column(title, no_wrap=True)
    table.add_column("", overflow="fold")
    for name in names:
        record = state.nodes.get(name) or NodeRecord(name=name, since=now)
        table.add_row(
            plain(name),
            Text(record.state.value, style=_STYLES.get(record.state, "")),
            Text(format_duration(max(round(now - record.since), 1))),
            plain(_explanation(record, state, now)),
        )
    return table


def _explanation(record: NodeRecord, state: LauncherState, now: float) -> str:
    if record.state is State.BACKOFF and record.due is not None:
        return f"{record.reason}; starts again in {format_duration(max(record.due - now, 1.0))}"
    if record.waiting_login and "login" in record.ports:
        port = record.ports["login"]
        return f"log in at http://localhost:{port} (elsewhere: ssh -L {port}:localhost:{port} …)"
    if record.wanted and record.state is State.STOPPED:
        return state.ramp_problem or record.reason
    return record.reason
