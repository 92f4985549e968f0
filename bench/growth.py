"""How the cost grows with the nodes: 1, 10, 100, 1,000, each on an address of its own.

Exponents are slopes of a line through the logarithms: 1 is proportional, 2 would be a fault.
"""

from __future__ import annotations

import argparse
import time

import httpx
from measuring import Results, cpu_seconds, exporter, growth, quantile, swarm_apis
from scrape import spaced, steady

HIGHEST_EXPONENT = 1.1
#: Seconds between scrapes: longer than a body of a thousand nodes is shown again.
PAUSE = 3.0


def measure(nodes: int, seconds: float) -> dict[str, float]:
    """Return the figures of so many nodes."""
    with swarm_apis(nodes) as apis:
        began = time.perf_counter()
        with exporter(apis) as own:
            ready = time.perf_counter() - began
            time.sleep(15)  # The first polls are all at once.
            before, began = cpu_seconds(own.process), time.monotonic()
            time.sleep(seconds)
            share = (cpu_seconds(own.process) - before) / (time.monotonic() - began)
            url = f"{own.url}/metrics"
            (changed,) = spaced([url], 12, PAUSE)
            found = steady(url, 2)
            body = httpx.get(url, timeout=60).content
            resident = own.process.memory_info().rss
    return {
        "every source asked, s": ready,
        "CPU of polls, % of a core": share * 100,
        "scrape p50, changed, ms": quantile(changed, 50) * 1e3,
        "scrape p50, steady, ms": quantile(found, 50) * 1e3,
        "body, kB": len(body) / 1e3,
        "resident, MB": resident / 1e6,
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=30, help="of polling, for each size")
    options = parser.parse_args()
    results = Results("growth")
    found = [measure(nodes, options.seconds) for nodes in options.nodes]
    for what in found[0]:
        name, _, unit = what.rpartition(", ")
        for nodes, figures in zip(options.nodes, found, strict=True):
            results.add(f"{name}: {nodes:,} nodes", figures[what], unit)
        costs = [max(figures[what], 1e-9) for figures in found]
        results.add(f"{name}: exponent", growth(options.nodes, costs), "")
        # What costs the same for one node as for none hides the growth; the last step shows it.
        last = growth(options.nodes[-2:], costs[-2:])
        results.add(
            f"{name}: exponent of the last step",
            last,
            "",
            goal=f"at most {HIGHEST_EXPONENT}",
            met=last <= HIGHEST_EXPONENT,
        )
    results.end()


if __name__ == "__main__":
    main()
