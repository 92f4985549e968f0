"""A digest in words, English or Chinese, as plain text that every messenger shows."""

from __future__ import annotations

from collections.abc import Mapping

from swarm_exporter.digest import Digest, NodeDay
from swarm_exporter.durations import format_duration

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "head": "RL Swarm (Gensyn), last {period}: {count} earned {earned}",
        "one": "1 node",
        "many": "{n} nodes",
        "before": " (before that {before}{change})",
        "unknown": "an unknown amount",
        "line": "{name}: {facts}",
        "earned": "{earned} earned",
        "lost": "{lost} lost",
        "up": "up {up}",
        "earning": "earning {earning} of the time",
        "rank": "rank {rank} of {peers}",
        "rank_only": "rank {rank}",
        "was": " (was {before})",
        "restarts": "restarts: {reasons}",
        "condition": "now {condition}",
        "worst": "Look at {name}: {why}.",
        "never": "it earned nothing",
        "idle": "it last earned {ago} ago",
        "least": "it earned least",
    },
    "zh": {
        "head": "RL Swarm (Gensyn)，过去 {period}：{count}共赚取 {earned}",
        "one": "1 个节点",
        "many": "{n} 个节点",
        "before": "（之前 {before}{change}）",
        "unknown": "未知数量",
        "line": "{name}：{facts}",
        "earned": "赚取 {earned}",
        "lost": "损失 {lost}",
        "up": "运行 {up}",
        "earning": "{earning} 的时间在赚取",
        "rank": "排名 {rank}/{peers}",
        "rank_only": "排名 {rank}",
        "was": "（之前 {before}）",
        "restarts": "重启：{reasons}",
        "condition": "现在 {condition}",
        "worst": "请查看 {name}：{why}。",
        "never": "没有赚取",
        "idle": "上次赚取在 {ago} 前",
        "least": "赚取最少",
    },
}
LANGUAGES = tuple(_TEXTS)
#: Conditions that a person need not look at.
_FINE = {"earning", "training", "waiting_swarm", "stopped"}


def headline(digest: Digest, language: str) -> str:
    """Return the first line: what all nodes earned, beside the period before."""
    texts = _TEXTS[language]
    count = len(digest.nodes)
    earned, before = digest.earned, digest.earned_before
    head = texts["head"].format(
        period=digest.period,
        count=texts["one"] if count == 1 else texts["many"].format(n=count),
        earned=texts["unknown"] if earned is None else _number(earned),
    )
    if earned is None or before is None:
        return head
    change = f", {earned / before - 1:+.0%}" if before > 0 else ""
    return head + texts["before"].format(before=_number(before), change=change)


def body(digest: Digest, language: str) -> str:
    """Return a line for each node, and one for the node to look at."""
    texts = _TEXTS[language]
    machines = len({node.instance for node in digest.nodes})
    lines = [
        texts["line"].format(name=_name(node, machines), facts=", ".join(_facts(node, texts)))
        for node in digest.nodes
    ]
    worst = digest.worst
    if worst is not None and (why := _why(worst, digest, texts)):
        lines.append(texts["worst"].format(name=_name(worst, machines), why=why))
    return "\n".join(lines)


def _facts(node: NodeDay, texts: Mapping[str, str]) -> list[str]:
    facts = []
    if node.earned is not None:
        facts.append(texts["earned"].format(earned=_number(node.earned)))
    if node.lost:
        facts.append(texts["lost"].format(lost=_number(node.lost)))
    if node.up is not None:
        facts.append(texts["up"].format(up=f"{node.up:.1%}"))
    if node.earning is not None:
        facts.append(texts["earning"].format(earning=f"{node.earning:.0%}"))
    if node.rank is not None:
        place = texts["rank"] if node.peers is not None else texts["rank_only"]
        was = node.rank_before if node.rank_before != node.rank else None
        facts.append(
            place.format(rank=node.rank, peers=node.peers)
            + (texts["was"].format(before=was) if was is not None else "")
        )
    if node.restarts:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(node.restarts.items()))
        facts.append(texts["restarts"].format(reasons=reasons))
    if node.condition is not None and node.condition not in _FINE:
        facts.append(texts["condition"].format(condition=node.condition.replace("_", " ")))
    return facts


def _why(worst: NodeDay, digest: Digest, texts: Mapping[str, str]) -> str:
    """Return why the worst node is to be looked at; empty where it did about as the others."""
    if not worst.earned:
        if worst.last is not None and worst.last > 0:
            return texts["idle"].format(ago=format_duration(max(digest.time - worst.last, 0.0)))
        return texts["never"]
    others = [node.earned or 0.0 for node in digest.nodes if node is not worst]
    mean = sum(others) / len(others)
    return texts["least"] if worst.earned < mean / 2 else ""


def _name(node: NodeDay, machines: int) -> str:
    place = f"{node.instance} " if machines > 1 else ""
    nickname = f" ({node.nickname})" if node.nickname else ""
    return f"{place}node {node.node}{nickname}"


def _number(value: float) -> str:
    return f"{value:,.2f}"
