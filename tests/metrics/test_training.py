from __future__ import annotations

import msgspec

from support import make_snapshot
from swarm_exporter.metrics.training import METRICS
from swarm_exporter.sources.log_patterns import ErrorKind
from swarm_exporter.sources.training_log import TrainingLogFacts

BY_NAME = {metric.name: metric for metric in METRICS}


def samples(name: str, facts: TrainingLogFacts):
    snapshot = make_snapshot()
    view = msgspec.structs.replace(snapshot.nodes[0], facts={TrainingLogFacts: facts})
    found = msgspec.structs.replace(snapshot, nodes=(view, snapshot.nodes[1]))
    return list(BY_NAME[name].read(found))


def test_what_a_log_has_not_told_is_absent():
    facts = TrainingLogFacts(log="logs/swarm.log")
    assert [name for name in BY_NAME if samples(name, facts)] == ["swarm_training_starts_total"]


def test_a_figure_for_each_fact():
    facts = TrainingLogFacts(
        log="logs/swarm.log",
        last_line_at=5.0,
        joined_round=7,
        joined_at=1.0,
        waiting_since=2.0,
        loss=0.0,
        reward=-1.5,
        last_submit_at=3.0,
        starts=4,
    )
    found = {name: samples(name, facts) for name in BY_NAME}
    values = {name: value for name, given in found.items() for labels, value in given}
    assert all(labels == {"node": "1"} for given in found.values() for labels, _ in given)
    assert values == {
        "swarm_training_joined_round": 7.0,
        "swarm_training_last_joined_timestamp_seconds": 1.0,
        "swarm_training_last_line_timestamp_seconds": 5.0,
        "swarm_training_waiting_since_timestamp_seconds": 2.0,
        "swarm_training_loss": 0.0,
        "swarm_training_reward": -1.5,
        "swarm_training_last_submit_timestamp_seconds": 3.0,
        "swarm_training_starts_total": 4.0,
    }


def test_counts_have_their_labels():
    facts = TrainingLogFacts(
        log="x",
        submissions={"accepted": 2, "refused": 0},
        winner_submissions={"accepted": 3, "refused": 1},
        errors={kind.value: 0 for kind in ErrorKind},
    )
    assert samples("swarm_training_submissions_total", facts) == [
        ({"node": "1", "result": "accepted"}, 2.0),
        ({"node": "1", "result": "refused"}, 0.0),
    ]
    assert samples("swarm_training_winner_submissions_total", facts)[0][1] == 3.0
    kinds = [labels["kind"] for labels, _ in samples("swarm_training_errors_total", facts)]
    assert kinds == [kind.value for kind in ErrorKind]
