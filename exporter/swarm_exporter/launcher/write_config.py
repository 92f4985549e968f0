"""A configuration file for nodes that were set up, with comments for the person who edits it."""

from __future__ import annotations

from collections.abc import Sequence

from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.profile import BUILT_IN
from swarm_exporter.launcher.yaml_edit import scalar_text

_HEAD = """\
# Nodes of swarm-exporter, written by `swarm-exporter init`; every key is explained in
# docs/configuration.md. Check it with `swarm-exporter check --config FILE`.
"""


def config_text(nodes: Sequence[LaunchNode], profiles: Sequence[str]) -> str:
    """Return a configuration that names these nodes.

    `profiles` has each node's profile: a built-in name, or the absolute path of a file.
    """
    lines = [_HEAD, "nodes:"]
    common = profiles[0] if len(set(profiles)) == 1 else None
    first = nodes[0].ports.get("login")
    for index, (node, profile) in enumerate(zip(nodes, profiles, strict=True)):
        lines.append(f"  - name: {scalar_text(node.name)}")
        lines.append(f"    folder: {scalar_text(str(node.folder))}")
        if node.identity is not None and node.identity != node.folder / node.profile.identity:
            lines.append(f"    identity_file: {scalar_text(str(node.identity))}")
        launch = []
        if common is None:
            launch.append(f"      profile: {scalar_text(profile)}")
        login = node.ports.get("login")
        if login is not None and (first is None or login != first + index):
            launch += ["      ports:", f"        login: {login}"]
        if launch:
            lines += ["    launch:", *launch]
    launcher = []
    if common is not None:
        title = f"  # {nodes[0].profile.title}" if common in BUILT_IN else ""
        launcher.append(f"  profile: {scalar_text(common)}{title}")
    if first is not None:
        launcher += [
            "  ports:",
            "    # The first node's login app; each further node has the next port.",
            f"    login: {first}",
        ]
    if launcher:
        lines += ["", "launcher:", *launcher]
    return "\n".join(lines) + "\n"
