"""The nodes' folders: a checkout, an identity of its own, login data, logs, private modes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from swarm_exporter.config import Config
from swarm_exporter.config.sources import REWARD_SOURCES
from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.identity import LARGEST_KEY_BYTES
from swarm_exporter.launcher.login import is_whole
from swarm_exporter.launcher.private_files import cause, read_bounded
from swarm_exporter.launcher.profile import Profile, detect_profile, load_profile
from swarm_exporter.launcher.twins import identity_name
from swarm_exporter.model import IdentityOrigin, Node
from swarm_exporter.sources.identity import key_file, read_identity

GROUP = Group("nodes")
_LARGEST_LOGIN = 1024 * 1024


def check_nodes(config: Config) -> list[Check]:
    """Return the checks of every node of a configuration."""
    checks = [check for node in config.nodes for check in (*_node(node), *_sources(config, node))]
    return [*checks, *_twins(config.nodes)]


def _node(node: Node) -> list[Check]:
    subject = f"node {node.name}"
    checks: list[Check] = []
    profile = None
    if node.folder is not None:
        if not node.folder.is_dir():
            return [
                GROUP.failure(
                    subject,
                    f"its folder {node.folder} does not exist",
                    "correct --folder, or make it with `swarm-exporter init`",
                )
            ]
        name = detect_profile(node.folder)
        profile = load_profile(name, Path()) if name is not None else None
        checks.append(_checkout(subject, node.folder, profile))
    checks.append(_identity(subject, node))
    key = key_file(node)
    if key is not None and key.is_file():
        checks.append(GROUP.private(subject, key, f"{key.name} is there"))
    if node.folder is not None and profile is not None:
        checks += _logins(subject, node.folder, profile)
    if node.folder is not None:
        checks.append(_logs(subject, node.folder))
    return checks


def _sources(config: Config, node: Node) -> list[Check]:
    """Return what a node is read through, and what gives it its reward."""
    subject = f"node {node.name}"
    choices = config.choices.get(node.name, ())
    reward = config.reward_source(node.name)
    if not choices or (node.folder is not None and not node.folder.is_dir()):
        return []
    if reward:
        read = ", ".join(choice.source for choice in choices if choice.on)
        return [GROUP.good(subject, f"its reward is from {reward}; it is read through {read}")]
    fixes = [f"{c.fix} ({c.source}: {c.why})" for c in choices if c.source in REWARD_SOURCES]
    return [GROUP.warning(subject, "nothing tells what it earns", "; or ".join(fixes))]


def _checkout(subject: str, folder: Path, profile: Profile | None) -> Check:
    if profile is not None:
        return GROUP.good(subject, f"{profile.title} in {folder}")
    return GROUP.warning(
        subject,
        f"{folder} holds no known generation of RL Swarm",
        "correct --folder, or say what runs there with --profile",
    )


def _identity(subject: str, node: Node) -> Check:
    """Return whether it is known which peer a node is, as the exporter finds it."""
    identity, _ = read_identity(node)
    if not identity.known:
        problem, _, fix = (identity.problem or "nothing tells which peer it is").partition(": ")
        return GROUP.warning(subject, problem, fix)
    peer = identity.peer_id or identity.nickname
    origin = identity.origin.value.replace("_", " ")
    if identity.problem is not None and identity.origin is not IdentityOrigin.CONFIG:
        problem, _, fix = identity.problem.partition(": ")
        return GROUP.warning(subject, f"peer {peer} (from {origin}), but {problem}", fix)
    return GROUP.good(subject, f"peer {peer} (from {origin})")


def _logins(subject: str, folder: Path, profile: Profile) -> list[Check]:
    paths = [folder / name for name in profile.login]
    present = [path for path in paths if path.is_file()]
    if not present:
        what = "no login data; it waits for a person at its next start"
        return [GROUP.absent(subject, what, "log in when the node says so")]
    checks = []
    for path in present:
        try:
            whole = is_whole(read_bounded(path, _LARGEST_LOGIN) or b"")
        except OSError as error:
            what = f"login data {path.name} cannot be read ({cause(error)})"
            checks.append(GROUP.warning(subject, what, "run as the node's user"))
            continue
        if whole:
            checks.append(GROUP.private(subject, path, f"login data {path.name} are whole"))
        else:
            what = f"login data {path.name} are not whole"
            checks.append(GROUP.warning(subject, what, f"remove '{path}' and log in again"))
    return checks


def _logs(subject: str, folder: Path) -> Check:
    logs = folder / "logs"
    if not logs.is_dir():
        return GROUP.absent(subject, "no logs yet; its first start makes them")
    if not os.access(logs, os.R_OK | os.X_OK):
        return GROUP.warning(
            subject, f"{logs} cannot be read", "run the exporter as the node's user"
        )
    return GROUP.good(subject, f"logs in {logs}")


def _twins(nodes: Sequence[Node]) -> list[Check]:
    """Return a failure for each node that has the folder or the identity of another."""
    checks = []
    folders: dict[str, str] = {}
    peers: dict[str, str] = {}
    for node in nodes:
        subject = f"node {node.name}"
        if node.folder is not None and node.folder.is_dir():
            other = folders.setdefault(os.path.realpath(node.folder), node.name)
            if other != node.name:
                what = f"has the folder of node {other}"
                checks.append(GROUP.failure(subject, what, "give each node a folder of its own"))
                continue
        peer = _peer(node)
        other = peers.setdefault(peer, node.name) if peer is not None else node.name
        if other != node.name:
            checks.append(
                GROUP.failure(
                    subject,
                    f"has the same identity {peer} as node {other}: two nodes cannot be one peer",
                    "move the copied swarm.pem away; its node makes one of its own",
                )
            )
    return checks


def _peer(node: Node) -> str | None:
    """Return what tells a node's key, or its configured peer, from others."""
    path = key_file(node)
    try:
        content = read_bounded(path, LARGEST_KEY_BYTES) if path is not None else None
    except OSError:
        content = None
    return identity_name(content) if content else node.peer_id
