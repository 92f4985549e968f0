"""The simulated swarm on real ports: a uvicorn server for each own node, trainers, the clock."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from starlette.types import ASGIApp

from swarm_exporter.demo.api import build_api
from swarm_exporter.demo.control import Control
from swarm_exporter.demo.peers import Peer
from swarm_exporter.demo.swarm import POLL_SECONDS, Swarm
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.web.server import Server

HOST = "127.0.0.1"
#: Simulated seconds per second: a stage takes half a minute, all scenarios play in six minutes.
DEFAULT_SPEED = 20.0


class DemoError(SwarmExporterError):
    """The simulated swarm cannot run; the text is one sentence that names the fix."""


class DemoSwarm:
    """A running simulation: `start`, `run` until `stop`. A test drives `tick` instead of `run`."""

    def __init__(
        self,
        swarm: Swarm,
        *,
        first_port: int = 0,
        speed: float = DEFAULT_SPEED,
        now: Callable[[], float] = time.time,
        trainers: bool = False,
    ) -> None:
        """Prepare to serve `swarm` on `first_port` and the ports after it, or on free ones (0).

        `speed` is simulated seconds per second. What the APIs say of the time is `now`, Unix
        seconds: at any speed their data are as old as they look. With `trainers` an own node takes
        part only while its trainer process (swarm_exporter.demo.trainer) is connected.
        """
        self._swarm = swarm
        self._first_port = first_port
        self._speed = speed
        self._now = now
        self._ports: list[_Port] = []
        self._control = Control(HOST, swarm.own, self._regroup) if trainers else None
        self._ticking = asyncio.Lock()
        self._stopped = asyncio.Event()

    @property
    def urls(self) -> tuple[str, ...]:
        """The address of each own node's API, in the order of the nodes; empty before `start`."""
        return tuple(f"http://{HOST}:{port.number}" for port in self._ports)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The person's own peers, in the order of the nodes."""
        return self._swarm.own

    @property
    def control(self) -> tuple[str, int]:
        """Host and port that trainers join. Raises DemoError where there is none: see `start`."""
        address = self._control.address if self._control is not None else None
        if address is None:
            raise DemoError("the simulated swarm lets no trainers join: start it with trainers")
        return address

    async def start(self) -> None:
        """Take the ports and answer on them. Raises DemoError where one cannot be had.

        With trainers, an API answers when the first trainer of its node has joined.
        """
        try:
            for node in range(len(self._swarm.own)):
                self._ports.append(_Port(self._first_port and self._first_port + node))
            if self._control is not None:
                await self._control.open()
                self._swarm.gather(())
            await self._open_and_close()
        except DemoError:
            await self.stop()
            raise

    async def run(self) -> None:
        """Let the time pass until `stop`. Raises DemoError where a dead API's port is lost."""
        while not self._stopped.is_set():
            await self.tick()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), POLL_SECONDS / self._speed)

    async def tick(self) -> None:
        """Let POLL_SECONDS of the simulation pass; API servers die and return in it."""
        async with self._ticking:
            if not self._stopped.is_set():
                self._swarm.tick(self._now())
                await self._open_and_close()
                self._tell()

    async def stop(self) -> None:
        """End all servers and give the ports back; `run` ends as well."""
        self._stopped.set()
        if self._control is not None:
            await self._control.close()
        async with self._ticking:
            await asyncio.gather(*(port.close() for port in self._ports))

    async def _regroup(self) -> None:
        """Take in that a trainer came or went."""
        async with self._ticking:
            if self._control is not None and not self._stopped.is_set():
                self._swarm.gather(self._control.present)
                # A port that is lost is missed by the next tick again, which says so.
                with contextlib.suppress(DemoError):
                    await self._open_and_close()
                self._tell()

    def _tell(self) -> None:
        if self._control is not None:
            self._control.tell(self._swarm.stage, self._swarm.own_scores)

    async def _open_and_close(self) -> None:
        for port, board in zip(self._ports, self._swarm.boards, strict=True):
            if board is None:
                if port.is_open:
                    await port.close()
                port.hold()
            elif not port.is_open:
                port.open(build_api(board, self._now))


class _Port:
    """A TCP port of this machine. Held but not open it refuses connections, and stays ours."""

    def __init__(self, number: int) -> None:
        """Hold port `number`, or a free one (0). Raises DemoError where it cannot be had."""
        self.number = number
        self._socket: socket.socket | None = None
        self.hold()
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """True while a server answers."""
        return self._serving is not None

    def hold(self) -> socket.socket:
        """Have the port, but answer nobody. Raises DemoError where it cannot be had."""
        if self._socket is not None:
            return self._socket
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((HOST, self.number))
        except (OSError, OverflowError):
            held.close()
            raise self._lost() from None
        self.number = held.getsockname()[1]
        self._socket = held
        return held

    def open(self, app: ASGIApp) -> None:
        """Begin to serve `app` on the port. Raises DemoError where it cannot be had."""
        listening = self.hold()
        try:
            listening.listen()
        except OSError:
            raise self._lost() from None
        self._server = Server(app)
        self._server.config.server_header = True  # As upstream, which is uvicorn too.
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def close(self) -> None:
        """End the server, if any, and give the port back."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            # Who is cancelled while waiting here must not tear the server's end apart.
            await asyncio.shield(self._serving)
            self._server = self._serving = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lost(self) -> DemoError:
        return DemoError(
            f"the simulated swarm cannot have port {self.number} of {HOST}: "
            "end the program that uses it, or give other ports"
        )
