"""The options that commands share, as click hands them over and as the configuration takes them.

Values go on as text: the configuration reads them, so that a flag, a variable and a file's key
are checked by the same rule and their errors name the same fix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeVar

import click

from swarm_exporter.config.settings import Flags
from swarm_exporter.host import COLLECTORS

F = TypeVar("F", bound=Callable[..., Any])

_NODES = (
    click.option("--instances", metavar="N", help="Number of nodes, named 1 to N."),
    click.option(
        "--config", metavar="FILE", type=click.Path(), help="YAML file; see docs/configuration.md."
    ),
    click.option("--api-port", metavar="P", help="The first node's API port; the next have +1."),
    click.option("--api-url", metavar="TEMPLATE", help="API address; {i}, {port} are filled in."),
    click.option("--folder", metavar="TEMPLATE", help="Node folder; {i}, {name} are filled in."),
    click.option("--peer-id", metavar="ID", multiple=True, help="A node's peer id, in node order."),
    click.option("--nickname", metavar="NAME", multiple=True, help="A node's nickname, likewise."),
)
_SETUP = (
    click.option("--instances", metavar="N", help="Number of nodes, named 1 to N."),
    click.option(
        "--config", metavar="FILE", type=click.Path(), help="YAML file; see docs/configuration.md."
    ),
    click.option("--folder", metavar="TEMPLATE", help="Node folder; {i}, {name} are filled in."),
    click.option(
        "--profile", metavar="NAME", help="hivemind, genrl, codezero, or a file of yours."
    ),
)
_SERVICE = (
    click.option("--listen", metavar="HOST:PORT", help="Address to listen on (127.0.0.1:10331)."),
    click.option("--interval", metavar="TIME", help="Time between polls, as 500ms, 15s (15s)."),
    click.option("--timeout", metavar="TIME", help="Time after which a poll has failed (10s)."),
    click.option(
        "--stall-after", metavar="TIME", help="Without earning a node is stalled (4h30m)."
    ),
    click.option("--body-limit", metavar="SIZE", help="Largest answer that is read (64MiB)."),
    click.option("--top-peers", metavar="K", help="How many first peers to export (10)."),
    click.option(
        "--state-dir", metavar="DIR", type=click.Path(), help="Where what was earned is kept."
    ),
    click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error (info)."),
    click.option("--log-format", metavar="FORM", help="text or json (text)."),
    click.option(
        "--reload-endpoint/--no-reload-endpoint", default=None, help="Answer POST /-/reload (no)."
    ),
    click.option(
        "--sources",
        metavar="NAMES",
        help="auto, or only these, as chain,training_log; `swarm-exporter check` tells (auto).",
    ),
    click.option(
        "--collectors",
        metavar="NAMES",
        help="Only these readers of the machine, as cpu,memory, or none; one by one with "
        "--collector.NAME "
        "and --no-collector.NAME. `swarm-exporter check` lists them.",
    ),
    *(
        click.option(
            f"--collector.{name}/--no-collector.{name}",
            f"collector_{name}",
            default=None,
            hidden=True,
        )
        for name in COLLECTORS
    ),
)


def node_options(command: F) -> F:
    """Add the options that say which nodes there are."""
    return _add(command, _NODES)


def setup_options(command: F) -> F:
    """Add the options that say which nodes have folders, and of which generation they are."""
    return _add(command, _SETUP)


def serve_options(command: F) -> F:
    """Add all options of a running exporter."""
    return _add(command, (*_NODES, *_SERVICE))


def flags_from(options: Mapping[str, Any]) -> Flags:
    """Return what click has parsed as the configuration's own type."""
    switches = {True: "true", False: "false"}
    given: dict[str, Any] = {
        name: switches[value] if isinstance(value, bool) else value
        for name, value in options.items()
        if name in Flags.__struct_fields__
    }
    switched = ((name, options.get(f"collector_{name}")) for name in COLLECTORS)
    collector = tuple((name, on) for name, on in switched if on is not None)
    return Flags(**given, collector=collector)


def _add(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
