"""The control port against connections that are no trainer's, or hang, or go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest

from swarm_exporter.demo import control
from swarm_exporter.demo.control import Control
from swarm_exporter.demo.peers import draw_peers
from swarm_exporter.demo.server import DemoError, DemoSwarm
from swarm_exporter.demo.swarm import POLL_SECONDS, STAGE_SECONDS, Swarm
from swarm_exporter.model import Stage

TICKS = STAGE_SECONDS // POLL_SECONDS


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[DemoSwarm]:
    demo = DemoSwarm(Swarm(1), trainers=True)
    await demo.start()
    try:
        yield demo
    finally:
        await demo.stop()


@contextlib.asynccontextmanager
async def connected(demo: DemoSwarm, line: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(*demo.control)
    writer.write(line)
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def event(reader: asyncio.StreamReader) -> dict[str, object]:
    return json.loads(await reader.readline())


def test_a_trainer_is_told_each_stage_once_and_its_score_once():
    async def main() -> None:
        async with started() as demo, connected(demo, b"join 2\n") as reader:
            peer = demo.peers[1]
            assert await event(reader) == {
                "event": "joined",
                "nickname": peer.nickname,
                "peer_id": peer.id,
            }
            assert await event(reader) == {"event": "stage", "round": 412, "stage": 0}
            for _ in range(4 * TICKS + 1):
                await demo.tick()
            told = [await event(reader) for _ in range(8)]
            assert [(e["event"], e["round"], e["stage"]) for e in told] == [
                ("score", 412, 0),
                ("stage", 412, 1),
                ("score", 412, 1),
                ("stage", 412, 2),
                ("score", 412, 2),
                ("stage", 413, 0),
                ("score", 413, 0),
                ("stage", 413, 1),
            ]
            assert all(e["score"] > 0 for e in told if e["event"] == "score")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"join 4\n", "there is no node 4; give one from 1 to 3"),
        (b"join 0\n", "there is no node 0; give one from 1 to 3"),
        (b"GET / HTTP/1.1\r\n\r\n", "a trainer says who it is with the line"),
        (b"join one\n", "a trainer says who it is with the line"),
        (b"\xff" * 5000 + b"\n", "a trainer says who it is with the line"),
    ],
)
def test_who_cannot_join_is_told_why(line: bytes, reason: str):
    async def main() -> None:
        async with started() as demo, connected(demo, line) as reader:
            refused = await event(reader)
            assert refused["event"] == "refused"
            assert str(refused["reason"]).startswith(reason)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""

    asyncio.run(main())


def test_who_says_nothing_is_told_to_after_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_JOIN_SECONDS", 0.01)

    async def main() -> None:
        async with started() as demo, connected(demo, b"") as reader:
            assert (await event(reader))["event"] == "refused"

    asyncio.run(main())


def test_stop_ends_trainers_and_leaves_no_task_and_no_socket():
    async def main() -> None:
        async with started() as demo:
            address = demo.control
            async with connected(demo, b"join 1\n") as reader:
                assert (await event(reader))["event"] == "joined"
                await demo.stop()
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            with socket.socket() as another:
                another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                another.bind(address)

    asyncio.run(main())


def test_a_trainer_that_does_not_read_holds_nothing_up():
    """It is told more than the kernel keeps for it."""

    async def main() -> None:
        joined = asyncio.Event()

        async def changed() -> None:
            joined.set()

        door = Control("127.0.0.1", draw_peers(1, 1), changed)
        await door.open()
        with socket.create_connection(door.address) as deaf:
            deaf.sendall(b"join 1\n")
            await joined.wait()
            for number in range(150_000):
                door.tell(Stage(number, 0), {0: 1.0})
            await asyncio.wait_for(door.close(), 20)
        assert door.present == frozenset()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_without_trainers_there_is_nothing_to_join_and_every_node_takes_part():
    async def main() -> None:
        demo = DemoSwarm(Swarm(1))
        await demo.start()
        try:
            with pytest.raises(DemoError, match="lets no trainers join"):
                _ = demo.control
        finally:
            await demo.stop()

    asyncio.run(main())
