"""The swarm around the nodes: the board's quantiles and its first peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, Reader, label_value
from swarm_exporter.model import Snapshot, Standing

_PEER = ("peer_id", "nickname")


def _quantiles(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    if snapshot.board is not None:
        for quantile, value in snapshot.board.quantiles.items():
            yield {"quantile": f"{quantile:g}"}, value


def _of_top_peers(read: Callable[[Standing], float | None]) -> Reader:
    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        seen: set[tuple[str, str]] = set()
        for peer in snapshot.board.top if snapshot.board is not None else ():
            key = (label_value(peer.peer_id), label_value(peer.nickname))
            value = read(peer)
            # Two ids that differ in control characters alone are one label: the first counts.
            if value is not None and key not in seen:
                seen.add(key)
                yield {"peer_id": key[0], "nickname": key[1]}, value

    return samples


METRICS = (
    Metric(
        "swarm_leaderboard_reward",
        Kind.SUMMARY,
        "Cumulative reward at a quantile (0.5, 0.9, 0.99, 1) of all peers on the board.",
        ("quantile",),
        _quantiles,
        "From the first node whose API answers. Quantiles are interpolated as PromQL does.",
    ),
    Metric(
        "swarm_peer_cumulative_reward",
        Kind.GAUGE,
        "The API's cumulative reward of each of the board's first peers.",
        _PEER,
        _of_top_peers(lambda peer: peer.cumulative_reward),
        "As many as `top_peers` says (default 10, at most 100).",
    ),
    Metric(
        "swarm_peer_rank",
        Kind.GAUGE,
        "Place on the board of each of its first peers, from 1.",
        _PEER,
        _of_top_peers(lambda peer: peer.rank),
        "As many as `top_peers` says (default 10, at most 100).",
    ),
)
