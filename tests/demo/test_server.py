"""Real servers on real ports, with the clock driven by hand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from swarm_exporter.demo.server import HOST, DemoError, DemoSwarm
from swarm_exporter.demo.swarm import POLL_SECONDS, STAGE_SECONDS, Swarm

NOW = 1_800_000_000.5
TICKS = STAGE_SECONDS // POLL_SECONDS


@contextlib.asynccontextmanager
async def started(swarm: Swarm, **how) -> AsyncIterator[tuple[DemoSwarm, httpx.AsyncClient]]:
    demo = DemoSwarm(swarm, **{"now": lambda: NOW, **how})
    await demo.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            yield demo, client
    finally:
        await demo.stop()


async def pass_stages(demo: DemoSwarm, count: int) -> None:
    for _ in range(count * TICKS):
        await demo.tick()


def test_each_node_has_an_api_that_answers_as_upstreams():
    async def main() -> None:
        async with started(Swarm(1)) as (demo, client):
            fresh = await client.get(f"{demo.urls[0]}/api/healthz")
            assert (fresh.status_code, fresh.content) == (500, b'{"detail":"dht never polled"}')

            await pass_stages(demo, 1)
            assert len(set(demo.urls)) == 3
            for url, peer in zip(demo.urls, demo.peers, strict=True):
                answer = await client.get(f"{url}/api/leaderboard-cumulative")
                rows = {row["id"]: row for row in answer.json()["leaders"]}
                assert rows[peer.id]["nickname"] == peer.nickname
                assert rows[peer.id]["scoreHistory"][-1]["x"] == int(NOW)
                assert set(answer.headers) == {"date", "server", "content-length", "content-type"}
                assert answer.headers["server"] == "uvicorn"
                health = await client.get(f"{url}/api/healthz")
                assert health.content == b'{"message":"OK","lastPolled":0.0}'
            assert (await client.head(f"{demo.urls[0]}/api/healthz")).status_code == 405

    asyncio.run(main())


def test_node_3s_port_refuses_while_its_api_is_dead_and_answers_again_after():
    async def main() -> None:
        async with started(Swarm(1)) as (demo, client):
            board = f"{demo.urls[2]}/api/leaderboard-cumulative"
            await pass_stages(demo, 7)
            assert (await client.get(board)).json()["total"] > 0

            await demo.tick()
            with pytest.raises(httpx.ConnectError):
                await client.get(board)
            assert (await client.get(f"{demo.urls[0]}/api/healthz")).status_code == 200

            await pass_stages(demo, 2)
            assert (await client.get(board)).json() == {"leaders": [], "total": 0}
            await pass_stages(demo, 2)
            rows = (await client.get(board)).json()["leaders"]
            assert demo.peers[2].id in {row["id"] for row in rows}

    asyncio.run(main())


def test_run_keeps_the_time_going_until_stop():
    async def main() -> None:
        polled = asyncio.Event()
        moments = iter(range(10**9))

        def now() -> float:
            if next(moments) == 20:
                polled.set()
            return NOW

        async with started(Swarm(1), speed=1e6, now=now) as (demo, client):
            running = asyncio.create_task(demo.run())
            await polled.wait()
            clock = (await client.get(f"{demo.urls[0]}/api/round_and_stage")).json()
            assert clock["round"] > 0
            await demo.stop()
            await running

    asyncio.run(main())


@pytest.mark.parametrize("ticks", [0, 7 * TICKS + 1])
def test_stop_leaves_no_task_and_no_socket(ticks: int):
    """Also where an API is dead, its port held."""

    async def main() -> None:
        handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        async with started(Swarm(1)) as (demo, _):
            for _ in range(ticks):
                await demo.tick()
            assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
            urls = demo.urls
        await demo.stop()
        await demo.tick()

        assert asyncio.all_tasks() == {asyncio.current_task()}
        for url in urls:
            with socket.socket() as another:
                another.bind((HOST, int(url.rpartition(":")[2])))

    asyncio.run(main())


def test_a_run_that_is_cancelled_while_an_api_dies_can_still_be_stopped():
    async def main() -> None:
        async with started(Swarm(1), speed=1e6) as (demo, _):
            await pass_stages(demo, 7)
            dying = asyncio.create_task(demo.run())
            for _ in range(10):
                await asyncio.sleep(0)
            dying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dying
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def neighbours() -> tuple[socket.socket, int]:
    """A listening socket, and the port before its own, which is free."""
    while True:
        taken = socket.create_server((HOST, 0))
        port = taken.getsockname()[1]
        with contextlib.suppress(OSError), socket.socket() as before:
            before.bind((HOST, port - 1))
            return taken, port - 1
        taken.close()


def test_a_taken_port_is_named_and_the_others_are_given_back():
    async def main() -> None:
        taken, free = neighbours()
        with taken:
            demo = DemoSwarm(Swarm(1), first_port=free)
            with pytest.raises(DemoError, match=rf"port {free + 1} of 127\.0\.0\.1: end the"):
                await demo.start()
            with socket.socket() as again:
                again.bind((HOST, free))

    asyncio.run(main())


def test_a_port_beyond_the_last_is_named():
    with pytest.raises(DemoError, match="port 65536 "):
        asyncio.run(DemoSwarm(Swarm(1), first_port=65535).start())


def test_the_ports_follow_the_first_one():
    async def main() -> None:
        taken, free = neighbours()
        taken.close()
        async with started(Swarm(1, own=2), first_port=free) as (demo, _):
            assert demo.urls == (f"http://{HOST}:{free}", f"http://{HOST}:{free + 1}")

    asyncio.run(main())
