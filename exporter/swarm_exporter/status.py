"""Snapshot -> the status document: what `/api/status`, the page and `status` show.

The document is the machine-readable twin of the table a person sees; its keys are stable.
"""

from __future__ import annotations

import msgspec

from swarm_exporter import __version__
from swarm_exporter.addresses import redact_url
from swarm_exporter.host.footprint import Footprints
from swarm_exporter.host.process import ProcessUsage
from swarm_exporter.model import Board, NodeProcess, NodeView, Snapshot, SourceStatus
from swarm_exporter.reasons import ACTION


class SourceLine(msgspec.Struct, frozen=True, kw_only=True):
    """How one node is seen through one source."""

    source: str
    up: bool
    reason: str | None
    detail: str
    action: str
    duration_seconds: float | None
    last_success: float | None


class ProcessLine(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of one node on this machine."""

    #: The launcher's word: stopped, starting, running, backoff, stopping, fatal, unknown.
    state: str
    reason: str
    since: float | None
    #: False where somebody else started it.
    launched: bool
    profile: str
    started: float | None
    trainer_up: bool | None
    restarts: dict[str, int]
    next_start: float | None
    #: Why a restart waits for the next submission; empty where none does.
    postponed: str
    submit_period_seconds: float | None
    last_submit: float | None
    next_submit: float | None
    #: Since when what was earned is not submitted: what a restart loses.
    unsubmitted_since: float | None
    submits: dict[str, int]


class CostLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one node takes of this machine."""

    processes: int
    #: Cores kept busy since the reading before.
    cpu_cores: float | None
    cpu_seconds: float | None
    #: Its footprint, or its resident memory until that is read.
    memory_bytes: int | None


class NodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. Times are Unix seconds; unknown is null."""

    node: str
    nickname: str | None
    peer_id: str | None
    api: str
    labels: dict[str, str]
    condition: str
    reason: str
    action: str
    rank: int | None
    total_peers: int | None
    cumulative_reward: float | None
    last_score: float | None
    participation: float | None
    #: Null before the node's peer was first seen.
    earned: float | None
    lost: float | None
    earned_since: float | None
    earned_per_hour: float | None
    last_increase: float | None
    scores: list[float]
    round: int | None
    stage: int | None
    recorded_round: int | None
    recorded_stage: int | None
    data_timestamp: float | None
    #: Null where nothing is known of its processes.
    process: ProcessLine | None
    #: Null where its processes are not found.
    cost: CostLine | None
    #: The source that gives it its reward: leaderboard, hosted, chain; empty where none does.
    reward_source: str
    #: What cannot be known of it, each with what to configure.
    blind: list[str]
    sources: list[SourceLine]


class PeerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One of the first peers of the board."""

    rank: int
    peer_id: str
    nickname: str
    cumulative_reward: float | None
    #: Names of the person's own nodes that are this peer.
    nodes: list[str]


class SwarmLine(msgspec.Struct, frozen=True, kw_only=True):
    """The swarm as a whole; all null while no board is known."""

    round: int | None
    stage: int | None
    total_peers: int | None
    #: Cumulative reward by quantile: "0.5", "0.9", "0.99", "1".
    quantiles: dict[str, float]
    last_increase: float | None
    data_timestamp: float | None
    top: list[PeerLine]


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer of `/api/status`."""

    version: str
    #: When the document was made, Unix seconds.
    time: float
    started: float
    ready: bool
    #: How often the page should ask again, seconds.
    refresh_seconds: float
    config_ok: bool
    config_error: str
    stall_after_seconds: float
    nodes: list[NodeLine]
    #: How the machine itself is seen.
    machine: list[SourceLine]
    swarm: SwarmLine


def status_document(snapshot: Snapshot, now: float, refresh_seconds: float) -> StatusDocument:
    """Put a snapshot into the document's shape; `now` is the time it is asked for."""
    return StatusDocument(
        version=__version__,
        time=now,
        started=snapshot.exporter.started,
        ready=snapshot.exporter.ready,
        refresh_seconds=refresh_seconds,
        config_ok=snapshot.exporter.config_ok,
        config_error=snapshot.exporter.config_error,
        stall_after_seconds=snapshot.stall_after,
        nodes=[_node_line(view, snapshot) for view in snapshot.nodes],
        machine=[_source_line(status) for status in snapshot.host_sources],
        swarm=_swarm_line(snapshot),
    )


def _node_line(view: NodeView, snapshot: Snapshot) -> NodeLine:
    standing, board, earnings = view.standing, view.board, view.earnings
    recorded = standing.recorded if standing else None
    clock = board.clock if board else None
    return NodeLine(
        node=view.node.name,
        nickname=view.identity.nickname,
        peer_id=view.identity.peer_id,
        api=redact_url(view.node.api) if view.reads_leaderboard else "",
        labels=dict(view.node.labels),
        condition=view.verdict.condition.value,
        reason=view.verdict.reason,
        action=view.verdict.action,
        rank=standing.rank if standing else None,
        total_peers=board.total_peers if board else None,
        cumulative_reward=view.cumulative_reward,
        last_score=standing.last_score if standing else None,
        participation=view.participation,
        earned=earnings.earned if earnings.since is not None else None,
        lost=earnings.lost if earnings.since is not None else None,
        earned_since=earnings.since,
        earned_per_hour=earnings.per_hour,
        last_increase=earnings.last_increase,
        scores=list(earnings.scores),
        round=clock.round if clock else None,
        stage=clock.stage if clock else None,
        recorded_round=recorded.round if recorded else None,
        recorded_stage=recorded.stage if recorded else None,
        data_timestamp=board.data_timestamp if board else None,
        process=_process_line(view.process) if view.process is not None else None,
        cost=_cost_line(view.node.name, snapshot),
        reward_source=view.reward_source,
        blind=list(view.blind),
        sources=[_source_line(status) for status in view.sources],
    )


def _cost_line(node: str, snapshot: Snapshot) -> CostLine | None:
    usages, footprints = snapshot.of_host(ProcessUsage), snapshot.of_host(Footprints)
    usage = usages.nodes.get(node) if usages is not None else None
    if usage is None:
        return None
    footprint = footprints.nodes.get(node) if footprints is not None else None
    return CostLine(
        processes=usage.count,
        cpu_cores=usage.cores,
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=footprint.size if footprint is not None else usage.resident,
    )


def _process_line(process: NodeProcess) -> ProcessLine:
    return ProcessLine(
        state=process.state,
        reason=process.reason,
        since=process.since,
        launched=process.launched,
        profile=process.profile,
        started=process.started,
        trainer_up=process.trainer_up,
        restarts=dict(process.restarts),
        next_start=process.next_start,
        postponed=process.postponed,
        submit_period_seconds=process.submit_period,
        last_submit=process.last_submit,
        next_submit=process.next_submit,
        unsubmitted_since=process.unsubmitted_since,
        submits=dict(process.submits),
    )


def _source_line(status: SourceStatus) -> SourceLine:
    return SourceLine(
        source=status.source,
        up=status.up,
        reason=status.reason.value if status.reason is not None else None,
        detail=status.detail,
        action=ACTION[status.reason] if status.reason is not None else "",
        duration_seconds=status.duration,
        last_success=status.last_success,
    )


def _swarm_line(snapshot: Snapshot) -> SwarmLine:
    board: Board | None = snapshot.board
    own: dict[str, list[str]] = {}
    for view in snapshot.nodes:
        if view.identity.peer_id is not None:
            own.setdefault(view.identity.peer_id, []).append(view.node.name)
    clock = board.clock if board else None
    return SwarmLine(
        round=clock.round if clock else None,
        stage=clock.stage if clock else None,
        total_peers=board.total_peers if board else None,
        quantiles={f"{q:g}": value for q, value in board.quantiles.items()} if board else {},
        last_increase=snapshot.swarm_last_increase,
        data_timestamp=board.data_timestamp if board else None,
        top=[
            PeerLine(
                rank=peer.rank,
                peer_id=peer.peer_id,
                nickname=peer.nickname,
                cumulative_reward=peer.cumulative_reward,
                nodes=own.get(peer.peer_id, []),
            )
            for peer in (board.top if board else ())
        ],
    )
