"""What watching costs the machine: 3 nodes at the default intervals, scraped every 15 s.

Beside node_exporter, and beside the script that people write first: one request a minute for each
node with `requests`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

import httpx
import msgspec
import psutil
from measuring import (
    Api,
    Results,
    Running,
    cpu_seconds,
    exporter,
    node_exporter,
    running,
    swarm_apis,
)

SCRAPE_INTERVAL = 15.0
SCRIPT = """
import sys, time
import requests
while True:
    for api in sys.argv[1:]:
        board = requests.get(api + "/api/leaderboard-cumulative", timeout=10).json()
        print([peer["cumulativeScore"] for peer in board["leaders"]][:1], flush=True)
    time.sleep(60)
"""


class Cost(msgspec.Struct):
    """What a program takes."""

    #: Processor seconds an hour.
    cpu: float
    #: Bytes; the second is without what it shares with others.
    resident: int
    unique: int


def watch(programs: dict[str, Running], seconds: float) -> dict[str, Cost]:
    """Let programs run beside each other for a while, scraping those that can be scraped."""
    before = {name: cpu_seconds(program.process) for name, program in programs.items()}
    began = time.monotonic()
    with httpx.Client() as client:
        while time.monotonic() < began + seconds:
            for program in programs.values():
                if program.url:
                    assert client.get(program.url, timeout=30).status_code == 200
            time.sleep(max(min(SCRAPE_INTERVAL, began + seconds - time.monotonic()), 0.0))
    passed = time.monotonic() - began
    return {
        name: Cost(
            cpu=(cpu_seconds(program.process) - before[name]) / passed * 3600,
            resident=program.process.memory_info().rss,
            unique=unique_memory(program.process),
        )
        for name, program in programs.items()
    }


def unique_memory(process: psutil.Process) -> int:
    """Return the bytes that would be free without a process."""
    with contextlib.suppress(psutil.AccessDenied):
        return int(process.memory_full_info().uss)
    return 0


def script(apis: list[Api]) -> contextlib.AbstractContextManager[Running]:
    """Run the polling script."""
    return running([sys.executable, "-c", SCRIPT, *(api.url for api in apis)])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=180)
    options = parser.parse_args()
    results = Results("overhead")
    with contextlib.ExitStack() as stack:
        apis = stack.enter_context(swarm_apis(options.nodes))
        own = stack.enter_context(exporter(apis))
        programs = {
            "exporter": Running(own.process, f"{own.url}/metrics"),
            "polling script": stack.enter_context(script(apis)),
        }
        other = stack.enter_context(node_exporter())
        if other is not None:
            programs["node_exporter"] = other
        time.sleep(10)  # What a start costs is another figure.
        costs = watch(programs, options.seconds)
    for name, cost in costs.items():
        results.add(f"{name}: CPU", cost.cpu, "s/h")
        results.add(f"{name}: resident", cost.resident / 1e6, "MB")
        results.add(f"{name}: its own alone", cost.unique / 1e6, "MB")
    ours = costs.pop("exporter")
    for name, cost in costs.items():
        results.add("exporter: CPU", ours.cpu, "s/h", beside=(name, cost.cpu))
        results.add(
            "exporter: resident", ours.resident / 1e6, "MB", beside=(name, cost.resident / 1e6)
        )
    share = ours.cpu / 3600
    results.add("exporter", share * 100, "% of a core", goal="under 0.5 %", met=share < 0.005)
    results.add("exporter", ours.resident / 1e6, "MB", goal="under 60 MB", met=ours.resident < 60e6)
    results.end()


if __name__ == "__main__":
    main()
