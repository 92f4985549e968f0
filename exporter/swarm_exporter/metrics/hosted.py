"""What a hosted dashboard says of each node's peer."""

from __future__ import annotations

from collections.abc import Callable

from swarm_exporter.metrics.catalogue import Kind, Metric, Reader, of_node_facts
from swarm_exporter.sources.hosted_json import HostedFacts

_NODE = ("node",)
_NEEDS = "Needs `hosted` in the configuration, and a known peer id or nickname."


def _of_hosted(read: Callable[[HostedFacts], float | None]) -> Reader:
    return of_node_facts(HostedFacts, lambda facts: [({}, read(facts))])


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_hosted_reward",
        Kind.GAUGE,
        "Total rewards of the node's peer, as the hosted dashboard says them.",
        _NODE,
        _of_hosted(lambda facts: facts.reward),
        "No unit. It can fall and be below zero. " + _NEEDS,
    ),
    Metric(
        "swarm_hosted_score",
        Kind.GAUGE,
        "Score of the node's peer, as the hosted dashboard says it.",
        _NODE,
        _of_hosted(lambda facts: facts.score),
        "Gensyn's dashboard calls it participation: how often the peer submitted winners. "
        + _NEEDS,
    ),
    Metric(
        "swarm_hosted_online",
        Kind.GAUGE,
        "1 where the hosted dashboard says that the node's peer is online, else 0.",
        _NODE,
        _of_hosted(lambda facts: None if facts.online is None else float(facts.online)),
        "Absent where it does not say. " + _NEEDS,
    ),
    Metric(
        "swarm_hosted_reward_timestamp_seconds",
        Kind.GAUGE,
        "When the hosted dashboard last changed the peer's reward, Unix time.",
        _NODE,
        _of_hosted(lambda facts: facts.reward_at),
        "Absent where it does not say: not every dashboard does. " + _NEEDS,
    ),
)
