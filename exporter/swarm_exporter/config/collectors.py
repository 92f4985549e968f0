"""Which collectors read this machine: `collectors:` of a file, --collectors, --collector.NAME."""

from __future__ import annotations

from collections.abc import Mapping

from swarm_exporter.config.values import known_name
from swarm_exporter.host import COLLECTORS


def collector_names(value: object) -> tuple[str, ...]:
    """Read `cpu,memory`, a list or `none`: only these. Raises ValueError that names the fix."""
    parts = value if isinstance(value, list) else str(value).split(",")
    names = tuple(str(part).strip() for part in parts if str(part).strip())
    if names == ("none",):
        return ()
    for name in names:
        known_collector(name)
    return names


def collector_switches(value: Mapping[str, bool]) -> dict[str, bool]:
    """Read names of collectors and whether each reads. Raises ValueError that names the fix."""
    for name in value:
        known_collector(name)
    return dict(value)


def known_collector(name: str) -> str:
    """Return the name of a collector. Raises ValueError where there is none of that name."""
    return known_name(name, COLLECTORS, "collector")
