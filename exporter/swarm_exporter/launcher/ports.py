"""Whether a TCP port is free, and who holds it if it is not."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from swarm_exporter.launcher.processes import folder_of, name_of

_ADDRESSES = (
    (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - bound for a moment, never listened on
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET6, "::"),
)


def is_taken(port: int) -> bool:
    """Tell whether somebody listens on `port`, on whatever address of this machine."""
    return any(_refuses(family, host, port) for family, host in _ADDRESSES)


def holder(port: int) -> str:
    """Return who listens on `port`, for a person: `process 4711 (node) in /folder`."""
    for process in _listeners(port):
        folder = folder_of(process)
        where = f" in {folder}" if folder else ""
        return f"process {process.pid} ({name_of(process)}){where}"
    return "a process that this user may not see"


def _refuses(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections of a server that has ended linger, but nobody holds the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _listeners(port: int) -> list[psutil.Process]:
    """Return the processes that listen on `port`, as far as this user may see them."""
    with contextlib.suppress(psutil.Error, OSError):
        connections = psutil.net_connections(kind="tcp")
        pids = {c.pid for c in connections if c.pid and _listens(c, port)}
        return [psutil.Process(pid) for pid in pids]
    # macOS answers for one process at a time.
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(_listens(c, port) for c in process.net_connections(kind="tcp")):
                found.append(process)
    return found


def _listens(connection: object, port: int) -> bool:
    address = getattr(connection, "laddr", None)
    status = getattr(connection, "status", "")
    return bool(address) and address.port == port and status == psutil.CONN_LISTEN  # type: ignore[union-attr]
