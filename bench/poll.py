"""How fresh healthy nodes stay among a thousand, of which some hang and some fail.

A real part and a simulated one. In the first the exporter polls a server beside it, and the age of
each healthy node's newest answer is read from /metrics every second. In the second an hour passes
on a loop whose time jumps to whatever is due next, and what is held is counted in between.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import selectors
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
import psutil
from measuring import Api, Results, cpu_seconds, exporter, quantile, swarm_apis
from prometheus_client.parser import text_string_to_metric_families
from swarm_apis import Swarm, peer_of

from swarm_exporter.config import Flags, load_config
from swarm_exporter.logs import configure_logging
from swarm_exporter.metrics.render import Renderer
from swarm_exporter.model import Node
from swarm_exporter.poller import Poller
from swarm_exporter.sources.identity import NodeIdentity
from swarm_exporter.sources.leaderboard import Leaderboard
from swarm_exporter.tracker import Tracker

SUCCESS = "swarm_source_last_success_timestamp_seconds"
#: What a poll itself may take on top of the interval.
GRACE = 1.0
HUNG, FAILING = 0.1, 0.1


def successes(url: str, names: set[str]) -> dict[str, float]:
    """Return when each of these nodes last answered, Unix seconds."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    found = {
        sample.labels["node"]: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == SUCCESS
        for sample in family.samples
        if sample.labels["source"] == "leaderboard" and sample.labels["node"] in names
    }
    assert set(found) == names, f"{len(names - set(found))} healthy nodes were never read"
    return found


def real(options: argparse.Namespace, results: Results) -> None:
    """Poll real addresses for a while."""
    faults = ("--hung", str(HUNG), "--failing", str(FAILING))
    with (
        swarm_apis(options.nodes, *faults) as apis,
        exporter(apis, interval=f"{options.interval:g}s") as own,
    ):
        healthy = names(apis)
        time.sleep(options.interval)  # The first polls are all at once; then they are not.
        began, used = time.monotonic(), cpu_seconds(own.process)
        times: dict[str, set[float]] = {name: set() for name in healthy}
        ages: list[float] = []
        while time.monotonic() < began + options.seconds:
            for name, moment in successes(own.url, healthy).items():
                times[name].add(moment)
                ages.append(time.time() - moment)
            time.sleep(1)
        passed = time.monotonic() - began
        share = (cpu_seconds(own.process) - used) / passed
        resident = own.process.memory_info().rss
        handles = own.process.num_fds()
    gaps = [b - a for of_node in times.values() for a, b in pairwise(sorted(of_node))]
    longest = max(gaps)
    results.add("nodes", options.nodes, "")
    results.add("healthy nodes", len(healthy), "")
    results.add("age of an answer on /metrics, median", quantile(ages, 50), "s")
    # Of so many nodes a body is shown again for up to a second: what a reader sees is older.
    results.add(
        "age of an answer on /metrics, oldest",
        max(ages),
        "s",
        beside=("interval", options.interval),
        goal=f"no older than the interval (and {GRACE:g} s for the poll)",
        met=max(ages) <= options.interval + GRACE,
    )
    results.add("from answer to answer of a node, median", quantile(gaps, 50), "s")
    results.add(
        "from answer to answer of a node, longest",
        longest,
        "s",
        beside=("interval", options.interval),
        goal=f"every healthy node within its interval (and {GRACE:g} s for the poll)",
        met=longest <= options.interval + GRACE,
    )
    results.add("CPU, scraped each second", share * 100, "% of a core")
    results.add("CPU of a node's poll", share / (options.nodes / options.interval) * 1e3, "ms")
    results.add("resident", resident / 1e6, "MB")
    results.add("open files", handles, "")


def names(apis: list[Api]) -> set[str]:
    """Return the names of the nodes that answer."""
    return {str(number) for number, api in enumerate(apis, 1) if api.state == "healthy"}


