"""Trainers as real processes, joined to a simulated swarm whose time is driven by hand."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest

from support import eventually, free_port, reachable, running
from swarm_exporter.demo.server import DemoSwarm
from swarm_exporter.demo.swarm import POLL_SECONDS, STAGE_SECONDS, Swarm

T = TypeVar("T")
TICKS = STAGE_SECONDS // POLL_SECONDS
#: What tells that a node takes part.
READY = re.compile(r"Joining round: \d+")


@contextlib.asynccontextmanager
async def started(swarm: Swarm) -> AsyncIterator[DemoSwarm]:
    demo = DemoSwarm(swarm, trainers=True)
    await demo.start()
    try:
        yield demo
    finally:
        await demo.stop()


async def pass_stages(demo: DemoSwarm, count: int) -> None:
    for _ in range(count * TICKS):
        await demo.tick()


def trainer(address: tuple[str, int], node: int, *more: str) -> list[str]:
    host, port = address
    module = "swarm_exporter.demo.trainer"
    return [sys.executable, "-m", module, "--swarm", f"{host}:{port}", "--node", str(node), *more]


async def wait(look: Callable[[], T | None], what: str) -> T:
    """`eventually`, while the swarm in this process goes on answering."""
    return await asyncio.to_thread(eventually, look, what)


async def said(log: Path, pattern: str, times: int = 1) -> list[re.Match[str]]:
    """Wait until a trainer has printed so many lines that match."""

    def look() -> list[re.Match[str]] | None:
        found = list(re.finditer(pattern, log.read_text("utf-8")))
        return found if len(found) >= times else None

    return await wait(look, f"{pattern!r} in {log}")


async def listed(demo: DemoSwarm, asked: int, node: int) -> bool:
    """Whether one node's API lists another as publishing for the newest stage."""
    async with httpx.AsyncClient(trust_env=False) as client:
        board = (await client.get(f"{demo.urls[asked]}/api/leaderboard")).json()
    return demo.peers[node].id in {row["id"] for row in board["leaders"]}


def refuses(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def test_a_trainer_joins_and_prints_what_happens_to_its_node(tmp_path: Path):
    log, own_log = tmp_path / "console", tmp_path / "own.log"
    own_log.write_text("from the last time\n")

    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1, "--log", str(own_log)), log):
                await said(log, READY.pattern)
                await pass_stages(demo, 2)
                (_, second) = await said(log, r"Finished training round: .* score: (\S+)", 2)
                async with httpx.AsyncClient(trust_env=False) as client:
                    board = await client.get(f"{demo.urls[0]}/api/leaderboard")
                score = {row["id"]: row["score"] for row in board.json()["leaders"]}
                assert second[1] == f"{score[demo.peers[0].id]:.4f}"
            peer = demo.peers[0]
            lines = log.read_text("utf-8").splitlines()
            start = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]\[genrl\.[a-z_.]+\]\[INFO\] - "
            assert all(re.match(start, line) for line in lines)
            texts = [re.sub(start, "", line) for line in lines]
            assert texts[:2] == [
                f"🐱 Hello 🐈 [{peer.nickname}] 🦮 [{peer.id}]!",
                "🐝 Joining round: 412 stage: 0",
            ]
            assert [t for t in texts if "Joining" in t][1:] == ["🐝 Joining round: 412 stage: 1"]
            assert texts[-1] == "Shutting down trainer..."
            assert own_log.read_text("utf-8").splitlines() == ["from the last time", *lines]

    asyncio.run(main())


