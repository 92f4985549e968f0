"""Fifty simulated nodes under the launcher: start, run, stop, and what is left: `make bench`.

Prints the times, what the launcher itself costs beside its nodes, and every process, port and
file that remains.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.config import Flags, load_config
from swarm_exporter.demo.nodes import DemoNodes
from swarm_exporter.demo.server import DemoSwarm
from swarm_exporter.demo.swarm import Swarm
from swarm_exporter.launcher.control import Launcher
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.launcher.measure import process_memory
from swarm_exporter.launcher.ports import is_taken
from swarm_exporter.launcher.processes import cpu_seconds
from swarm_exporter.launcher.state import State

WATCHED_SECONDS = 20.0
#: Of the ports that the nodes are given; the launcher looks whether they are free.
FIRST_PORT = 21_000
KINDS = {
    "supervisor.supervisord": "supervisord",
    "swarm_exporter.launcher.listener": "policy",
    "swarm_exporter.launcher.runner": "runners",
}


def of_launcher(root: Path) -> dict[str, list[psutil.Process]]:
    """Return the launcher's processes by what they are, and the nodes' own."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            words, marked = process.cmdline(), MARKER in process.environ()
            # Runners and policy work in the launcher's folder; the rest is somebody else's.
            own = marked or process.cwd() == str(root)
        except psutil.Error:
            continue
        if not own:
            continue
        kind = "nodes" if marked else next((KINDS[w] for w in words if w in KINDS), "other")
        found.setdefault(kind, []).append(process)
    return found


def memory(processes: Iterable[psutil.Process]) -> int:
    """Return the bytes of processes, shared pages by their share."""
    return sum(process_memory(process) or 0 for process in processes)


async def measure(count: int, folder: Path) -> None:
    """Start `count` nodes, look at them for a while, stop them, and print what was seen."""
    swarm = DemoSwarm(Swarm(1, own=count), speed=60.0, trainers=True)
    await swarm.start()
    running = asyncio.create_task(swarm.run())
    nodes = DemoNodes(folder, swarm.peers, swarm.urls, swarm.control)
    config = nodes.configure(load_config(Flags(state_dir=str(folder)), {}, folder))
    launch = msgspec.structs.replace(config.launcher.launch, ports={"own": FIRST_PORT})
    settings = msgspec.structs.replace(config.launcher, ramp_interval=0.0, launch=launch)
    config = msgspec.structs.replace(config, launcher=settings)
    control = Launcher(folder)
    began = time.monotonic()
    await asyncio.to_thread(nodes.start, config)
    await until(control, State.RUNNING, count)
    started = time.monotonic() - began
    print(
        f"{count} nodes run after {started:.1f} s, one after another: {started / count:.2f} s each"
    )
    await asyncio.to_thread(look, control.files.root)
    began = time.monotonic()
    await asyncio.to_thread(nodes.stop)
    stopped = time.monotonic() - began
    await swarm.stop()
    await running
    report(control, stopped, [FIRST_PORT + number for number in range(count)])


async def until(control: Launcher, state: State, count: int) -> None:
    """Wait until so many nodes are in a state."""
    while True:
        now = control.state()
        if now is not None and sum(n.state is state for n in now.nodes.values()) == count:
            return
        await asyncio.sleep(0.1)


def look(root: Path) -> None:
    """Print what each part of the launcher takes while the nodes run."""
    before = of_launcher(root)
    used = {kind: cpu_seconds(processes) for kind, processes in before.items()}
    time.sleep(WATCHED_SECONDS)
    print("             processes    memory   CPU of one core")
    for kind, processes in sorted(of_launcher(root).items()):
        share = (cpu_seconds(processes) - used.get(kind, 0.0)) / WATCHED_SECONDS
        size = memory(processes)
        each = f" ({size / len(processes) / 1e6:.1f} MB each)" if len(processes) > 1 else ""
        print(f"{kind:<12} {len(processes):>9} {size / 1e6:>6.0f} MB {share:>10.1%}{each}")


def report(control: Launcher, seconds: float, ports: Sequence[int]) -> None:
    """Print what is left after the stop."""
    left = [p for processes in of_launcher(control.files.root).values() for p in processes]
    taken = [port for port in ports if is_taken(port)]
    files = control.files
    stale = [path for path in (files.socket, files.pid) if path.exists()]
    print(
        f"stopped after {seconds:.1f} s; left: {len(left)} processes, {len(taken)} ports, ", end=""
    )
    print(f"{len(stale)} sockets and pid files")
    assert not left, left
    assert not taken, taken
    assert not stale, stale


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(measure(given.nodes, Path(place)))
