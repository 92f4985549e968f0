"""What tests use by name: time under control, and real programs started and ended."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from host_facts import make_host
from node_facts import make_facts
from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.model import (
    Board,
    Condition,
    Earnings,
    ExporterView,
    Identity,
    Node,
    NodeProcess,
    NodeView,
    Snapshot,
    SourceStatus,
    Stage,
    Standing,
    Verdict,
)
from swarm_exporter.reasons import Reason

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "swarm_exporter"]
_WAIT_SECONDS = 30.0
#: Headless, as root, and without calls to hosts elsewhere.
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def eventually(look: Callable[[], T | None], what: str, within: float = _WAIT_SECONDS) -> T:
    """Look again until there is something; real servers have no event to wait for."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"no {what} within {within:g} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], log: Path, **how) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside the test, and end it with the test."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **how)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def reachable(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2).status_code == 200
    return False


class ManualClock:
    """Time that moves only when a test moves it; sleepers wake in the order of their times."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, id(woken), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment."""
        until = self._elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, woken = heapq.heappop(self._sleepers)
            self._move_to(due)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
        self._move_to(until)

    async def settle(self) -> None:
        """Let everything run that waits for no time."""
        for _ in range(50):
            await asyncio.sleep(0)

    def _move_to(self, elapsed: float) -> None:
        self.now += elapsed - self._elapsed
        self._elapsed = elapsed


def make_config(*nodes: Node, **settings) -> Config:
    """A configuration with the defaults of the program, for these nodes."""
    defaults = load_config(Flags(), {}, Path("/nonexistent"))
    # Nothing is chosen for these nodes: they are read through whatever they have.
    return msgspec.structs.replace(defaults, **{"nodes": nodes, "choices": {}, **settings})


def make_node(name: str = "1", api: str = "http://127.0.0.1:3000", **more) -> Node:
    return Node(name=name, api=api, **more)


def make_standing(peer_id: str = "QmA", **more) -> Standing:
    """A peer at the first place with a score of 2 in round 7, stage 1."""
    facts = {
        "nickname": "tall slow flamingo",
        "rank": 1,
        "cumulative_reward": 6.0,
        "last_score": 2.0,
        "recorded": Stage(7, 1),
    }
    return Standing(peer_id=peer_id, **{**facts, **more})


def make_board(*standings: Standing, **more) -> Board:
    """A board of these peers, all of them wanted and on top."""
    newest = max((s.recorded for s in standings if s.recorded), default=None)
    facts = {
        "total_peers": len(standings),
        "asked": frozenset({"QmA", "QmB", "tall slow flamingo"}),
        "wanted": {s.peer_id: s for s in standings},
        "top": standings,
        "quantiles": {},
        "newest": newest,
        "newest_scores": {s.peer_id: s.last_score for s in standings if s.recorded == newest},
        "clock": newest,
        "data_timestamp": None,
    }
    return Board(**{**facts, **more})


GOLDEN = ROOT / "tests" / "data" / "golden" / "metrics.txt"


def make_snapshot() -> Snapshot:
    """Two nodes of which everything is known, in a swarm of three."""
    own = make_standing("QmA", participation=12.0)
    other = make_standing("QmB", rank=2, nickname="other cat name", cumulative_reward=-1.5)
    third = make_standing("QmC", rank=3, nickname="third cat name", cumulative_reward=None)
    board = make_board(
        own,
        other,
        third,
        quantiles={0.5: 2.25, 0.9: 5.25, 0.99: 5.925, 1.0: 6.0},
        data_timestamp=1_799_999_995.5,
    )
    return Snapshot(
        time=1_800_000_000.0,
        nodes=(
            msgspec.structs.replace(
                make_view(make_node("1", labels={"owner": "me"}), own, board, Condition.EARNING),
                process=make_process(),
                facts=make_facts(),
            ),
            make_view(make_node("2"), other, board, Condition.TRAINING, "not earned for 5h"),
        ),
        board=board,
        swarm_last_increase=1_799_999_990.0,
        stall_after=16_200.0,
        exporter=ExporterView(
            started=1_799_990_000.0,
            ready=True,
            config_ok=True,
            config_error="",
            config_loaded=1_799_990_000.0,
            state_saved=True,
        ),
        host=make_host(),
        host_sources=(
            SourceStatus(
                node="",
                source="process",
                up=True,
                reason=None,
                detail="",
                duration=0.004,
                last_success=1_799_999_998.0,
                errors={},
            ),
        ),
    )


def make_process(**more) -> NodeProcess:
    """A node that the launcher has run for an hour, restarted once, and that has submitted."""
    facts = {
        "state": "running",
        "profile": "codezero",
        "started": 1_799_996_400.0,
        "trainer_up": True,
        "restarts": {"killed": 1},
        "submit_period": 10_800.0,
        "last_submit": 1_799_999_000.0,
        "submits": {"accepted": 3, "refused": 1},
        "next_submit": 1_800_009_800.0,
        "unsubmitted_since": 1_799_999_000.0,
    }
    return NodeProcess(**{**facts, **more})


def make_view(
    node: Node, standing: Standing, board: Board, condition: Condition, reason: str = ""
) -> NodeView:
    """A node that is seen through one source."""
    return NodeView(
        node=node,
        identity=Identity(peer_id=standing.peer_id, nickname=standing.nickname),
        identified=True,
        conflicts=(),
        board=board,
        standing=standing,
        earnings=Earnings(
            earned=42.5,
            lost=1.25,
            since=1_799_990_000.0,
            last_increase=1_799_999_000.0,
            per_hour=3.5,
            scores=(2.0, -1.0, 0.0, 3.5),
        ),
        verdict=Verdict(condition, reason, "Look at the node's log." if reason else ""),
        sources=(
            SourceStatus(
                node=node.name,
                source="leaderboard",
                up=True,
                reason=None,
                detail="",
                duration=0.125,
                last_success=1_800_000_000.0,
                errors={Reason.TIMEOUT: 2},
            ),
        ),
    )
