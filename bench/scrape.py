"""What a scrape takes: 3 and 300 nodes, beside node_exporter and prometheus-client's own server.

Each is asked as Prometheus asks, over one connection that is kept, taking gzip. `steady` scrapes
follow each other at once; before each scrape of `changed` the exporter has polled anew, so that the
body has to be made. Prometheus-client serves the same series out of a collector that holds them.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
from measuring import (
    Results,
    Running,
    answers,
    exporter,
    free_port,
    node_exporter,
    quantile,
    swarm_apis,
)

CLIENTS = 2
HEADERS = {
    "accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "accept-encoding": "gzip",
    "user-agent": "Prometheus/3.0.0",
}
#: What prometheus-client serves: families that are ready, which is the best it can be given.
REFERENCE = """
import sys, threading
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
class Ready:
    def collect(self):
        return families
    describe = collect
registry = CollectorRegistry()
registry.register(Ready())
start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
threading.Event().wait()
"""


class Scraper:
    """A client that keeps its connection."""

    def __init__(self, url: str) -> None:
        """Connect at the first scrape."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def scrape(self) -> float:
        """Scrape once; return the seconds to the last byte."""
        began = time.perf_counter()
        self._connection.request("GET", "/metrics", headers=HEADERS)
        answer = self._connection.getresponse()
        body = answer.read()
        taken = time.perf_counter() - began
        assert answer.status == 200, answer.status
        assert body
        return taken


def steady(url: str, seconds: float) -> list[float]:
    """Scrape again and again; return the seconds of each."""
    scraper = Scraper(url)
    scraper.scrape()
    end = time.monotonic() + seconds
    taken = []
    while time.monotonic() < end or len(taken) < 10:
        taken.append(scraper.scrape())
    return taken


def spaced(urls: Sequence[str], scrapes: int, pause: float) -> list[list[float]]:
    """Scrape servers in turn, each after a pause in which the exporter polls."""
    scrapers = [Scraper(url) for url in urls]
    taken: list[list[float]] = [[] for _ in urls]
    for _ in range(scrapes):
        time.sleep(pause)
        for scraper, of_server in zip(scrapers, taken, strict=True):
            of_server.append(scraper.scrape())
    return [of_server[1:] for of_server in taken]


def count(url: str, seconds: float) -> int:
    """Return how many scrapes one client gets done."""
    return len(steady(url, seconds))


def throughput(url: str, seconds: float) -> float:
    """Return scrapes a second that some clients get done together."""
    with multiprocessing.get_context("spawn").Pool(CLIENTS) as pool:
        return sum(pool.starmap(count, [(url, seconds)] * CLIENTS)) / seconds


def reference(body: str) -> tuple[subprocess.Popen[bytes], str]:
    """Run prometheus-client's server with the series of `body`."""
    port = free_port()
    command = [sys.executable, "-c", REFERENCE, str(port)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603
    assert child.stdin is not None
    child.stdin.write(body.encode())
    child.stdin.close()
    return child, f"http://127.0.0.1:{port}/metrics"


def measure(nodes: int, seconds: float, other: Running | None, results: Results) -> None:
    """Measure the exporter of so many nodes, the others beside it, and note the figures."""
    with swarm_apis(nodes) as apis:
        with exporter(apis) as own:
            body = httpx.get(f"{own.url}/metrics").text
            series = sum(not line.startswith("#") for line in body.splitlines())
            child, client_url = reference(body)
            try:
                while not answers(client_url):
                    time.sleep(0.05)
                urls = {"exporter": f"{own.url}/metrics", "prometheus-client": client_url}
                if other is not None:
                    urls["node_exporter"] = other.url
                latencies = {name: steady(url, seconds) for name, url in urls.items()}
                rates = {name: throughput(url, seconds) for name, url in urls.items()}
            finally:
                child.kill()
                child.wait()
        # So that there is a change in each pause; of many nodes there is one by itself.
        settings = {"interval": "1s", "timeout": "1s"} if nodes < 20 else {}
        with exporter(apis, **settings) as own:
            urls = {"exporter": f"{own.url}/metrics"}
            if other is not None:
                urls["node_exporter"] = other.url
            changed = dict(zip(urls, spaced(list(urls.values()), 30, 1.1), strict=True))
    where = f"{nodes} nodes"
    results.add(f"{where}: series", series, "")
    note(results, where, latencies, rates)
    p50 = {name: quantile(taken, 50) for name, taken in changed.items()}
    beside = ("node_exporter", p50["node_exporter"]) if other is not None else None
    # A Prometheus that comes every 15 s meets a change each time: this is what it waits for.
    results.add(
        f"{where}: p50, changed",
        p50["exporter"] * 1e3,
        "ms",
        beside=scaled(beside),
        goal="p50 below node_exporter's, where the body has to be made",
        met=p50["exporter"] < p50["node_exporter"] if other is not None else None,
    )
    slowest = max(changed["exporter"])
    results.add(f"{where}: slowest of 29, changed", slowest * 1e3, "ms")


def note(
    results: Results,
    where: str,
    latencies: dict[str, list[float]],
    rates: dict[str, float],
) -> None:
    """Note latencies and rates with their ratios."""
    p50 = {name: quantile(taken, 50) for name, taken in latencies.items()}
    for name in latencies:
        results.add(f"{where}: p50 of {name}, steady", p50[name] * 1e3, "ms")
        results.add(f"{where}: p99 of {name}, steady", quantile(latencies[name], 99) * 1e3, "ms")
        results.add(f"{where}: {name}", rates[name], "scrapes/s")
    if "node_exporter" in p50:
        results.add(
            f"{where}: p50, steady",
            p50["exporter"] * 1e3,
            "ms",
            beside=("node_exporter", p50["node_exporter"] * 1e3),
            goal="p50 below node_exporter's",
            met=p50["exporter"] < p50["node_exporter"],
        )
    results.add(
        f"{where}: throughput",
        rates["exporter"],
        "scrapes/s",
        beside=("prometheus-client", rates["prometheus-client"]),
        goal="several times prometheus-client's",
        met=rates["exporter"] >= 3 * rates["prometheus-client"],
    )


def scaled(beside: tuple[str, float] | None) -> tuple[str, float] | None:
    """Return a comparison in milliseconds."""
    return None if beside is None else (beside[0], beside[1] * 1e3)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 300])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    options = parser.parse_args()
    results = Results("scrape")
    with node_exporter() as other:
        for nodes in options.nodes:
            measure(nodes, options.seconds, other, results)
    results.end()


if __name__ == "__main__":
    main()
