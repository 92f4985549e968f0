"""Who each node is, and the one answer to how it does."""

from __future__ import annotations

from collections.abc import Iterable

from swarm_exporter.addresses import redact_url
from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, label_value, of_node
from swarm_exporter.model import Condition, Snapshot


def _info(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for view in snapshot.nodes:
        yield (
            {
                "node": view.node.name,
                "peer_id": label_value(view.identity.peer_id),
                "nickname": label_value(view.identity.nickname),
                "api": redact_url(view.node.api) if view.reads_leaderboard else "",
                "reward_source": view.reward_source,
                "profile": label_value(view.process.profile if view.process else None),
                **view.node.labels,
            },
            1.0,
        )


def _conditions(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for view in snapshot.nodes:
        for condition in Condition:
            yield (
                {"node": view.node.name, "condition": condition.value},
                float(condition is view.verdict.condition),
            )


METRICS = (
    Metric(
        "swarm_node_info",
        Kind.INFO,
        "Identity of each node, and its own labels from the configuration.",
        ("node", "peer_id", "nickname", "api", "reward_source", "profile"),
        _info,
        "`profile` is the generation that the launcher runs, `reward_source` the source that "
        "gives the node its reward: leaderboard, hosted or chain, chosen once, never mixed. "
        "`api` is empty where no leaderboard is asked. "
        "Join with `* on(node) group_left(nickname) swarm_node_info`.",
    ),
    Metric(
        "swarm_node_identified",
        Kind.GAUGE,
        "1 where it is known which peer of the swarm this node is, 0 where it is not.",
        ("node",),
        of_node(lambda v: float(v.identified)),
    ),
    Metric(
        "swarm_node_identity_conflict",
        Kind.GAUGE,
        "1 where another node of this exporter is the same peer, 0 where none is.",
        ("node",),
        of_node(lambda v: float(bool(v.conflicts))),
        "Two nodes with one identity earn once. Give each its own swarm.pem.",
    ),
    Metric(
        "swarm_node_condition",
        Kind.GAUGE,
        "1 for the condition that the node is in, 0 for all others.",
        ("node", "condition"),
        _conditions,
        "Conditions: " + ", ".join(f"`{condition.value}`" for condition in Condition) + ". "
        "Reason and next action are on the status page.",
    ),
)