def test_a_killed_trainer_takes_its_node_out_of_the_swarm_until_it_is_started_again(tmp_path: Path):
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            assert all(refuses(url) for url in demo.urls)
            with running(trainer(demo.control, 1), tmp_path / "1"):
                with running(trainer(demo.control, 2), tmp_path / "2") as killed:
                    for node in ("1", "2"):
                        await said(tmp_path / node, READY.pattern)
                    assert refuses(demo.urls[2])
                    await pass_stages(demo, 1)
                    assert await listed(demo, 0, 1)

                    killed.send_signal(signal.SIGKILL)
                    await wait(lambda: refuses(demo.urls[1]), "refused connection")
                assert await listed(demo, 0, 1), "what is published stays for the stage"
                await pass_stages(demo, 1)
                assert await listed(demo, 0, 0)
                assert not await listed(demo, 0, 1)
                assert refuses(demo.urls[1])

                with running(trainer(demo.control, 2), tmp_path / "again"):
                    await said(tmp_path / "again", READY.pattern)
                    assert await asyncio.to_thread(reachable, f"{demo.urls[1]}/api/leaderboard")
                    await pass_stages(demo, 1)
                    assert await listed(demo, 0, 1)

    asyncio.run(main())


def test_the_scenario_applies_to_a_connected_node(tmp_path: Path):
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 3), tmp_path / "3"):
                await said(tmp_path / "3", READY.pattern)
                await pass_stages(demo, 7)
                assert not await listed(demo, 2, 2)
                await demo.tick()
                assert refuses(demo.urls[2])
                await said(tmp_path / "3", READY.pattern, 8)
            assert (tmp_path / "3").read_text("utf-8").count("Finished training") == 6

    asyncio.run(main())


def test_a_second_trainer_of_a_node_is_refused(tmp_path: Path):
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1), tmp_path / "first") as first:
                await said(tmp_path / "first", READY.pattern)
                twin = await asyncio.to_thread(run, trainer(demo.control, 1))
                assert (twin.returncode, twin.stdout) == (1, "")
                assert twin.stderr == (
                    "trainer: the simulated swarm refuses: node 1 has a trainer already; "
                    "end that one first, or give another\n"
                )
                assert first.poll() is None
                await pass_stages(demo, 1)
                assert await listed(demo, 0, 0)

    asyncio.run(main())


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False)


def test_a_node_that_the_swarm_does_not_have_is_refused():
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            for node in (0, 4, -1):
                answer = await asyncio.to_thread(run, trainer(demo.control, node))
                assert answer.returncode == 1
                assert re.fullmatch("trainer: [^\n]+\n", answer.stderr)

    asyncio.run(main())


def test_a_swarm_that_is_not_there_ends_the_trainer_with_a_sentence():
    address = ("127.0.0.1", free_port())

    gone = run(trainer(address, 1, "--patience", "0.3"))

    assert gone.returncode == 1
    assert gone.stdout.count("Looking for a simulated swarm") == 1
    assert gone.stderr == (
        f"trainer: no simulated swarm answered at 127.0.0.1:{address[1]} for 0.3 s: "
        "start `swarm-exporter demo`, which starts its nodes itself\n"
    )


def test_a_swarm_that_ends_ends_its_trainers(tmp_path: Path):
    log = tmp_path / "log"

    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1, "--patience", "0.3"), log) as process:
                await said(log, READY.pattern)
                await demo.stop()
                assert await asyncio.to_thread(process.wait, 30) == 1
        assert "The swarm is gone" in log.read_text("utf-8")

    asyncio.run(main())


def test_a_trainer_waits_for_a_swarm_that_comes_later(tmp_path: Path):
    """Here a port that does not answer at first, and then as a swarm does."""
    log = tmp_path / "log"
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        with running(trainer(port.getsockname(), 2, "--patience", "60"), log):
            eventually(lambda: "Looking for" in log.read_text("utf-8"), "trainer that looks")
            port.listen()
            connection, _ = port.accept()
            with connection:
                assert connection.recv(100) == b"join 2\n"
                connection.sendall(b'{"event":"joined","nickname":"a b c","peer_id":"QmX"}\n')
                eventually(lambda: "[a b c]" in log.read_text("utf-8"), "greeting")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"7\n", b"x" * 70_000])
