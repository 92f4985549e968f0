"""The committed boards as tests see them: panels, variables, and queries as Grafana sends them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support import ROOT

GRAFANA = ROOT / "grafana"
FOLDERS = {"en": GRAFANA / "dashboards", "zh": GRAFANA / "dashboards-zh"}
FILES = sorted(path for folder in FOLDERS.values() for path in folder.glob("*.json"))
UIDS = sorted(path.stem for path in FOLDERS["en"].glob("*.json"))

#: Names of series in an expression: the project's own, those of rules, and Prometheus' own.
_NAMES = re.compile(
    r"\b(?:(?:node|instance|job|swarm|fleet|machine):[a-z0-9_:]+"
    r"|(?:swarm|process|scrape)_[a-z0-9_]+|ALERTS(?:_FOR_STATE)?|up)\b"
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_GROUPED = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right) \([^)]*\)")

_CLIENT = httpx.Client(timeout=30)

#: A panel of half a screen is so many points wide, unless it says otherwise.
_POINTS = 800


def ident(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that draws something, those in rows among them."""
    for panel in board["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def names(expression: str) -> set[str]:
    """Which series an expression asks for."""
    return set(_NAMES.findall(_GROUPED.sub("", _QUOTED.sub("", expression))))


@dataclass(frozen=True)
class Asked:
    """One query of a panel."""

    panel: str
    ref: str
    expr: str
    legend: str
    table: bool
    instant: bool
    #: Seconds: the panel's shortest step, and its own range.
    shortest: float
    points: int
    since: str | None

    @property
    def where(self) -> str:
        return f"{self.panel} [{self.ref}]"


def asked(board: dict[str, Any]) -> list[Asked]:
    return [
        Asked(
            panel=panel["title"],
            ref=target["refId"],
            expr=target["expr"],
            legend=target.get("legendFormat", ""),
            table=target.get("format") == "table",
            instant=target.get("instant", False),
            shortest=seconds(panel.get("interval", "0s")),
            points=panel.get("maxDataPoints", _POINTS),
            since=panel.get("timeFrom"),
        )
        for panel in panels(board)
        for target in panel["targets"]
    ]


def seconds(duration: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return float(duration[:-1]) * units[duration[-1]]


@dataclass(frozen=True)
class Sent:
    """A query as Grafana sends it."""

    expr: str
    start: float
    end: float
    step: float


def sent(query: Asked, values: dict[str, str], *, now: float, span: float, scrape: float) -> Sent:
    """Fill in variables and intervals as Grafana's Prometheus data source does."""
    if query.since == "now/d":
        span = max(now % 86400, 60)
    elif query.since is not None:
        span = seconds(query.since)
    step = max(_rounded(span / query.points), query.shortest, scrape)
    expr = query.expr
    builtin = {
        "__rate_interval": f"{math.ceil(max(step + scrape, 4 * scrape))}s",
        "__interval": f"{math.ceil(step)}s",
        "__range": f"{math.ceil(span)}s",
    }
    for name, value in {**builtin, **values}.items():
        expr = re.sub(rf"\$({name}\b|\{{{name}\}})", value.replace("\\", r"\\"), expr)
    start, end = ((math.floor(t / step)) * step for t in (now - span, now))
    return Sent(expr, start, now if query.instant else end, step)


def _rounded(interval: float) -> float:
    """Grafana's intervals are round ones."""
    steps = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600)
    return next((step for step in steps if interval <= step * 1.25), 86400)


@dataclass(frozen=True)
class Server:
    """Something that answers PromQL, and the machine that it has figures of."""

    url: str
    instance: str

    def ask(self, path: str, **parameters: str | float) -> list[dict]:
        answer = _CLIENT.get(f"{self.url}/api/v1/{path}", params=parameters).json()
        if answer["status"] != "success":
            raise QueryError(answer["error"])
        data = answer["data"]
        return data["result"] if isinstance(data, dict) else data


class QueryError(Exception):
    """The server refuses a query, and says why."""
