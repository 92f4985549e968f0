"""What each node has written for Weights & Biases and TensorBoard."""

from __future__ import annotations

from collections.abc import Callable

from swarm_exporter.metrics.catalogue import Kind, Metric, Reader, of_node_facts
from swarm_exporter.sources.wandb_runs import MOST_ENTRIES, TrackingFacts

_NODE = ("node",)
_NEEDS = (
    "Needs the node's folder. Absent where a part of it cannot be read, or where it has more than "
    f"{MOST_ENTRIES} files."
)


def _of_runs(read: Callable[[TrackingFacts], float | None]) -> Reader:
    return of_node_facts(TrackingFacts, lambda facts: [({}, read(facts))])


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_wandb_offline_runs",
        Kind.GAUGE,
        "Offline runs of Weights & Biases in the node's folder that were not synced.",
        _NODE,
        _of_runs(lambda facts: facts.offline_runs),
        "`wandb sync --sync-all` sends them. RL Swarm v0.4.3 and later begin one with each start. "
        + _NEEDS,
    ),
    Metric(
        "swarm_wandb_offline_bytes",
        Kind.GAUGE,
        "Size of the offline runs that were not synced.",
        _NODE,
        _of_runs(lambda facts: facts.offline_bytes),
        _NEEDS,
    ),
    Metric(
        "swarm_wandb_newest_run_timestamp_seconds",
        Kind.GAUGE,
        "When the newest offline run that was not synced was last written to, Unix time.",
        _NODE,
        _of_runs(lambda facts: facts.newest_run),
        "Absent where there is none. " + _NEEDS,
    ),
    Metric(
        "swarm_tensorboard_files",
        Kind.GAUGE,
        "TensorBoard's event files below the node's `runs` and `logs`.",
        _NODE,
        _of_runs(lambda facts: facts.tensorboard_files),
        "Those inside of offline runs are not counted. " + _NEEDS,
    ),
    Metric(
        "swarm_tensorboard_bytes",
        Kind.GAUGE,
        "Size of TensorBoard's event files below the node's `runs` and `logs`.",
        _NODE,
        _of_runs(lambda facts: facts.tensorboard_bytes),
        _NEEDS,
    ),
    Metric(
        "swarm_tensorboard_newest_timestamp_seconds",
        Kind.GAUGE,
        "When the newest of TensorBoard's event files was last written to, Unix time.",
        _NODE,
        _of_runs(lambda facts: facts.newest_event),
        "Absent where there is none. " + _NEEDS,
    ),
)
