"""Does a hung node slow a scrape? Three healthy nodes, then two and one that never answers.

Prints both latencies of /metrics and their ratio, from one run: `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import msgspec

from swarm_exporter.config import Flags, load_config
from swarm_exporter.demo.server import DemoSwarm
from swarm_exporter.demo.swarm import Swarm
from swarm_exporter.logs import configure_logging
from swarm_exporter.model import Node
from swarm_exporter.service import Service


async def latencies(addresses: list[str], peers: list[str], scrapes: int) -> list[float]:
    """Return the seconds that each of many scrapes took while the nodes are being polled."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(Flags(listen="127.0.0.1:0", state_dir=folder), {}, Path.cwd())
        nodes = tuple(
            Node(name=str(number), api=api, peer_id=peer)
            for number, (api, peer) in enumerate(zip(addresses, peers, strict=True), 1)
        )
        config = msgspec.structs.replace(config, nodes=nodes, interval=0.2, timeout=5.0)
        service = Service(lambda: config)
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))
        taken = []
        async with httpx.AsyncClient() as client:
            await asyncio.sleep(1.0)
            for _ in range(scrapes):
                began = time.perf_counter()
                answer = await client.get(f"{service.url}/metrics")
                taken.append(time.perf_counter() - began)
                assert answer.status_code == 200
                await asyncio.sleep(0.005)
        stop.set()
        await running
        return taken


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never answer."""
    await reader.read()
    writer.close()


async def main(scrapes: int) -> None:
    """Measure both and print them."""
    swarm = DemoSwarm(Swarm(1, own=3))
    await swarm.start()
    for _ in range(12):
        await swarm.tick()
    hung = await asyncio.start_server(hang, "127.0.0.1", 0)
    hung_url = f"http://127.0.0.1:{hung.sockets[0].getsockname()[1]}"
    peers = [peer.id for peer in swarm.peers]
    healthy = await latencies(list(swarm.urls), peers, scrapes)
    with_hung = await latencies([*swarm.urls[:2], hung_url], peers, scrapes)
    hung.close()
    await swarm.stop()
    print(f"{'scrape of 3 nodes':<24} {'p50':>9} {'p99':>9}")
    for name, taken in (("all healthy", healthy), ("one of them hung", with_hung)):
        print(f"{name:<24} {quantile(taken, 50):7.2f}ms {quantile(taken, 99):7.2f}ms")
    ratio = quantile(with_hung, 50) / quantile(healthy, 50)
    print(f"{'ratio of p50':<24} {ratio:8.2f}x")


def quantile(taken: list[float], percent: int) -> float:
    """Return a percentile in milliseconds."""
    return statistics.quantiles(taken, n=100)[percent - 1] * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=500)
    configure_logging("error", "text")
    asyncio.run(main(parser.parse_args().scrapes))