def test_something_else_on_the_port_is_said(answer: bytes, tmp_path: Path):
    log = tmp_path / "log"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running(trainer(server.getsockname(), 1), log) as process,
    ):
        connection, _ = server.accept()
        with connection:
            connection.sendall(answer)
            assert process.wait(30) == 1
    assert re.fullmatch(
        r"trainer: what answers at 127\.0\.0\.1:\d+ is no simulated swarm: .*\n", log.read_text()
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("burn", ["0", "2"])
def test_a_signal_ends_the_trainer_at_once_with_a_last_line(
    number: signal.Signals, burn: str, tmp_path: Path
):
    log = tmp_path / "log"

    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1, "--burn", burn), log) as process:
                await said(log, READY.pattern)
                before = time.monotonic()
                process.send_signal(number)
                assert await asyncio.to_thread(process.wait, 30) == 0
                assert time.monotonic() - before < 2
                await wait(lambda: refuses(demo.urls[0]), "refused connection")

    asyncio.run(main())
    assert log.read_text("utf-8").endswith("Shutting down trainer...\n")


def test_a_signal_ends_a_trainer_that_looks_for_its_swarm(tmp_path: Path):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running(trainer(silent.getsockname(), 1), tmp_path / "log") as process,
    ):
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGTERM)
            assert process.wait(2) == 0


def test_burning_threads_keep_cpus_busy(tmp_path: Path):
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1, "--burn", "1"), tmp_path / "log") as process:
                await said(tmp_path / "log", READY.pattern)
                measured = psutil.Process(process.pid)

                def busy() -> bool:
                    return measured.cpu_times().user > 0.5

                await wait(busy, "CPU time")
                assert measured.num_threads() == 2

    asyncio.run(main())


def test_a_trainer_is_light(tmp_path: Path):
    """It loads of the package only what is of the standard library, and little of that."""
    code = (
        "import sys; import swarm_exporter.demo.trainer; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({package()!r}); {code}"]
    )
    foreign = set(loaded.stdout.split()) - sys.stdlib_module_names
    assert {name for name in foreign if not name.startswith("_")} == {"swarm_exporter"}

    async def main() -> None:
        async with started(Swarm(1)) as demo:
            with running(trainer(demo.control, 1), tmp_path / "log") as process:
                await said(tmp_path / "log", READY.pattern)
                assert psutil.Process(process.pid).memory_info().rss < 25 * 2**20

    asyncio.run(main())


def package() -> str:
    import swarm_exporter

    return str(Path(swarm_exporter.__file__).parents[1])


@pytest.mark.parametrize(
    "options",
    [
        ["--swarm", "nowhere", "--node", "1"],
        ["--swarm", "127.0.0.1:0", "--node", "1"],
        ["--swarm", "127.0.0.1:9", "--node", "one"],
        ["--swarm", "127.0.0.1:9"],
    ],
)
def test_wrong_usage_is_2(options: list[str]):
    wrong = run([sys.executable, "-m", "swarm_exporter.demo.trainer", *options])
    assert wrong.returncode == 2
    assert "error: " in wrong.stderr


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path):
    wrong = run(trainer(("127.0.0.1", 9), 1, "--log", str(tmp_path / "no" / "log")))
    assert wrong.returncode == 1
    assert re.fullmatch(r"trainer: --log: cannot write .*/no/log \(No such file .*\n", wrong.stderr)


def piped(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_of_the_output_that_goes_ends_the_trainer_with_a_sentence():
    async def main() -> None:
        async with started(Swarm(1)) as demo:
            process = await asyncio.to_thread(piped, trainer(demo.control, 1))
            assert process.stdout is not None
            assert b"Hello" in await asyncio.to_thread(process.stdout.readline)
            process.stdout.close()
            process.stdout = None
            await pass_stages(demo, 2)
            _, error = await asyncio.to_thread(process.communicate)
            assert process.returncode == 1
            sentence = r"trainer: cannot print a line \(Broken pipe\); .*\n"
            assert re.fullmatch(sentence, error.decode())

    asyncio.run(main())
