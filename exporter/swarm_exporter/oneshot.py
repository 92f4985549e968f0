"""One look at the nodes without a running exporter: ask every source once, keep nothing."""

from __future__ import annotations

import os
from pathlib import Path

from swarm_exporter.clock import SystemClock
from swarm_exporter.config import Flags, load_config
from swarm_exporter.poller import Poller
from swarm_exporter.sources import new_sources
from swarm_exporter.sources.http import new_client
from swarm_exporter.status import StatusDocument, status_document
from swarm_exporter.tracker import Tracker


async def read_status(flags: Flags) -> StatusDocument:
    """Ask every source of the configured nodes once and return what they say.

    Earnings are counted over time, so a single look has none. Raises ConfigError.
    """
    config = load_config(flags, os.environ, Path.cwd())
    clock = SystemClock()
    tracker = Tracker(config, clock, state=None)
    async with new_client() as client:
        poller = Poller(new_sources(remember=False), client, tracker, clock)
        await poller.configure(config)
        await poller.asked_once()
        await poller.close()
    return status_document(tracker.snapshot(), clock.time(), config.interval)
