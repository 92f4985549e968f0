"""Identities that two nodes share by mistake: a copied swarm.pem."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.identity import LARGEST_KEY_BYTES, IdentityError, peer_id_from_key
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.private_files import cause, read_bounded


def identity_name(content: bytes) -> str:
    """Return the peer id of a key, or its digest where it is no key that we can read."""
    try:
        return peer_id_from_key(content)
    except IdentityError:
        return f"key with digest {hashlib.sha256(content).hexdigest()[:16]}"


def read_identity(node: LaunchNode) -> bytes | None:
    """Return the content of a node's identity, None where it has none. Raises SwarmExporterError.

    Its bytes are a private key: they must not appear anywhere.
    """
    if node.identity is None:
        return None
    try:
        return read_bounded(node.identity, LARGEST_KEY_BYTES)
    except OSError as error:
        raise SwarmExporterError(
            f"node {node.name}: {node.identity} cannot be read ({cause(error)}); correct it"
        ) from None


def refuse_twins(nodes: Iterable[LaunchNode], coming: Mapping[str, bytes] | None = None) -> None:
    """Raise SwarmExporterError where two nodes have one identity.

    `coming` has, by a node's name, the identity that it is about to get.
    """
    owners: dict[str, tuple[str, Path | None]] = {}
    for node in nodes:
        content = (coming or {}).get(node.name) or read_identity(node)
        if not content:
            continue
        name = identity_name(content)
        if name in owners:
            other, path = owners[name]
            raise SwarmExporterError(
                f"nodes {other} and {node.name} have the same identity {name} in {path} and "
                f"{node.identity}: two nodes cannot be one peer; move the copy away, and its node "
                "makes an identity of its own"
            )
        owners[name] = (node.name, node.identity)
