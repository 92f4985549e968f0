"""The metrics of the hosted dashboard, of offline runs and of the login."""

from __future__ import annotations

import msgspec
import pytest

from support import make_snapshot
from swarm_exporter.metrics import hosted, login, wandb
from swarm_exporter.metrics.catalogue import Kind, Metric
from swarm_exporter.model import NodeFacts, Snapshot
from swarm_exporter.sources.hosted_json import HostedFacts
from swarm_exporter.sources.login import LoginFacts
from swarm_exporter.sources.wandb_runs import TrackingFacts

ALL = (*hosted.METRICS, *wandb.METRICS, *login.METRICS)
FULL: dict[type[NodeFacts], NodeFacts] = {
    HostedFacts: HostedFacts(
        reward=-3.5, score=7.0, online=False, peer_id="QmA", nickname="a b c", reward_at=1e9
    ),
    TrackingFacts: TrackingFacts(
        offline_runs=0,
        offline_bytes=5,
        newest_run=1e9,
        tensorboard_files=2,
        tensorboard_bytes=9,
        newest_event=2e9,
    ),
    LoginFacts: LoginFacts(login_data=True, activated=False, app_answers=True),
}
EMPTY: dict[type[NodeFacts], NodeFacts] = {kind: kind() for kind in FULL}


def snapshot_of(facts: dict[type[NodeFacts], NodeFacts]) -> Snapshot:
    """Node 1 with these facts, and node 2 without."""
    snapshot = make_snapshot()
    first, second = snapshot.nodes
    first = msgspec.structs.replace(first, facts=facts)
    return msgspec.structs.replace(snapshot, nodes=(first, second))


def read(facts: dict[type[NodeFacts], NodeFacts]) -> dict[str, list[object]]:
    return {metric.name: list(metric.read(snapshot_of(facts))) for metric in ALL}


def test_each_figure_that_is_known_is_a_sample_of_its_node():
    assert read(FULL) == {
        name: [({"node": "1"}, figure)]
        for name, figure in {
            "swarm_hosted_reward": -3.5,
            "swarm_hosted_score": 7.0,
            "swarm_hosted_online": 0.0,
            "swarm_hosted_reward_timestamp_seconds": 1e9,
            "swarm_wandb_offline_runs": 0.0,
            "swarm_wandb_offline_bytes": 5.0,
            "swarm_wandb_newest_run_timestamp_seconds": 1e9,
            "swarm_tensorboard_files": 2.0,
            "swarm_tensorboard_bytes": 9.0,
            "swarm_tensorboard_newest_timestamp_seconds": 2e9,
            "swarm_login_data": 1.0,
            "swarm_login_activated": 0.0,
            "swarm_login_app_up": 1.0,
        }.items()
    }


@pytest.mark.parametrize("facts", [EMPTY, {}], ids=["nothing known", "no facts"])
def test_what_is_not_known_is_absent_and_never_zero(facts):
    assert all(samples == [] for samples in read(facts).values())


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_they_are_gauges_of_a_node_alone(metric: Metric):
    assert (metric.kind, metric.labels) == (Kind.GAUGE, ("node",))
    assert metric.help.endswith(".")
    assert metric.notes.endswith(".")
