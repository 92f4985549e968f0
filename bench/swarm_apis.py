"""Swarm APIs of many nodes in one process, for the benchmarks: `swarm_apis.py NODES [options]`.

Each node has a port of its own and upstream's four routes (RL Swarm v0.4). A stage lasts
--stage-seconds, so that accounts move. Prints the addresses as one line of JSON, then serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable

_ANSWER = b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_FIRST_ROUND = 1000
#: Numbers of the peers that are nobody's node begin here.
_OTHERS = 1_000_000


class Api(asyncio.Protocol):
    """One connection to one node's API; it reads GET requests and nothing else."""

    def __init__(self, swarm: Swarm, node: int) -> None:
        """Belong to one node."""
        self._swarm = swarm
        self._node = node
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._read += data
        while b"\r\n\r\n" in self._read:
            request, _, self._read = self._read.partition(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode()
            state = self._swarm.state(self._node)
            if state == "hung":
                continue
            status = 200 if state == "healthy" else 500
            body = self._swarm.answer(path, self._node) if status == 200 else b"{}"
            self._transport.write(_ANSWER % (status, len(body), body))


class Swarm:
    """What every node's API says: the same other peers, and the node's own."""

    def __init__(
        self, options: argparse.Namespace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin the first stage now."""
        self._options = options
        self._clock = clock
        self._began: float | None = None
        self._others: tuple[int, bytes] = (-1, b"")

    def state(self, node: int) -> str:
        """Return whether a node is healthy, hung or failing."""
        share = (node % 100) / 100
        if share < self._options.hung:
            return "hung"
        return "failing" if share < self._options.hung + self._options.failing else "healthy"

    def answer(self, path: str, node: int) -> bytes:
        """Return the body of one route."""
        self._began = self._clock() if self._began is None else self._began
        stages = int((self._clock() - self._began) / self._options.stage_seconds)
        if path.endswith("leaderboard-cumulative"):
            if self._others[0] != stages:
                peers = range(self._options.peers - 1)
                self._others = (
                    stages,
                    b",".join(row(peer_of(_OTHERS + i), i, stages) for i in peers),
                )
            own = row(peer_of(node), node, stages)
            return b'{"leaders":[%b],"total":%d}' % (
                b",".join(filter(None, (own, self._others[1]))),
                self._options.peers,
            )
        if path.endswith("round_and_stage"):
            return b'{"round":%d,"stage":%d}' % clock(stages)
        if path.endswith("healthz"):
            return b'{"message":"OK","lastPolled":1.5}'
        return b'{"leaders":[]}'


def clock(stages: int) -> tuple[int, int]:
    """Return round and stage after so many stages."""
    return _FIRST_ROUND + stages // 3, stages % 3


def row(peer: str, number: int, stages: int) -> bytes:
    """Return one peer of the board, with the history of 30 polls that upstream keeps."""
    round_, stage = clock(stages)
    now = 1_700_000_000 + 10 * stages
    history = ",".join(f'{{"x":{now + 10 * i},"y":{float(stages + i)}}}' for i in range(30))
    return (
        f'{{"id":"{peer}","nickname":"tall slow cat{number}","recordedRound":{round_},'
        f'"recordedStage":{stage},"cumulativeScore":{stages * 2.5},"lastScore":2.5,'
        f'"scoreHistory":[{history}]}}'
    ).encode()


def peer_of(node: int) -> str:
    """Return a node's peer id: 46 characters of base58, which has no zero."""
    return f"Qm{node:044d}".replace("0", "z")


async def serve(options: argparse.Namespace) -> None:
    """Listen for every node, say where, and answer for ever."""
    swarm = Swarm(options)
    loop = asyncio.get_running_loop()
    servers, told = [], []
    for node in range(options.nodes):
        server = await loop.create_server(lambda node=node: Api(swarm, node), "127.0.0.1", 0)  # type: ignore[misc]
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        told.append(
            {
                "url": f"http://127.0.0.1:{port}",
                "peer_id": peer_of(node),
                "state": swarm.state(node),
            }
        )
    print(json.dumps(told), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", type=int)
    parser.add_argument("--peers", type=int, default=50, help="peers on each board")
    parser.add_argument("--hung", type=float, default=0.0, help="share that never answers")
    parser.add_argument("--failing", type=float, default=0.0, help="share that answers 500")
    parser.add_argument("--stage-seconds", type=float, default=60.0)
    asyncio.run(serve(parser.parse_args()))
