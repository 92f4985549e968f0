"""Real graphs and alerts on the demo: the stack's servers, as far as they are installed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.ports import is_taken
from swarm_exporter.stack.server import Settings
from swarm_exporter.stack.stack import SERVERS, Exporter, Stack

#: Prometheus evaluates 40 rules at each interval.
_SHORTEST_INTERVAL_SECONDS = 1.0


def start_stack(
    state_dir: Path,
    exporter_url: str,
    interval: float,
    lang: str,
    say: Callable[[str], None],
    stopped: threading.Event,
) -> None:
    """Start what is installed on the exporter at `exporter_url`; say where, or what is missing.

    The demo goes on without it, whatever happens. Once `stopped` is set it waits for nothing.
    """
    stack = Stack(state_dir)
    names = [server.name for server in SERVERS]
    try:
        programs = stack.found(names)
        settings = Settings(
            ports={server.name: _port(server.default_port) for server in SERVERS},
            servers=tuple(programs),
            exporter_url=exporter_url,
            interval=max(interval, _SHORTEST_INTERVAL_SECONDS),
            retention="1d",
            lang=lang,
        )
        stack.up(
            settings,
            Exporter(url=exporter_url),
            programs,
            lambda name, url: say(f"{name.capitalize():<14} {url}") if name in names else None,
            stopped=stopped,
        )
    except SwarmExporterError as error:
        say(f"No graphs: {error}")
        return
    for problem in stack.missing(programs):
        say(problem)


def stop_stack(state_dir: Path) -> None:
    """Stop what `start_stack` has started."""
    Stack(state_dir).down()


def _port(usual: int) -> int:
    """Return a server's usual port, or a free one where somebody has it."""
    if not is_taken(usual):
        return usual
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
