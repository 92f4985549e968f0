"""Where trainer processes join the simulated swarm: lines of text on a TCP port of this machine.

A trainer sends `join N`, N from 1, and takes part until its connection ends. It is told what
happens in lines of JSON: the structs below, by their member `event`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from swarm_exporter.demo.peers import Peer
from swarm_exporter.model import Stage

_JOIN = re.compile(rb"join (\d{1,5})\r?\n")
_LONGEST_LINE_BYTES = 1024
#: Who connects says in so many seconds who it is.
_JOIN_SECONDS = 5.0


class Joined(msgspec.Struct, frozen=True, tag_field="event", tag="joined"):
    """The trainer's node takes part, as this peer."""

    nickname: str
    peer_id: str


class Refused(msgspec.Struct, frozen=True, tag_field="event", tag="refused"):
    """The trainer cannot join; `reason` names the fix, and the connection ends."""

    reason: str


class Began(msgspec.Struct, frozen=True, tag_field="event", tag="stage"):
    """The swarm is in this stage."""

    round: int
    stage: int


class Scored(msgspec.Struct, frozen=True, tag_field="event", tag="score"):
    """The trainer's node has published `score` for this stage."""

    round: int
    stage: int
    score: float


class Control:
    """The control port: who is connected, and what each of them has been told."""

    def __init__(
        self, host: str, peers: tuple[Peer, ...], changed: Callable[[], Awaitable[None]]
    ) -> None:
        """Prepare to let trainers join as `peers`; `changed` is awaited after one came or went."""
        self._host = host
        self._peers = peers
        self._changed = changed
        self._trainers: dict[int, _Trainer] = {}
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None where it is not open."""
        if self._server is None:
            return None
        return self._host, self._server.sockets[0].getsockname()[1]

    @property
    def present(self) -> frozenset[int]:
        """The nodes whose trainer is connected, from 0."""
        return frozenset(self._trainers)

    async def open(self) -> None:
        """Begin to let trainers join, on a free port."""
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, limit=_LONGEST_LINE_BYTES
        )

    def tell(self, stage: Stage, scores: Mapping[int, float]) -> None:
        """Tell every trainer what is new to it: the stage, and its node's score, by node from 0."""
        for node, trainer in self._trainers.items():
            trainer.follow(stage, scores.get(node))

    async def close(self) -> None:
        """Drop all trainers and give the port back."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        while self._connections:
            for writer in self._connections.values():
                # Not closed in good order: that would wait for a trainer that no longer reads.
                writer.transport.abort()
            await asyncio.gather(*self._connections)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Attend to one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - tells the type checker
        self._connections[task] = writer
        try:
            if self._server is not None:
                await self._attend(reader, writer)
        except OSError:
            pass  # A trainer that was killed; its end has been noted.
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._connections[task]

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trainer = _Trainer(writer)
        node = await _asked_node(reader)
        refusal = self._refusal(node)
        if node is None or refusal:
            trainer.tell(Refused(refusal))
            return
        self._trainers[node] = trainer
        try:
            peer = self._peers[node]
            trainer.tell(Joined(peer.nickname, peer.id))
            await self._changed()
            while await reader.read(_LONGEST_LINE_BYTES):
                pass  # A trainer has nothing more to say; what counts is the end.
        finally:
            del self._trainers[node]
            await self._changed()

    def _refusal(self, node: int | None) -> str:
        """Return why a trainer cannot join as `node`; empty where it can."""
        if node is None:
            return 'a trainer says who it is with the line "join 1", 1 being the first node'
        if not 0 <= node < len(self._peers):
            return f"there is no node {node + 1}; give one from 1 to {len(self._peers)}"
        if node in self._trainers:
            return f"node {node + 1} has a trainer already; end that one first, or give another"
        return ""


class _Trainer:
    """A connected trainer, and what it knows."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._began: Stage | None = None
        self._scored: Stage | None = None

    def tell(self, event: Joined | Refused | Began | Scored) -> None:
        self._writer.write(msgspec.json.encode(event) + b"\n")

    def follow(self, stage: Stage, score: float | None) -> None:
        if stage != self._began:
            self._began = stage
            self.tell(Began(stage.round, stage.stage))
        if score is not None and stage != self._scored:
            self._scored = stage
            self.tell(Scored(stage.round, stage.stage, score))


async def _asked_node(reader: asyncio.StreamReader) -> int | None:
    """Return the node that a trainer joins as, from 0; None where it says something else."""
    try:
        line = await asyncio.wait_for(reader.readline(), _JOIN_SECONDS)
    except (asyncio.TimeoutError, ValueError):  # Silent, or a line that is too long.
        return None
    match = _JOIN.fullmatch(line)
    return int(match[1]) - 1 if match else None
