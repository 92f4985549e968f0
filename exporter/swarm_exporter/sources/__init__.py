"""Sources: the places facts come from, one file each. They know nothing of Prometheus."""

from __future__ import annotations

from swarm_exporter.host import collectors
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.sources.base import Source
from swarm_exporter.sources.host import HostSource
from swarm_exporter.sources.identity import NodeIdentity
from swarm_exporter.sources.launcher import LaunchedNodes
from swarm_exporter.sources.leaderboard import Leaderboard


def new_sources() -> tuple[Source, ...]:
    """Return every source, in the order of the first polls: the boards need the identities."""
    trees = NodeTrees()
    machine = (HostSource(collector, trees) for collector in collectors(trees))
    return (NodeIdentity(), Leaderboard(), LaunchedNodes(trees), *machine)
