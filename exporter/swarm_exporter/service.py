"""The exporter as a running service: configuration, polling and web side put together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
from collections.abc import Callable, Iterator

from swarm_exporter.clock import Clock, SystemClock
from swarm_exporter.config import Config
from swarm_exporter.errors import ConfigError
from swarm_exporter.poller import Poller
from swarm_exporter.sources import new_sources
from swarm_exporter.sources.http import new_client
from swarm_exporter.state import StateFile
from swarm_exporter.tracker import Tracker
from swarm_exporter.web.app import Views, create_app
from swarm_exporter.web.server import Server, listen

log = logging.getLogger(__name__)

_NEEDS_RESTART = (
    "listen_host",
    "listen_port",
    "state_dir",
    "log_level",
    "log_format",
    "reload_endpoint",
)


class Service:
    """One exporter: started, reloaded, stopped."""

    def __init__(self, load: Callable[[], Config], clock: Clock | None = None) -> None:
        """Load the configuration by `load`; it is called again for each reload.

        Raises ConfigError, and SwarmExporterError where address or state cannot be had.
        """
        self._load = load
        self._clock = clock or SystemClock()
        self._config = load()
        self._listener = listen(self._config.listen_host, self._config.listen_port)
        self._state = StateFile(self._config.state_dir / "state.json")
        self._state.lock()
        self._reloading = asyncio.Lock()

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def url(self) -> str:
        """The address under which the exporter is found on this machine."""
        host, port = self._listener.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        self._say_start()
        tracker = Tracker(self._config, self._clock, self._state)
        async with new_client() as client:
            poller = Poller(new_sources(), client, tracker, self._clock)
            await poller.configure(self._config)
            views = Views(
                snapshot=tracker.snapshot,
                clock=self._clock,
                refresh_seconds=lambda: min(max(self._config.interval, 1.0), 15.0),
                reload=(lambda: self.reload(poller, tracker))
                if self._config.reload_endpoint
                else None,
            )
            server = Server(create_app(views))
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            with self._reload_on_hangup(poller, tracker):
                await asyncio.wait(
                    [serving, stopping := asyncio.create_task(stop.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            stopping.cancel()
            server.should_exit = True
            await serving
            await poller.close()
            await tracker.close()

    async def run_until_signal(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await self.run(stop)

    async def reload(self, poller: Poller, tracker: Tracker) -> None:
        """Load the configuration anew; a bad one changes nothing and raises ConfigError."""
        async with self._reloading:
            await self._reload(poller, tracker)

    async def _reload(self, poller: Poller, tracker: Tracker) -> None:
        try:
            config = self._load()
        except ConfigError as error:
            tracker.reject_config(str(error))
            log.error("the configuration was refused, the one before stays in force: %s", error)
            raise
        for key in _NEEDS_RESTART:
            if getattr(config, key) != getattr(self._config, key):
                log.warning("a change of %s takes effect at the next start", key)
        self._config = config
        await poller.configure(config)
        log.info("the configuration is in force: %d nodes", len(config.nodes))

    @contextlib.contextmanager
    def _reload_on_hangup(self, poller: Poller, tracker: Tracker) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()

        async def reload() -> None:
            with contextlib.suppress(ConfigError):
                await self.reload(poller, tracker)

        def begin() -> None:
            task = asyncio.create_task(reload())
            running.add(task)
            task.add_done_callback(running.discard)

        loop.add_signal_handler(signal.SIGHUP, begin)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def _say_start(self) -> None:
        for warning in self._config.warnings:
            log.warning("%s", warning)
        host = self._listener.getsockname()[0]
        if not ipaddress.ip_address(host).is_loopback:
            log.warning(
                "listening on %s: anybody who reaches this machine can read the metrics; "
                "put a firewall or a proxy with authentication before it",
                host,
            )
        for names, chosen in _alike(self._config):
            log.info("%s: %s", names, chosen)
        log.info(
            "%d nodes; status page %s, metrics %s/metrics",
            len(self._config.nodes),
            self.url,
            self.url,
        )


def _alike(config: Config) -> Iterator[tuple[str, str]]:
    """Yield, for nodes that are read alike, their names, and how they are read and why."""
    for choices, names in config.read_alike().items():
        on = "; ".join(f"{choice.source} ({choice.why})" for choice in choices if choice.on)
        off = "; ".join(f"{choice.source} ({choice.why})" for choice in choices if not choice.on)
        if choices:
            said = f"read through {on or 'nothing'}" + (f"; not through {off}" if off else "")
            yield f"node{'s' * (len(names) > 1)} {', '.join(names)}", said