class Jumping(selectors.DefaultSelector):
    """A selector that does not wait: time passes instead."""

    def __init__(self) -> None:
        """Begin at zero."""
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; where nothing is, let the time pass for which one would wait."""
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour takes as long as its work."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the simulated seconds."""
        return self._jumping.now


class SimulatedClock:
    """The exporter's clock on a simulated loop."""

    _EPOCH = 1_800_000_000.0

    def time(self) -> float:
        """Return the wall clock."""
        return self._EPOCH + self.monotonic()

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the loop."""
        await asyncio.sleep(seconds)


class InMemory(httpx.AsyncBaseTransport):
    """The simulated swarm without sockets: a hung node answers after a day."""

    def __init__(self, swarm: Swarm) -> None:
        """Answer as `swarm` does."""
        self._swarm = swarm

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, refuse, or hang."""
        node = request.url.port or 0
        state = self._swarm.state(node)
        if state == "hung":
            await asyncio.sleep(86_400)
        if state == "failing":
            return httpx.Response(500, content=b"{}")
        body = self._swarm.answer(request.url.path, node)
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)


class Held(msgspec.Struct):
    """What the program holds at one moment."""

    tasks: int
    objects: int
    files: int
    resident: int
    body: int


async def simulate(options: argparse.Namespace) -> list[Held]:
    """Let an hour pass, scraping every 15 s; return what was held at each sixth of it."""
    clock = SimulatedClock()
    swarm = Swarm(
        SimpleNamespace(hung=HUNG, failing=FAILING, peers=20, stage_seconds=600.0),  # type: ignore[arg-type]
        clock=clock.time,
    )
    nodes = tuple(
        Node(name=str(n), api=f"http://swarm.test:{n}", peer_id=peer_of(n))
        for n in range(1, options.simulated_nodes + 1)
    )
    config = msgspec.structs.replace(load_config(Flags(), {}, Path.cwd()), nodes=nodes)
    tracker = Tracker(config, clock, None)
    renderer = Renderer()
    held = []
    async with httpx.AsyncClient(transport=InMemory(swarm)) as client:
        poller = Poller([NodeIdentity(), Leaderboard()], client, tracker, clock)
        await poller.configure(config)
        for second in range(0, 3601, 15):
            body, _ = renderer.render(tracker.snapshot())
            if second % 600 == 0:
                gc.collect()
                held.append(
                    Held(
                        tasks=len(asyncio.all_tasks()),
                        objects=len(gc.get_objects()),
                        files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
                        resident=psutil.Process().memory_info().rss,
                        body=len(body),
                    )
                )
            await clock.sleep(15)
        await poller.close()
    return held


def simulated(options: argparse.Namespace, results: Results) -> None:
    """Let an hour pass, and note what has grown after its first ten minutes."""
    loop = SimulatedLoop()
    began = time.perf_counter()
    try:
        held = loop.run_until_complete(simulate(options))
    finally:
        loop.close()
    first, last = held[1], held[-1]
    results.add("simulated hour: nodes", options.simulated_nodes, "")
    results.add("simulated hour: took", time.perf_counter() - began, "s")
    for what in ("tasks", "objects", "files", "body"):
        before, after = getattr(first, what), getattr(last, what)
        results.add(
            f"simulated hour: {what} at its end",
            after,
            "bytes" if what == "body" else "",
            beside=("those after 10 min", before),
            goal="nothing grows (beyond 1 %)",
            met=after <= before * 1.01 + 2,
        )
    results.add(
        "simulated hour: resident",
        last.resident / 1e6,
        "MB",
        beside=("10 min", first.resident / 1e6),
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=15)
    parser.add_argument("--seconds", type=float, default=60, help="of the real part")
    parser.add_argument("--simulated-nodes", type=int, default=1000)
    options = parser.parse_args()
    configure_logging("critical", "text")
    results = Results("poll")
    real(options, results)
    simulated(options, results)
    results.end()


if __name__ == "__main__":
    main()
