"""`swarm-exporter demo`: a simulated swarm, and the exporter on it, in one process."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from pathlib import Path

import click
import msgspec

from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.demo.nodes import DemoNodes
from swarm_exporter.demo.server import DemoSwarm
from swarm_exporter.demo.stack import start_stack, stop_stack
from swarm_exporter.demo.swarm import STAGE_SECONDS, Swarm
from swarm_exporter.logs import configure_logging
from swarm_exporter.service import Service

EPILOG = """\b
Examples:
  swarm-exporter demo
  swarm-exporter demo --instances 6 --speed 60
  swarm-exporter demo --seed 7 --listen 127.0.0.1:10400
  swarm-exporter demo --speed 60 --halt-after 6
  swarm-exporter demo --no-stack                without Prometheus, Alertmanager, Grafana
"""

#: The exporter looks as often as at speed 1 every 15 s, but no more often than this.
_SHORTEST_INTERVAL_SECONDS = 0.1
_INTERVAL_SECONDS = 15.0
#: A node counts as stalled after so many stages; a real one after hours.
_STALL_STAGES = 3


@click.command(epilog=EPILOG)
@click.option(
    "--instances",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many nodes of the swarm are yours.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:10331",
    show_default=True,
    help="Where the exporter listens.",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65_000),
    default=0,
    help="Port of the first node's API, the next have +1 (default: free ports).",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same swarm."
)
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 1000),
    default=20.0,
    show_default=True,
    help="Simulated seconds per second; a stage takes 600 of them.",
)
@click.option(
    "--halt-after",
    metavar="STAGES",
    type=click.IntRange(min=1),
    help="Let the whole swarm halt after so many stages (default: never).",
)
@click.option(
    "--stack/--no-stack",
    "stack",
    default=True,
    help="Run Prometheus, Alertmanager and Grafana on it, as far as they are installed (default).",
)
@click.option("--lang", type=click.Choice(("en", "zh")), default="en", help="Language of boards.")
def command(
    instances: int,
    listen: str,
    api_port: int,
    seed: int,
    speed: float,
    halt_after: int | None,
    stack: bool,
    lang: str,
) -> None:
    """Run a simulated swarm and the exporter on it.

    The swarm speaks RL Swarm's wire formats on real ports: its peers earn by round and stage, your
    node 1 earns, node 2 stalls for a while, node 3 drops out and its API dies and returns. Your
    nodes are processes, started by the launcher: kill one, and see it return. Ctrl-C ends
    everything; nothing is kept.
    """
    # What fails in the simulation is meant, and stands on the page.
    configure_logging("error", "text")
    simulated = Swarm(seed, own=instances, halt_after=halt_after)
    swarm = DemoSwarm(simulated, first_port=api_port, speed=speed, trainers=True)
    with tempfile.TemporaryDirectory(prefix="swarm-exporter-demo-") as state_dir:
        asyncio.run(_run(swarm, listen, speed, state_dir, lang if stack else None))


async def _run(
    swarm: DemoSwarm, listen: str, speed: float, state_dir: str, lang: str | None
) -> None:
    """Run all of it until SIGINT or SIGTERM; with the stack where its boards have a language."""
    await swarm.start()
    stopped = threading.Event()
    beginning: list[asyncio.Task[None]] = []
    running = asyncio.create_task(swarm.run())
    nodes = DemoNodes(Path(state_dir), swarm.peers, swarm.urls, swarm.control)
    try:
        interval = max(_INTERVAL_SECONDS / speed, _SHORTEST_INTERVAL_SECONDS)
        config = load_config(Flags(listen=listen, state_dir=state_dir), {}, Path.cwd())
        config = nodes.configure(
            msgspec.structs.replace(
                config, interval=interval, stall_after=_STALL_STAGES * STAGE_SECONDS / speed
            )
        )
        service = Service(lambda: config)
        _say(service.url, config)
        beginning.append(asyncio.create_task(asyncio.to_thread(nodes.start, config)))
        if lang is not None:
            stacked = asyncio.to_thread(
                start_stack, Path(state_dir), service.url, interval, lang, click.echo, stopped
            )
            beginning.append(asyncio.create_task(stacked))
        await service.run_until_signal()
    finally:
        stopped.set()
        # What is about to start is ended once it has.
        begun = await asyncio.gather(*beginning, return_exceptions=True)
        try:
            await asyncio.to_thread(stop_stack, Path(state_dir))
        finally:
            # The trainers need the swarm until they end.
            await asyncio.to_thread(nodes.stop)
            await swarm.stop()
            await running
    for problem in begun:
        if isinstance(problem, BaseException):
            raise problem


def _say(url: str, config: Config) -> None:
    click.echo("A simulated swarm; the nodes and their swarm APIs:")
    for node in config.nodes:
        click.echo(f"  node {node.name}       {node.api}/api/leaderboard-cumulative")
    click.echo(f"Status page    {url}")
    click.echo(f"Metrics        {url}/metrics")
    click.echo(f"In a terminal  swarm-exporter status --watch --url {url}")
    click.echo(f"The nodes' logs  swarm-exporter logs -f --state-dir {config.state_dir}")
    click.echo("Kill a node    pkill -9 -f 'demo.trainer .*--node 2'    and see it return")
    click.echo("Ctrl-C ends everything.")
