"""What a board costs on its way to a standing: 1,000, 20,000 and 100,000 peers, full histories.

Each way is taken in a process of its own, which fetches the board from a server beside it: reading
the bytes alone, `json.loads`, msgspec's bare decode into the same fields, the exporter's decoder,
and the exporter's whole poll. Memory is the most that was resident above what it began with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import msgspec
from measuring import Api, Results, best_of, growth, swarm_apis

from swarm_exporter.clock import SystemClock
from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.model import Board, Identity, Node
from swarm_exporter.sources.base import Context
from swarm_exporter.sources.http import get, new_client
from swarm_exporter.sources.leaderboard import Leaderboard
from swarm_exporter.sources.leaderboard_json import Row, decode_board

#: Above any of these boards; the default limit is 64 MiB.
BODY_LIMIT = 256 * 1024 * 1024
TIMEOUT = 120.0
FEWEST_REPEATS = 5
#: For a body of one MB.
MOST_REPEATS = 50


class Bare(msgspec.Struct):
    """A board for msgspec and nothing else: the fields that the exporter uses."""

    leaders: list[Row]


class Cost(msgspec.Struct):
    """What one way costs."""

    #: From the request to the result, seconds.
    total: float
    #: Of that after the last byte has come; the shortest of some runs.
    decode: float
    #: Bytes.
    peak: int
    body: int
    #: What msgspec's bare decode takes in turn with it, so that both meet the same machine.
    bare: float


def most_resident() -> int:
    """Return the most bytes that this process had resident since `forget_peak`."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget_peak() -> int:
    """Let the peak begin anew, from what is resident now (proc(5)); return that."""
    Path("/proc/self/clear_refs").write_text("5")
    return most_resident()


async def fetch(client: httpx.AsyncClient, api: Api) -> bytearray:
    """Read the bytes of the board alone."""
    url = f"{api.url}/api/leaderboard-cumulative"
    return (await get(client, url, timeout=TIMEOUT, limit=BODY_LIMIT)).body


DECODERS: dict[str, Callable[[bytearray], object]] = {
    "bytes": len,
    "json": json.loads,
    "msgspec": msgspec.json.Decoder(Bare).decode,
    "decoder": decode_board,
}


async def by_decoder(way: str, api: Api, client: httpx.AsyncClient) -> Cost:
    """Fetch a board and decode it in one way."""
    decode = DECODERS[way]
    before = forget_peak()
    began = time.perf_counter()
    body = await fetch(client, api)
    result = decode(body)
    total = time.perf_counter() - began
    peak = most_resident() - before
    del result
    taken, bare = [], []
    for _ in range(FEWEST_REPEATS + MOST_REPEATS * 1_000_000 // len(body)):
        taken.append(best_of(1, lambda: decode(body)))
        bare.append(best_of(1, lambda: DECODERS["msgspec"](body)))
    return Cost(total, min(taken), peak, len(body), min(bare))


async def by_poll(api: Api, client: httpx.AsyncClient) -> Cost:
    """Poll as the exporter does, to the standing of the node's peer."""
    defaults = load_config(Flags(), {}, Path.cwd())
    node = Node(name="1", api=api.url, peer_id=api.peer_id)
    config: Config = msgspec.structs.replace(
        defaults, nodes=(node,), body_limit=BODY_LIMIT, timeout=TIMEOUT
    )
    source = Leaderboard()
    (target,) = source.targets(config)
    context = Context(
        client=client,
        clock=SystemClock(),
        config=config,
        identities={"1": Identity(peer_id=api.peer_id)},
        first=False,
    )
    before = forget_peak()
    began = time.perf_counter()
    board = (await source.poll(target, context)).value
    total = time.perf_counter() - began
    assert isinstance(board, Board)
    assert board.wanted[api.peer_id].rank == 1
    return Cost(total, total, most_resident() - before, 0, 0.0)


async def take(way: str, api: Api) -> Cost:
    """Go one way in this process."""
    async with new_client() as client:
        await client.get(f"{api.url}/api/healthz")  # Connected, and what is imported late is.
        work: Awaitable[Cost] = (
            by_poll(api, client) if way == "poll" else by_decoder(way, api, client)
        )
        return await work


def cost(way: str, api: Api) -> Cost:
    """Go one way in a process of its own."""
    said = msgspec.json.encode(api).decode()
    command = [sys.executable, __file__, "--way", way, "--api", said]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    return msgspec.json.decode(done.stdout, type=Cost)


def measure(peers: int, results: Results) -> Cost:
    """Go every way for one size of board, note the figures, and return the poll's."""
    with swarm_apis(1, "--peers", str(peers), "--stage-seconds", "1e9") as (api,):
        # The server makes the board at the first request, which is nobody's cost.
        httpx.get(f"{api.url}/api/leaderboard-cumulative", timeout=TIMEOUT)
        costs = {way: cost(way, api) for way in (*DECODERS, "poll")}
    body = costs["bytes"].body
    where = f"{peers:,} peers"
    results.add(f"{where}: body", body / 1e6, "MB")
    for way, name in (("json", "json.loads"), ("msgspec", "msgspec, bare")):
        results.add(f"{where}: {name}", costs[way].decode * 1e3, "ms")
    bare = costs["decoder"].bare
    ratio = costs["decoder"].decode / bare
    results.add(
        f"{where}: the exporter's decoder",
        costs["decoder"].decode * 1e3,
        "ms",
        beside=("msgspec", bare * 1e3),
        goal="within 2x of msgspec's bare decode",
        met=ratio <= 2,
    )
    results.add(
        f"{where}: the exporter's decoder",
        costs["decoder"].decode * 1e3,
        "ms",
        beside=("json.loads", costs["json"].decode * 1e3),
    )
    results.add(
        f"{where}: poll to a standing",
        costs["poll"].total * 1e3,
        "ms",
        beside=("reading the bytes", costs["bytes"].total * 1e3),
    )
    for way, name in (("bytes", "reading the bytes"), ("json", "json.loads")):
        results.add(
            f"{where}: peak of {name}", costs[way].peak / 1e6, "MB", beside=("body", body / 1e6)
        )
    results.add(
        f"{where}: peak of a poll",
        costs["poll"].peak / 1e6,
        "MB",
        beside=("body", body / 1e6),
        goal="under 2x the body",
        met=costs["poll"].peak < 2 * body,
    )
    return costs["poll"]


def main() -> None:
    """Measure, and print a table; or go one way for another process that does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, nargs="+", default=[1_000, 20_000, 100_000])
    parser.add_argument("--way", choices=[*DECODERS, "poll"], help=argparse.SUPPRESS)
    parser.add_argument("--api", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        found = asyncio.run(take(options.way, msgspec.json.decode(options.api, type=Api)))
        print(msgspec.json.encode(found).decode())
        return
    results = Results("decode")
    polls = [measure(peers, results).total for peers in options.peers]
    if len(polls) > 1:
        results.add("growth of a poll with the peers", growth(options.peers, polls), "(exponent)")
    results.end()


if __name__ == "__main__":
    main()
