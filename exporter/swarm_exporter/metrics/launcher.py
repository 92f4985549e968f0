"""What runs of each node on this machine, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.launcher.state import RestartReason, State
from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, Reader, of_node
from swarm_exporter.model import NodeProcess, Snapshot


def _of_process(read: Callable[[NodeProcess], float | None]) -> Reader:
    return of_node(lambda view: read(view.process) if view.process is not None else None)


def _states(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for view in snapshot.nodes:
        if view.process is not None:
            for state in State:
                yield (
                    {"node": view.node.name, "state": state.value},
                    float(state.value == view.process.state),
                )


def _restarts(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for view in snapshot.nodes:
        if view.process is not None and view.process.launched:
            for reason in RestartReason:
                count = view.process.restarts.get(reason.value, 0)
                yield {"node": view.node.name, "reason": reason.value}, float(count)


def _submissions(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for view in snapshot.nodes:
        if view.process is not None and view.process.submit_period is not None:
            for result, count in view.process.submits.items():
                yield {"node": view.node.name, "result": result}, float(count)


METRICS = (
    Metric(
        "swarm_node_state",
        Kind.GAUGE,
        "1 for the state that the launcher says the node is in, 0 for all others.",
        ("node", "state"),
        _states,
        "States: " + ", ".join(f"`{state.value}`" for state in State) + ". A node that somebody "
        "else started is `running` while its trainer runs. Absent where nothing is known.",
    ),
    Metric(
        "swarm_node_start_time_seconds",
        Kind.GAUGE,
        "When the node's command was started, Unix time.",
        ("node",),
        _of_process(lambda process: process.started),
        "Absent while it does not run.",
    ),
    Metric(
        "swarm_node_restarts_total",
        Kind.COUNTER,
        "How often the launcher started the node again, by reason.",
        ("node", "reason"),
        _restarts,
        "Reasons: " + ", ".join(f"`{reason.value}`" for reason in RestartReason) + ".",
    ),
    Metric(
        "swarm_trainer_up",
        Kind.GAUGE,
        "1 where the node's trainer runs, 0 where it does not.",
        ("node",),
        _of_process(lambda p: None if p.trainer_up is None else float(p.trainer_up)),
        "The trainer itself, not the script around it: upstream's script outlives its trainer.",
    ),
    Metric(
        "swarm_submit_period_seconds",
        Kind.GAUGE,
        "Longest time for which the trainer keeps earned reward in memory.",
        ("node",),
        _of_process(lambda process: process.submit_period),
        "A restart loses what was not submitted. Absent where the profile does not know it.",
    ),
    Metric(
        "swarm_last_submit_timestamp_seconds",
        Kind.GAUGE,
        "When the trainer's log last told of an accepted submission, Unix time.",
        ("node",),
        _of_process(lambda process: process.last_submit),
        "RL Swarm v0.6 and later; absent before the first.",
    ),
    Metric(
        "swarm_submissions_total",
        Kind.COUNTER,
        "Submissions that the trainer's log tells of, by result.",
        ("node", "result"),
        _submissions,
        "Results: `accepted` (RL Swarm v0.6 and later), `refused`.",
    ),
)
