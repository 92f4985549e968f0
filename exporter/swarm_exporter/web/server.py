"""uvicorn as a part of this program: it neither takes the signals nor the logging."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from swarm_exporter.errors import SwarmExporterError


class Server(uvicorn.Server):
    """A uvicorn server that ends when `should_exit` is set, and leaves signals alone."""

    def __init__(self, app: ASGIApp) -> None:
        """Prepare to serve `app` over sockets given to `serve`."""
        self._ending = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=2,
                ws="none",
            )
        )

    @property
    def should_exit(self) -> bool:
        """Whether to end."""
        return self._ending.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        (self._ending.set if value else self._ending.clear)()

    async def main_loop(self) -> None:
        """Keep the time in the answers right until the end, without waking ten times a second."""
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signal handlers as they are: the program has its own."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host`:`port` (0: a free one).

    Raises SwarmExporterError with the fix where the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except UnicodeError:
        raise SwarmExporterError(
            f"cannot listen on {host}:{port}: that is no host name; correct --listen"
        ) from None
    except OSError as error:
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise SwarmExporterError(
            f"cannot listen on {host}:{port}: {why}; give another address with --listen"
        ) from None
    listener.setblocking(False)
    return listener
