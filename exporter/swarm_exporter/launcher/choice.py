"""Which profile a node gets that has no checkout yet."""

from __future__ import annotations

from pathlib import Path

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.config.launcher import Launch
from swarm_exporter.launcher.nodes import DEFAULT_FOLDER, LaunchNode, launch_nodes
from swarm_exporter.launcher.profile import detect_profile
from swarm_exporter.model import Node

#: Upstream's newest generation.
DEFAULT_PROFILE = "codezero"


def nodes_to_set_up(
    config: Config, cwd: Path, flag: str | None, source: str | None = None
) -> tuple[LaunchNode, ...]:
    """Return every node as it will be started, also those without a checkout.

    What decides on the profile: the flag, the configuration, `source` (that of the checkout to
    be cloned), the node's own checkout, another node's checkout, DEFAULT_PROFILE. Raises
    ConfigError.
    """
    own = {
        node.name: detect_profile(folder_of(node, n, cwd)) for n, node in enumerate(config.nodes, 1)
    }
    other = next((name for name in own.values() if name is not None), DEFAULT_PROFILE)
    common = config.launcher.launch
    launches = dict(config.launcher.nodes)
    for node in config.nodes:
        launch = launches.get(node.name, Launch())
        if not (launch.profile or common.profile or launch.command or common.command):
            decided = source or own[node.name] or other
            launches[node.name] = msgspec.structs.replace(launch, profile=decided)
    launcher = msgspec.structs.replace(config.launcher, nodes=launches)
    return launch_nodes(msgspec.structs.replace(config, launcher=launcher), cwd, flag)


def folder_of(node: Node, number: int, cwd: Path) -> Path:
    """Return a node's folder, whether or not it is there."""
    return node.folder or cwd / DEFAULT_FOLDER.format(i=number)
