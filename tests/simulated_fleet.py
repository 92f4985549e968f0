"""Many machines in one process: each is the program's own web application on a port of its own.

Snapshots are made up, by what the time is; rendering, caching and answering are the program's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from host_facts import make_host
from support import make_board, make_node, make_process, make_standing, make_view
from swarm_exporter.clock import SystemClock
from swarm_exporter.host.footprint import Footprint, Footprints
from swarm_exporter.host.gpu_facts import AppleGpus, NvidiaGpus
from swarm_exporter.host.mps import MpsMemory, NodeMps
from swarm_exporter.host.process import NodeUsage, ProcessUsage
from swarm_exporter.host.thermals import Macmon
from swarm_exporter.host.torch_helper import TorchMemory
from swarm_exporter.model import (
    Condition,
    Earnings,
    ExporterView,
    HostFacts,
    NodeView,
    Snapshot,
    Stage,
)
from swarm_exporter.web.app import Views, create_app
from swarm_exporter.web.server import Server, listen

#: How long a stage takes, and how many peers there are beside the fleet's own.
_STAGE_SECONDS = 5.0
_OTHER_PEERS = 10
_MAC_ONLY = (AppleGpus, MpsMemory, TorchMemory, Macmon)


class Machine:
    """One machine with its nodes; every third is a Mac, every tenth has a node that is down."""

    def __init__(self, number: int, nodes: int, began: float) -> None:
        """Draw what does not change."""
        self.name = f"machine-{number:03d}"
        self._number = number
        self._began = began
        self._nodes = [make_node(str(node)) for node in range(1, nodes + 1)]
        host = dict(make_host())
        for kind in (NvidiaGpus,) if number % 3 == 0 else _MAC_ONLY:
            del host[kind]
        self._host = host
        self._newest: tuple[int, Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return what is known now; it is another one each second."""
        now = time.time()
        if self._newest is None or self._newest[0] != int(now):
            self._newest = (int(now), self._make(now))
        return self._newest[1]

    def _make(self, now: float) -> Snapshot:
        elapsed = now - self._began
        stage = int(elapsed / _STAGE_SECONDS)
        clock = Stage(400 + stage // 3, stage % 3)
        others = [
            make_standing(f"QmOther{n}", rank=n, nickname=f"other {n}", cumulative_reward=900.0 - n)
            for n in range(1, _OTHER_PEERS + 1)
        ]
        own = [
            make_standing(
                f"Qm{self.name}-{node.name}",
                rank=_OTHER_PEERS + 3 * self._number + index,
                nickname=f"own {self._number} {node.name}",
                cumulative_reward=float(stage * (1 + index)),
                recorded=clock,
            )
            for index, node in enumerate(self._nodes)
        ]
        board = msgspec.structs.replace(
            make_board(*others, *own, clock=clock, data_timestamp=now), total_peers=1000
        )
        board = msgspec.structs.replace(
            board, top=tuple(others), quantiles={0.5: 2.25, 0.9: 5.25, 0.99: 5.9, 1.0: 900.0}
        )
        return Snapshot(
            time=now,
            nodes=tuple(
                self._view(index, standing, board, elapsed, now)
                for index, standing in enumerate(own)
            ),
            board=board,
            swarm_last_increase=now - elapsed % _STAGE_SECONDS,
            stall_after=16_200.0,
            exporter=ExporterView(
                started=self._began,
                ready=True,
                config_ok=True,
                config_error="",
                config_loaded=self._began,
                state_saved=True,
            ),
            host={**self._host, **self._processes(elapsed)},
            host_sources=(),
        )

    def _view(self, index: int, standing: Any, board: Any, elapsed: float, now: float) -> NodeView:
        down = self._number % 10 == 9 and index == 0
        condition = Condition.DOWN if down else Condition.EARNING
        view = make_view(self._nodes[index], standing, board, condition)
        earned = 0.0 if down else (1.0 + index) * int(elapsed / _STAGE_SECONDS)
        return msgspec.structs.replace(
            view,
            earnings=Earnings(
                earned=40.0 + earned,
                lost=0.5 * index,
                since=self._began - 864_000.0,
                last_increase=now - (20_000.0 if down else elapsed % _STAGE_SECONDS),
                per_hour=3.5,
                scores=(2.0, 0.0, 3.5),
            ),
            process=make_process(
                state="backoff" if down else "running",
                trainer_up=not down,
                started=self._began - 7200.0,
                last_submit=now - 300.0,
                next_submit=now + 10_500.0,
                unsubmitted_since=now - 300.0,
            ),
        )

    def _processes(self, elapsed: float) -> dict[type[HostFacts], HostFacts]:
        """What each node costs: processors as time passes, and memory that goes up and down."""
        names = [node.name for node in self._nodes]
        wave = int(elapsed) % 60 * 10_000_000
        usage = {
            name: NodeUsage(
                count=12,
                threads=140,
                open_fds=310 + int(elapsed) % 7,
                resident=4_000_000_000 + wave,
                started=self._began - 7200.0,
                cpu_seconds=7_200.0 + 3 * elapsed,
                disk_read=1_000_000.0 + 10_000 * elapsed,
                disk_written=2_000_000.0 + 20_000 * elapsed,
                cores=3.0,
            )
            for name in names
        }
        facts: list[HostFacts] = [
            ProcessUsage(nodes=usage),
            Footprints(
                nodes={name: Footprint(6_000_000_000 + wave, 9_000_000_000) for name in names}
            ),
        ]
        if MpsMemory in self._host:
            mps = NodeMps(
                resident=4_879_000_000 + wave,
                compressed=120_000_000,
                high_watermark=0.28,
                low_watermark=0.22,
            )
            facts.append(MpsMemory(nodes=dict.fromkeys(names, mps)))
        return {type(one): one for one in facts}


class Fleet:
    """The machines, by the port that each of them is reached at."""

    def __init__(self, machines: int, nodes: int, addresses: list[str]) -> None:
        """Make an application for each machine."""
        began = time.time()
        self.machines = [Machine(number, nodes, began) for number in range(machines)]
        #: `host:port` of each machine.
        self.addresses = addresses
        views = [Views(m.snapshot, SystemClock(), lambda: 15.0) for m in self.machines]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        self._apps = dict(zip(ports, map(create_app, views), strict=True))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the machine that was asked."""
        await self._apps[scope["server"][1]](scope, receive, send)

    def hosts(self) -> str:
        """Return the machines as `swarm-exporter sd` takes them."""
        return "".join(
            f"{machine.name}={address} owner={'anna' if number % 2 else 'bob'}\n"
            for number, (machine, address) in enumerate(
                zip(self.machines, self.addresses, strict=True)
            )
        )


@contextlib.contextmanager
def serving(machines: int, nodes: int = 3) -> Iterator[Fleet]:
    """Serve a fleet from a thread of this process."""
    sockets: list[socket.socket] = [listen("127.0.0.1", 0) for _ in range(machines)]
    fleet = Fleet(machines, nodes, [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets])
    server = Server(fleet)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=sockets)))
    thread.start()
    try:
        yield fleet
    finally:
        server.should_exit = True
        thread.join()
        for one in sockets:
            one.close()
