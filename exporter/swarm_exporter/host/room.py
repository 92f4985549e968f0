"""Collector `room`: how many nodes fit on this machine by the plan, and how many more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from swarm_exporter.config import Config
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.launcher.plan import Plan
from swarm_exporter.launcher.plan_of import plan_of
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


class Room(HostFacts, frozen=True, kw_only=True):
    """What the plan says of this machine."""

    #: Nodes that fit on it, those that run among them.
    fit: int
    #: How many more than run now; below zero where too many run.
    more: int
    #: Bytes that one node takes: measured, or the profile's figure.
    node_memory: int


class RoomCollector(Collector):
    """Makes the plan now and then."""

    name = "room"
    about = "how many more nodes fit, by `swarm-exporter plan`"
    # What a node takes and what the machine has do not change from minute to minute.
    shortest_interval = 300.0

    def __init__(self, plan: Callable[[Config], Plan] | None = None) -> None:
        """Plan by `plan`, by default for this machine from the current folder."""
        self._plan = plan or (lambda config: plan_of(config, Path.cwd(), os.environ))

    def read(self, look: Look) -> Found:
        """Make the plan once. Raises SourceError where a node's files cannot be read for it."""
        try:
            plan = self._plan(look.config)
        except SwarmExporterError as error:
            raise SourceError(Reason.UNREADABLE, str(error)) from None
        room = Room(fit=plan.fit, more=plan.fit - len(look.members()), node_memory=plan.node_memory)
        return Found(room, summary=f"{plan.fit} nodes fit")
