"""The day of all nodes out of Prometheus: what each earned, ran, restarted, and the worst of them.

Prometheus' HTTP API v1 (instant queries). A figure that it does not have is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from swarm_exporter.errors import SwarmExporterError

#: Of a day's queries none takes long; a Prometheus that is overloaded may.
_TIMEOUT_SECONDS = 30.0

#: A node of one exporter: the labels `instance` and `node`.
Key = tuple[str, str]

_QUERIES = {
    "earned": "increase(swarm_reward_earned_total[{period}])",
    "earned_before": "increase(swarm_reward_earned_total[{period}] offset {period})",
    "lost": "increase(swarm_reward_lost_total[{period}])",
    "up": "avg_over_time(swarm_trainer_up[{period}])",
    "earning": 'avg_over_time(swarm_node_condition{{condition="earning"}}[{period}])',
    "rank": "swarm_rank",
    "rank_before": "swarm_rank offset {period}",
    "peers": "swarm_total_peers",
    "last": "swarm_reward_last_increase_timestamp_seconds",
}
_RESTARTS = "increase(swarm_node_restarts_total[{period}]) > 0.5"
_CONDITIONS = "swarm_node_condition == 1"
_NAMES = "swarm_node_info"


class NodeDay(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one node in the period; unknown is null."""

    instance: str
    node: str
    nickname: str = ""
    condition: str | None = None
    earned: float | None = None
    earned_before: float | None = None
    lost: float | None = None
    #: Shares of the period in which its trainer ran, and in which it earned.
    up: float | None = None
    earning: float | None = None
    rank: int | None = None
    rank_before: int | None = None
    peers: int | None = None
    #: When it last earned, Unix seconds.
    last: float | None = None
    #: Restarts by reason.
    restarts: dict[str, int] = {}


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """The period of all nodes, the best first."""

    #: Unix seconds of its end.
    time: float
    #: As Prometheus writes it: 24h.
    period: str
    nodes: list[NodeDay]

    @property
    def earned(self) -> float | None:
        """What all nodes earned; None where nothing is known of any."""
        return _sum(node.earned for node in self.nodes)

    @property
    def earned_before(self) -> float | None:
        """The same of the period before."""
        return _sum(node.earned_before for node in self.nodes)

    @property
    def worst(self) -> NodeDay | None:
        """The node to look at: the one that earned least, of several the one that ran least."""
        if len(self.nodes) < 2:
            return None
        return min(self.nodes, key=lambda n: (n.earned or 0.0, n.up if n.up is not None else 1.0))


def read_digest(client: httpx.Client, prometheus: str, period: str, now: float) -> Digest:
    """Ask Prometheus at `prometheus` (its base address) for the period that ends at `now`.

    Raises SwarmExporterError where it does not answer, or knows no node.
    """
    found: dict[Key, dict[str, Any]] = {}
    for name, query in _QUERIES.items():
        for labels, value in _ask(client, prometheus, query.format(period=period), now):
            found.setdefault(_key(labels), {})[name] = value
    for labels, value in _ask(client, prometheus, _RESTARTS.format(period=period), now):
        restarts = found.setdefault(_key(labels), {}).setdefault("restarts", {})
        restarts[labels.get("reason", "")] = round(value)
    for labels, _ in _ask(client, prometheus, _CONDITIONS, now):
        found.setdefault(_key(labels), {})["condition"] = labels.get("condition")
    for labels, _ in _ask(client, prometheus, _NAMES, now):
        if _key(labels) in found:
            found[_key(labels)]["nickname"] = labels.get("nickname", "")
    if not found:
        raise SwarmExporterError(
            "Prometheus knows no node; let it scrape the exporter (prometheus/prometheus.yml)"
        )
    nodes = [_node(instance, node, facts) for (instance, node), facts in found.items()]
    nodes.sort(key=lambda node: (-(node.earned or 0.0), node.instance, node.node))
    return Digest(time=now, period=period, nodes=nodes)


def _node(instance: str, node: str, facts: Mapping[str, Any]) -> NodeDay:
    whole = {name: round(facts[name]) for name in ("rank", "rank_before", "peers") if name in facts}
    return NodeDay(instance=instance, node=node, **{**facts, **whole})


def _ask(
    client: httpx.Client, prometheus: str, query: str, now: float
) -> list[tuple[dict[str, str], float]]:
    """Return the samples of an instant query by their labels, without NaN and infinities."""
    try:
        answer = client.post(
            f"{prometheus.rstrip('/')}/api/v1/query",
            data={"query": query, "time": f"{now:.3f}"},
            timeout=_TIMEOUT_SECONDS,
        )
        content = answer.json()
        if content["status"] != "success":
            raise SwarmExporterError(f"Prometheus refused a query: {content.get('error', '')}")
        return [
            (dict(series["metric"]), value)
            for series in content["data"]["result"]
            if abs(value := float(series["value"][1])) < float("inf")
        ]
    except httpx.HTTPError as error:
        raise SwarmExporterError(
            f"Prometheus does not answer ({type(error).__name__}); give its address with "
            "--prometheus"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise SwarmExporterError(
            "what answers is no Prometheus; give its address with --prometheus"
        ) from None


def _key(labels: Mapping[str, str]) -> Key:
    return labels.get("instance", ""), labels.get("node", "")


def _sum(figures: Any) -> float | None:  # noqa: ANN401 - any iterable of figures
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
