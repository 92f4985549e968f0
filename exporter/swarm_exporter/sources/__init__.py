"""Sources: the places facts come from, one file each. They know nothing of Prometheus."""

from __future__ import annotations

from pathlib import Path

from swarm_exporter.config import Config
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.config.logs import TrainingLog
from swarm_exporter.host import collectors
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.model import Node
from swarm_exporter.sources.base import Source
from swarm_exporter.sources.chain import ChainSource
from swarm_exporter.sources.host import HostSource
from swarm_exporter.sources.hosted import HostedDashboard
from swarm_exporter.sources.identity import NodeIdentity
from swarm_exporter.sources.launcher import LaunchedNodes
from swarm_exporter.sources.leaderboard import Leaderboard
from swarm_exporter.sources.login import LoginState
from swarm_exporter.sources.training_log import TrainingLogs
from swarm_exporter.sources.wandb_runs import TrackingRuns


def new_sources(*, remember: bool = True) -> tuple[Source, ...]:
    """Return every source, in the order of the first polls: the boards need the identities.

    Without `remember` they write nothing: for a single look.
    """
    trees = NodeTrees()
    machine = (HostSource(collector, trees) for collector in collectors(trees))
    return (
        NodeIdentity(),
        Leaderboard(),
        HostedDashboard(_hosted),
        ChainSource(lambda config, node: config.chain.of(node.name)),
        TrainingLogs(_log, remember=remember),
        TrackingRuns(lambda config, node: _folder(config, node, "wandb")),
        LoginState(lambda config, node: _folder(config, node, "login")),
        LaunchedNodes(trees),
        *machine,
    )


def _hosted(config: Config, node: Node) -> Hosted | None:
    return config.hosted if config.reads(node.name, "hosted") else None


def _log(config: Config, node: Node) -> TrainingLog | None:
    return config.logs.get(node.name) if config.reads(node.name, "training_log") else None


def _folder(config: Config, node: Node, source: str) -> Path | None:
    return node.folder if config.reads(node.name, source) else None
