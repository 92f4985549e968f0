"""What each node earns and where it ranks: the standings, and our own account of them."""

from __future__ import annotations

from swarm_exporter.metrics.catalogue import Kind, Metric, of_node, of_snapshot
from swarm_exporter.model import NodeView, Stage

_NODE = ("node",)


def _recorded(view: NodeView) -> Stage | None:
    return view.standing.recorded if view.standing else None


def _clock(view: NodeView) -> Stage | None:
    return view.board.clock if view.board else None


METRICS = (
    Metric(
        "swarm_cumulative_reward",
        Kind.GAUGE,
        "The API's cumulative reward of this node's peer, as the API says it.",
        _NODE,
        of_node(lambda v: v.cumulative_reward),
        "Not a counter: upstream adds at a stage's first poll, overwrites at the second, and "
        "starts again after an absence. Count with `swarm_reward_earned_total`. Absent while the "
        "peer is not on the board.",
    ),
    Metric(
        "swarm_reward_earned_total",
        Kind.COUNTER,
        "Reward really earned since the node was first seen: "
        "the last scores of all finished stages that ended above zero.",
        _NODE,
        of_node(lambda v: v.earnings.earned if v.earnings.since is not None else None),
        "Never falls and survives restarts of the exporter. A stage counts at the moment a later "
        "one is recorded. Stages that passed while the exporter was down are not seen. Absent "
        "where the API does not name stages (v0.2, some community APIs).",
    ),
    Metric(
        "swarm_reward_lost_total",
        Kind.COUNTER,
        "The amounts by which finished stages ended below zero, since the node was first seen.",
        _NODE,
        of_node(lambda v: v.earnings.lost if v.earnings.since is not None else None),
    ),
    Metric(
        "swarm_reward_first_seen_timestamp_seconds",
        Kind.GAUGE,
        "When the account of this node's earnings began, Unix time.",
        _NODE,
        of_node(lambda v: v.earnings.since),
    ),
    Metric(
        "swarm_reward_last_increase_timestamp_seconds",
        Kind.GAUGE,
        "When this node last earned, Unix time.",
        _NODE,
        of_node(lambda v: v.earnings.last_increase),
        "Survives restarts. Absent until the node was seen to earn, or the API remembers when.",
    ),
    Metric(
        "swarm_last_score",
        Kind.GAUGE,
        "Score of the stage in which this node's peer was last recorded.",
        _NODE,
        of_node(lambda v: v.standing.last_score if v.standing else None),
        "Starts at zero in each stage, can be negative, and stands still within a stage.",
    ),
    Metric(
        "swarm_participation",
        Kind.GAUGE,
        "How often this node's peer has voted for winners, where the API says it.",
        _NODE,
        of_node(lambda v: v.participation),
        "Upstream's own server does not give it; community leaderboards may.",
    ),
    Metric(
        "swarm_rank",
        Kind.GAUGE,
        "Place of this node's peer on the board, from 1.",
        _NODE,
        of_node(lambda v: v.standing.rank if v.standing else None),
        "Absent while the peer is not on the board: that is no rank 0.",
    ),
    Metric(
        "swarm_total_peers",
        Kind.GAUGE,
        "How many peers are on the board that this node's API shows.",
        _NODE,
        of_node(lambda v: v.board.total_peers if v.board else None),
        "Peers that have published in the current or the last stage, not peers online.",
    ),
    Metric(
        "swarm_round",
        Kind.GAUGE,
        "The swarm's round, as this node's API says.",
        _NODE,
        of_node(lambda v: clock.round if (clock := _clock(v)) else None),
    ),
    Metric(
        "swarm_stage",
        Kind.GAUGE,
        "The swarm's stage within the round, as this node's API says.",
        _NODE,
        of_node(lambda v: clock.stage if (clock := _clock(v)) else None),
    ),
    Metric(
        "swarm_node_recorded_round",
        Kind.GAUGE,
        "The last round in which this node's peer is recorded.",
        _NODE,
        of_node(lambda v: recorded.round if (recorded := _recorded(v)) else None),
    ),
    Metric(
        "swarm_node_recorded_stage",
        Kind.GAUGE,
        "The last stage, within its round, in which this node's peer is recorded.",
        _NODE,
        of_node(lambda v: recorded.stage if (recorded := _recorded(v)) else None),
    ),
    Metric(
        "swarm_leaderboard_data_timestamp_seconds",
        Kind.GAUGE,
        "When this node's API itself last learned something, Unix time.",
        _NODE,
        of_node(lambda v: v.board.data_timestamp if v.board else None),
        "A frozen API goes on answering with status 200: compare with `time()`.",
    ),
    Metric(
        "swarm_stall_threshold_seconds",
        Kind.GAUGE,
        "After how long without earning a node counts as stalled, from the configuration.",
        _NODE,
        lambda snapshot: (
            ({"node": view.node.name}, snapshot.stall_after) for view in snapshot.nodes
        ),
    ),
    Metric(
        "swarm_leaderboard_last_increase_timestamp_seconds",
        Kind.GAUGE,
        "When anybody in the swarm last earned, Unix time.",
        (),
        of_snapshot(lambda s: s.swarm_last_increase),
        "Tells a stuck node from a stuck swarm. Without a leaderboard: when the round on the "
        "chain last advanced.",
    ),
)
