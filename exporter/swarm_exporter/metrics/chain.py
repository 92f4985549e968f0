"""What the swarm's coordinator contract says of each node's peer, and of the swarm."""

from __future__ import annotations

from collections.abc import Callable

from swarm_exporter.metrics.catalogue import Kind, Metric, Reader, of_node_facts
from swarm_exporter.sources.chain import ChainFacts


def _figure(read: Callable[[ChainFacts], float | None]) -> Reader:
    return of_node_facts(ChainFacts, lambda facts: [({}, read(facts))])


_UNREGISTERED = "Absent for a peer that is not registered."

METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_chain_rewards",
        Kind.GAUGE,
        "Sum of the integer rewards that the contract holds for the node's peer.",
        ("node",),
        _figure(lambda facts: facts.rewards),
        "Without a unit: a training signal and no balance. It can be negative and can fall, so it "
        "is no counter. Each contract has a sum of its own; a node submits every 3 hours or "
        f"more (RL Swarm v0.5.7 and later). {_UNREGISTERED}",
    ),
    Metric(
        "swarm_chain_wins",
        Kind.GAUGE,
        "How often anybody named the node's peer as a winner.",
        ("node",),
        _figure(lambda facts: facts.wins),
        f"A vote by any peer counts, whether the node took part or not. {_UNREGISTERED}",
    ),
    Metric(
        "swarm_chain_votes",
        Kind.GAUGE,
        "How often the node's peer submitted winners: the dashboards' \"participation\".",
        ("node",),
        _figure(lambda facts: facts.votes),
        "The hosted dashboard adds what it carried forward from earlier swarms; the contract does "
        f"not. {_UNREGISTERED}",
    ),
    Metric(
        "swarm_chain_registered",
        Kind.GAUGE,
        "1 where the contract knows an account for the node's peer, 0 where it knows none.",
        ("node",),
        _figure(lambda facts: facts.registered),
        "0 on a node that trains: it submits to another contract, or its login never came through.",
    ),
    Metric(
        "swarm_chain_round",
        Kind.GAUGE,
        "The swarm's round as the contract says.",
        ("node",),
        _figure(lambda facts: facts.round),
        "It stands still while the swarm is paused.",
    ),
    Metric(
        "swarm_chain_stage",
        Kind.GAUGE,
        "The swarm's stage as the contract says.",
        ("node",),
        _figure(lambda facts: facts.stage),
        "Always 0 since contracts v0.6.0.",
    ),
    Metric(
        "swarm_chain_unique_voters",
        Kind.GAUGE,
        "Peers that ever submitted winners to the contract.",
        ("node",),
        _figure(lambda facts: facts.unique_voters),
        "The same for all nodes of one contract. Absent where the contract does not count them.",
    ),
)
