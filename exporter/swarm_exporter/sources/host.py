"""Collectors as sources: a thread of its own for each, and no second read while one hangs."""

from __future__ import annotations

from swarm_exporter.config import Config
from swarm_exporter.host.collector import Collector, Look
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.worker import Worker


class HostSource(Source):
    """One collector."""

    def __init__(self, collector: Collector, trees: NodeTrees) -> None:
        """Ask `collector`, which is told of the processes that `trees` finds."""
        self.name = collector.name
        self._collector = collector
        self._trees = trees
        self._worker = Worker()

    def targets(self, config: Config) -> list[Target]:
        """Return one target of no node, where it is switched on and this machine has it."""
        collector = self._collector
        if not config.collects(collector.name, collector.on_by_default):
            return []
        if not collector.is_present():
            return []
        interval = max(config.interval, collector.shortest_interval)
        return [Target(collector.name, "machine", (), interval)]

    async def poll(self, target: Target, context: Context) -> Facts:  # noqa: ARG002 - one target
        """Read beside the event loop."""
        config = context.config
        look = Look(
            config=config,
            now=context.clock.time(),
            monotonic=context.clock.monotonic(),
            members=lambda: self._trees.members(config),
        )
        return await self._worker.run(
            lambda: self._read(look), config.timeout, "the reading has not ended yet"
        )

    def close(self) -> None:
        """End what the collector has started."""
        self._collector.close()

    def _read(self, look: Look) -> Facts:
        found = self._collector.read(look)
        return Facts(found.facts, found.defects, found.summary)
