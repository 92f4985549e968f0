from __future__ import annotations

from itertools import zip_longest

import msgspec

from support import make_snapshot
from swarm_exporter.metrics.catalogue import Kind
from swarm_exporter.metrics.chain import METRICS
from swarm_exporter.model import Snapshot
from swarm_exporter.sources.chain import ChainFacts


def snapshot_of(*facts: ChainFacts) -> Snapshot:
    """The nodes 1 and 2, with the facts of the first ones of them."""
    snapshot = make_snapshot()
    nodes = [
        msgspec.structs.replace(view, facts={ChainFacts: known} if known is not None else {})
        for view, known in zip_longest(snapshot.nodes, facts)
    ]
    return msgspec.structs.replace(snapshot, nodes=tuple(nodes))


def samples(snapshot: Snapshot) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {metric.name: list(metric.read(snapshot)) for metric in METRICS}


def test_each_figure_that_is_known_is_a_sample_of_its_node():
    known = ChainFacts(
        preset="codezero",
        contract="0x1",
        rewards=-7,
        wins=2,
        votes=0,
        registered=True,
        round=412,
        stage=0,
        unique_voters=30,
    )
    poor = ChainFacts(preset="custom", contract="0x2", registered=False, round=1)
    assert samples(snapshot_of(known, poor)) == {
        "swarm_chain_rewards": [({"node": "1"}, -7.0)],
        "swarm_chain_wins": [({"node": "1"}, 2.0)],
        "swarm_chain_votes": [({"node": "1"}, 0.0)],
        "swarm_chain_registered": [({"node": "1"}, 1.0), ({"node": "2"}, 0.0)],
        "swarm_chain_round": [({"node": "1"}, 412.0), ({"node": "2"}, 1.0)],
        "swarm_chain_stage": [({"node": "1"}, 0.0)],
        "swarm_chain_unique_voters": [({"node": "1"}, 30.0)],
    }


def test_the_largest_numbers_of_the_chain_are_samples():
    facts = ChainFacts(preset="x", contract="0x", rewards=-(2**255), round=2**256 - 1)
    found = samples(snapshot_of(facts))
    assert found["swarm_chain_rewards"] == [({"node": "1"}, -(2.0**255))]
    assert found["swarm_chain_round"] == [({"node": "1"}, 2.0**256)]


def test_without_the_chain_there_is_no_sample():
    assert not any(samples(snapshot_of()).values())


def test_what_may_fall_is_no_counter():
    assert {metric.kind for metric in METRICS} == {Kind.GAUGE}
    assert {metric.labels for metric in METRICS} == {("node",)}
