"""Sources: the places facts come from, one file each. They know nothing of Prometheus."""

from __future__ import annotations

from swarm_exporter.sources.base import Source
from swarm_exporter.sources.identity import NodeIdentity
from swarm_exporter.sources.launcher import LaunchedNodes
from swarm_exporter.sources.leaderboard import Leaderboard

#: Every source of the program, in the order of the first polls: the boards need the identities.
SOURCES: tuple[Source, ...] = (NodeIdentity(), Leaderboard(), LaunchedNodes())
