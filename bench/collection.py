"""What one collection costs: 3 nodes of 20 processes each, beside node_exporter: `make bench`.

Prints the processor time of one reading of every collector that this machine has, their sum, and
the processor time that Debian's prometheus-node-exporter takes for one scrape, in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psutil

from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.host import collectors
from swarm_exporter.host.collector import Collector, Look
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.model import Node

#: A node: a process that has forked others, as a trainer forks loaders, each with memory touched.
NODE = """
import os, signal, sys
block = bytearray(os.urandom(1 << 20) * 32)
for _ in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        own = bytes(1 << 20)
        break
else:
    print("ready", flush=True)
signal.pause()
"""
NODE_EXPORTER = "prometheus-node-exporter"


@contextlib.contextmanager
def running_nodes(files: LauncherFiles, nodes: int, processes: int) -> Iterator[None]:
    """Run nodes as the launcher does: marked, in sessions of their own, with a run.json."""
    started = []
    for number in range(1, nodes + 1):
        marker = f"bench-{os.getpid()}-{number}"
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", NODE, str(processes)],
            env=os.environ | {MARKER: marker},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        node = files.node(str(number))
        node.folder.mkdir(parents=True)
        run = {"runner": 1, "pid": process.pid, "marker": marker, "started": time.time()}
        node.run.write_text(json.dumps(run))
    try:
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cost(collector: Collector, trees: NodeTrees, config: Config, readings: int) -> float:
    """Return the processor seconds of one reading, its own pass over the process table included."""

    def read() -> float:
        look = Look(
            config=config,
            now=time.time(),
            monotonic=time.monotonic(),
            members=lambda: trees.members(config),
        )
        before = time.thread_time()
        collector.read(look)
        return time.thread_time() - before

    read()  # What is read once for each process is not the cost of a reading.
    return sum(read() for _ in range(readings)) / readings


def cost_of_node_exporter(scrapes: int) -> float | None:
    """Return the processor seconds of one scrape of node_exporter; None where it is missing."""
    program = shutil.which(NODE_EXPORTER)
    if program is None:
        return None
    address = "127.0.0.1:19110"
    process = subprocess.Popen(  # noqa: S603
        [program, f"--web.listen-address={address}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            for _ in range(100):
                with contextlib.suppress(httpx.TransportError):
                    client.get(f"http://{address}/metrics")
                    break
                time.sleep(0.05)
            watched = psutil.Process(process.pid)
            before = sum(watched.cpu_times()[:2])
            for _ in range(scrapes):
                assert client.get(f"http://{address}/metrics").status_code == 200
            return (sum(watched.cpu_times()[:2]) - before) / scrapes
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--readings", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(Flags(state_dir=folder), {}, Path.cwd())
        nodes = tuple(
            Node(name=str(number), api="http://127.0.0.1:1", folder=Path(folder))
            for number in range(1, options.nodes + 1)
        )
        config = msgspec.structs.replace(config, nodes=nodes)
        with running_nodes(LauncherFiles(config.state_dir), options.nodes, options.processes):
            print(f"{options.nodes} nodes of {options.processes} processes each")
            total = 0.0
            trees = NodeTrees(shared=0.0)
            for collector in collectors(trees):
                if not (collector.is_present() and collector.on_by_default):
                    continue
                spent = cost(collector, trees, config, options.readings)
                # Some are read more rarely than the others: their share of one collection.
                share = config.interval / max(config.interval, collector.shortest_interval)
                total += spent * share
                note = f" (read every {collector.shortest_interval:g} s)" if share < 1 else ""
                print(f"  {collector.name:<12} {spent * 1e3:7.2f} ms{note}")
            print(f"one collection: {total * 1e3:.2f} ms of CPU")
            other = cost_of_node_exporter(options.readings)
    if other is None:
        print(f"{NODE_EXPORTER} is not installed: no comparison")
    else:
        print(
            f"one scrape of node_exporter: {other * 1e3:.2f} ms of CPU; ratio {total / other:.2f}"
        )


if __name__ == "__main__":
    main()
