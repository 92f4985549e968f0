"""What many machines cost one Prometheus and VictoriaMetrics: `bench/fleet.py --machines 50,200`.

Simulated exporters of three nodes each (the program's own application and renderer, changing
values) are scraped every 30 s with prometheus/fleet/prometheus.yml, rules loaded, remote_write on.
Prints samples a second, rule evaluation, memory, and the time of each query of the fleet's board on
both servers; from two sizes, what one more machine costs and what 10,000 would. Needs Debian's
prometheus and victoria-metrics; takes about six minutes a size.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from board_support import QueryError, Server
from fleet_servers import FleetServers, ask, board_questions, fleet_servers
from support import eventually

PROGRAMS = ("prometheus", "victoria-metrics")
SCRAPE_SECONDS = 30.0
SPANS = {"hour": 3600.0, "week": 7 * 86_400.0}
REPEATS = 5
FAR = 10_000


def counters(server: Server) -> dict[str, float]:
    """Return the sums of a server's own metrics, by name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def value(server: Server, expression: str) -> float:
    """Return the one value of an expression; 0 where there is none yet."""
    found = server.ask("query", query=expression)
    return float(found[0]["value"][1]) if found else 0.0


def measure(machines: int, folder: Path, warm: float, window: float) -> dict[str, object]:
    """Run one size, and return its figures."""
    programs = {name: shutil.which(name) or "" for name in PROGRAMS}
    with fleet_servers(folder, programs, machines=machines, scrape="30s") as servers:
        eventually(
            lambda: value(servers.prometheus, "count(up == 1)") == machines, "machines", 120.0
        )
        time.sleep(warm)
        before = look(servers)
        time.sleep(window)
        after = look(servers)
        spent = {key: after[key] - before[key] for key in after}
        rules = httpx.get(f"{servers.prometheus.url}/api/v1/rules").json()["data"]["groups"]
        groups = {group["name"]: group["evaluationTime"] for group in rules}
        return {
            "machines": machines,
            "nodes": machines * 3,
            "series": after["series"],
            "scraped samples/s": value(servers.prometheus, "sum(scrape_samples_scraped)")
            / SCRAPE_SECONDS,
            "stored samples/s": spent["appended"] / spent["time"],
            "remote samples/s": spent["sent"] / spent["time"],
            "rows in VictoriaMetrics/s": spent["rows"] / spent["time"],
            "remote samples waiting": counters(servers.prometheus).get(
                "prometheus_remote_storage_samples_pending", 0.0
            ),
            "slowest scrape, ms": 1e3 * value(servers.prometheus, "max(scrape_duration_seconds)"),
            "rules, ms a round": 1e3 * sum(groups.values()),
            "slowest group, ms": 1e3 * max(groups.values()),
            "slowest group": max(groups, key=lambda name: groups[name]),
            "missed rule rounds": counters(servers.prometheus).get(
                "prometheus_rule_group_iterations_missed_total", 0.0
            ),
            "Prometheus, MiB": servers.prometheus_process.memory_info().rss / 2**20,
            "VictoriaMetrics, MiB": servers.victoria_process.memory_info().rss / 2**20,
            "Prometheus, share of a core": spent["prometheus cpu"] / spent["time"],
            "VictoriaMetrics, share of a core": spent["victoria cpu"] / spent["time"],
            "queries, ms": queries(servers),
        }


def look(servers: FleetServers) -> dict[str, float]:
    """Return what only grows, and the series that there are."""
    own, theirs = counters(servers.prometheus), counters(servers.victoria)
    return {
        "time": time.monotonic(),
        "series": own["prometheus_tsdb_head_series"],
        "appended": own["prometheus_tsdb_head_samples_appended_total"],
        "sent": own["prometheus_remote_storage_samples_total"],
        "rows": theirs["vm_rows_inserted_total"],
        "prometheus cpu": sum(servers.prometheus_process.cpu_times()[:2]),
        "victoria cpu": sum(servers.victoria_process.cpu_times()[:2]),
    }


def queries(servers: FleetServers) -> dict[str, dict[str, float]]:
    """Return the median time of each query of the board, by server and span."""
    found: dict[str, dict[str, float]] = {}
    for name, server in (("Prometheus", servers.prometheus), ("VictoriaMetrics", servers.victoria)):
        for span, seconds in SPANS.items():
            now = time.time()
            for query, question in board_questions(now, scrape=SCRAPE_SECONDS, span=seconds):
                times = []
                for _ in range(REPEATS):
                    began = time.perf_counter()
                    try:
                        ask(server, query, question)
                    except QueryError as error:
                        raise SystemExit(f"{name}: {query.where}: {error}") from None
                    times.append(time.perf_counter() - began)
                row = found.setdefault(query.where, {})
                row[f"{name}, {span}"] = 1e3 * statistics.median(times)
    return found


def table(rows: Iterable[tuple[str, Iterable[str]]], head: Iterable[str]) -> None:
    """Print one table in Markdown."""
    head = list(head)
    print(f"| | {' | '.join(head)} |")
    print(f"|---{'|---:' * len(head)}|")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def shown(figure: object) -> str:
    """Return a figure as it stands in a table."""
    if isinstance(figure, float | int):
        return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
    return str(figure)


def report(sizes: list[dict[str, object]]) -> None:
    """Print what was measured, and what the two largest sizes say of one far beyond them."""
    figures = [key for key in sizes[0] if key not in ("machines", "queries, ms")]
    far = len(sizes) > 1
    head = [f"{size['machines']} machines" for size in sizes]
    if far:
        head += ["each more", f"{FAR:,} on paper"]
    rows = []
    for key in figures:
        cells = [shown(size[key]) for size in sizes]
        if far:
            cells += on_paper(sizes[-2], sizes[-1], key)
        rows.append((key, cells))
    table(rows, head)
    last = sizes[-1]["queries, ms"]
    assert isinstance(last, dict)
    columns = list(next(iter(last.values())))
    print(f"Queries of the fleet's board, {sizes[-1]['machines']} machines, median ms of {REPEATS}")
    table(((where, (shown(row[c]) for c in columns)) for where, row in last.items()), columns)
    for column in columns:
        total = sum(row[column] for row in last.values())
        print(f"{column}: the whole board {total:.0f} ms")


def on_paper(small: dict[str, object], large: dict[str, object], key: str) -> list[str]:
    """Return what one machine more costs by the line through two sizes, and that line's far end."""
    a, b = small[key], large[key]
    if isinstance(a, str) or key.startswith(("slowest scrape", "missed", "remote samples waiting")):
        return ["", ""]
    assert isinstance(a, float | int)
    assert isinstance(b, float | int)
    sizes = [size["machines"] for size in (small, large)]
    assert all(isinstance(size, int) for size in sizes)
    slope = (b - a) / (int(str(sizes[1])) - int(str(sizes[0])))
    return [shown(slope), shown(b + slope * (FAR - int(str(sizes[1]))))]


def main() -> None:
    """Measure every size, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", default="50,200", help="sizes, smallest first")
    parser.add_argument("--warm", type=float, default=90.0, help="seconds before the window")
    parser.add_argument("--window", type=float, default=240.0, help="seconds that are measured")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        sys.exit(f"not installed: {' '.join(missing)} (on Debian: apt-get install)")
    sizes = []
    for size in options.machines.split(","):
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(measure(int(size), Path(folder), options.warm, options.window))
    report(sizes)
    if options.json is not None:
        options.json.write_text(json.dumps(sizes, indent=2))


if __name__ == "__main__":
    main()
