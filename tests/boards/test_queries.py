"""Every query of every board, as Grafana sends it, on real servers that have the demo's data."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from board_support import FOLDERS, UIDS, Asked, QueryError, Sent, asked, load, names, sent
from support import ROOT

pytestmark = pytest.mark.real

HOUR, DAY = 3600.0, 86400.0
#: What this demo does not tell, by the reason. A query that is empty must ask for one of these.
ABSENT = {
    "from the nodes' logs, and the demo's nodes log rounds alone": (
        r"swarm_training_(loss|reward|last_submit_timestamp_seconds|waiting_since_.*)"
        r"|swarm_submissions_total|swarm_last_submit_timestamp_seconds"
    ),
    "the demo's nodes have a leaderboard, and none of these": (
        r"swarm_(chain|hosted|wandb|tensorboard)_.*"
    ),
    "macOS alone": (
        r"swarm_(mps|torch_mps)_.*|swarm_host_(mps_.*|thermal_pressure_level|memory_pressure_level)"
        r"|swarm_process_performance_cpu_seconds_total"
    ),
    "needs macmon, or Linux's sensors": (
        r"swarm_host_(power_watts|cpu_frequency_hertz|temperature_celsius)"
    ),
    "needs a GPU": r"swarm_gpu_.*|swarm_host_gpu_.*",
    "needs a kernel with it": r"swarm_host_\w+_pressure_stalled_seconds_total|swarm_host_swap_.*",
    "read once a minute": r"swarm_process_footprint_bytes",
    "needs a container with a limit": r"swarm_host_memory_limit_bytes",
    "needs a disk of its own": r"swarm_host_disk_(read|written)_bytes_total",
    "no alert need fire": r"ALERTS(_FOR_STATE)?",
}
#: Queries that are rightly empty, whatever is exported.
EMPTY = {
    "deriv(swarm_host_disk_free_bytes": "a disk's trend takes three hours",
}


def choices(uid: str, instance: str) -> Iterator[dict[str, str]]:
    """Values of the board's variables, as Grafana writes them into a query."""
    common = {"datasource": "prometheus", "runbooks": "docs/runbooks"}
    if uid == "swarm-node":
        for node in "123":
            yield {**common, "machine": instance, "node": node}
        return
    if uid == "swarm-machine":
        yield {**common, "machine": instance, "price": "0.30"}
        yield {**common, "machine": instance, "price": "0"}
        return
    escaped = re.escape(instance).replace("\\", "\\\\").replace("\\\\-", "-")
    yield {**common, "machine": ".+", "node": ".+"}
    yield {**common, "machine": f"({escaped}|elsewhere:1)", "node": "(1|2|3)"}
    yield {**common, "machine": escaped, "node": "1"}


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize("span", [HOUR, 7 * DAY], ids=["hour", "week"])
def test_every_query_is_answered(server, uid, span):
    problems = []
    for query in asked(load(FOLDERS["en"] / f"{uid}.json")):
        found = 0
        for values in choices(uid, server.instance):
            question = sent(query, values, now=time.time(), span=span, scrape=1.0)
            try:
                series = _answer(server, query, question)
            except QueryError as error:
                problems.append(f"{query.where}: {error}\n    {question.expr}")
                continue
            found += len(series)
            problem = _judge(query, series)
            if problem:
                problems.append(f"{query.where}: {problem}\n    {question.expr}")
        # One node may be off the board just now; that none is on it would be a fault.
        if not found and not _may_be_empty(query) and not _is_before_the_data(query, question):
            problems.append(f"{query.where}: empty\n    {question.expr}")
    assert not problems, "\n".join(problems)


def _answer(server, query: Asked, question: Sent) -> list[dict]:
    if query.instant:
        return server.ask("query", query=question.expr, time=question.end)
    return server.ask(
        "query_range",
        query=question.expr,
        start=question.start,
        end=question.end,
        step=question.step,
    )


def _judge(query: Asked, series: list[dict]) -> str | None:
    for label in re.findall(r"{{(\w+)}}", query.legend):
        if not all(label in s["metric"] for s in series):
            return f"the legend's label {label} is missing"
    keys = [tuple(sorted(s["metric"].items())) for s in series]
    if len(keys) != len(set(keys)):
        return "two series with the same labels"
    if query.table and any("__name__" in s["metric"] for s in series):
        return "a table's figure has a name, which keeps rows apart"
    return None


def _is_before_the_data(query: Asked, question: Sent) -> bool:
    """Grafana asks at whole steps; of long ones none may lie within the seconds that there are."""
    return not query.instant and question.step > 10 and "offset -" not in query.expr


def _may_be_empty(query: Asked) -> bool:
    if any(part in query.expr for part in EMPTY):
        return True
    if any(re.fullmatch("|".join(ABSENT.values()), name) for name in names(query.expr)):
        return True
    rules = "".join(path.read_text() for path in (ROOT / "prometheus").glob("rules/*.yml"))
    return any(":" in name and f"record: {name}\n" not in rules for name in names(query.expr))


def test_the_variables_find_machines_and_nodes(server):
    nodes = f'swarm_node_info{{instance="{server.instance}"}}'
    assert server.ask("label/instance/values", **{"match[]": "swarm_exporter_build_info"}) == [
        server.instance
    ]
    assert server.ask("label/node/values", **{"match[]": nodes}) == ["1", "2", "3"]
    defined = {
        variable["name"]: variable["query"]["query"]
        for variable in load(FOLDERS["en"] / "swarm-node.json")["templating"]["list"]
        if variable["type"] == "query"
    }
    assert defined == {
        "machine": "label_values(swarm_exporter_build_info, instance)",
        "node": 'label_values(swarm_node_info{instance="$machine"}, node)',
    }


@pytest.mark.parametrize("uid", [uid for uid in UIDS if uid not in ("swarm-node", "swarm-machine")])
def test_rows_of_tables_fit_together(server, uid):
    """The first figure of a table names its rows, once each; the others' are among them."""
    values = next(choices(uid, server.instance))
    rows: dict[str, set[str]] = {}
    for query in asked(load(FOLDERS["en"] / f"{uid}.json")):
        if not query.table:
            continue
        question = sent(query, values, now=time.time(), span=DAY, scrape=1.0)
        found = [series["metric"]["row"] for series in _answer(server, query, question)]
        assert len(found) == len(set(found)), query.where
        if query.ref == "A":
            rows[query.panel] = set(found)
        assert set(found) <= rows[query.panel], query.where
    nodes = {f"{server.instance}|{node}" for node in "123"}
    for table, expected in (
        ("Nodes, the worst first", nodes),
        ("Worst nodes anywhere", nodes),
        ("Machines, the worst first", {server.instance}),
    ):
        assert rows.get(table, expected) == expected
