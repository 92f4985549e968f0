"""`swarm-exporter status`: the table of nodes, from a running exporter or directly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import httpx
import msgspec
from rich.console import Console
from rich.live import Live

from swarm_exporter.addresses import redact_url
from swarm_exporter.cli.options import flags_from, node_options
from swarm_exporter.cli.table import status_table
from swarm_exporter.config import Flags
from swarm_exporter.durations import parse_duration
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.logs import configure_logging
from swarm_exporter.oneshot import read_status
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.http import LOOPBACK_IS_DIRECT
from swarm_exporter.status import StatusDocument

EPILOG = """\b
Examples:
  swarm-exporter status
  swarm-exporter status --watch
  swarm-exporter status --json | jq '.nodes[] | {node, rank, earned}'
  swarm-exporter status --instances 3 --api-port 8000     without a running exporter
"""
_TIMEOUT_SECONDS = 5.0


@click.command(epilog=EPILOG)
@click.option("--url", metavar="URL", help="The exporter's address (http://127.0.0.1:10331).")
@click.option("--watch", is_flag=True, help="Show it again and again until Ctrl-C.")
@click.option("--every", metavar="TIME", help="With --watch: how often (as the exporter polls).")
@click.option("--json", "as_json", is_flag=True, help="Print the status document, one a line.")
@node_options
def command(
    url: str | None,
    watch: bool,
    every: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Show what each node earns and where it ranks.

    Asks a running exporter. Where none runs, or where nodes are named by options, the nodes' swarm
    APIs are asked once; what was earned over time is then not known.
    """
    # What fails stands in the table, with what to do.
    configure_logging("error", "text")
    flags = flags_from(options)
    if url is not None and flags != Flags():
        raise click.UsageError("--url asks an exporter, the other options ask nodes; give one")
    pause = _pause(every)
    look = _looker(url, flags)
    with contextlib.suppress(KeyboardInterrupt):
        if as_json:
            _print_json(look, pause, watch=watch)
        else:
            _print_table(look, pause, watch=watch)


def _looker(url: str | None, flags: Flags) -> Callable[[], StatusDocument]:
    """Return how the status is found: the exporter's word, or a look of our own."""

    def look_directly() -> StatusDocument:
        return asyncio.run(read_status(flags))

    if url is None and flags != Flags():
        return look_directly
    given = url or os.environ.get("SWARM_STATUS_URL")
    address = (given or _default_url()).rstrip("/")

    def look() -> StatusDocument:
        with contextlib.suppress(httpx.ConnectError):
            return _ask(address)
        nobody = f"no exporter answers at {redact_url(address)}"
        start = "start one with `swarm-exporter --instances N`"
        if given is not None:
            raise SwarmExporterError(f"{nobody}; {start}, or correct --url (SWARM_STATUS_URL)")
        status = look_directly()
        if _nothing_listens(status):
            raise SwarmExporterError(
                f"{nobody}, and nothing at the nodes' own addresses; {start}, or name the swarm "
                "API's address with --api-port or --api-url"
            )
        return status

    return look


def _nothing_listens(status: StatusDocument) -> bool:
    """Tell whether every node's address refuses: then a table has nothing to show."""
    refused = Reason.REFUSED.value
    return all(any(source.reason == refused for source in node.sources) for node in status.nodes)


def _default_url() -> str:
    listen = os.environ.get("SWARM_LISTEN") or "127.0.0.1:10331"
    return "http://" + listen.replace("0.0.0.0:", "127.0.0.1:")


def _ask(address: str) -> StatusDocument:
    shown = redact_url(address)
    try:
        with httpx.Client(mounts=LOOPBACK_IS_DIRECT, timeout=_TIMEOUT_SECONDS) as client:
            answer = client.get(f"{address}/api/status")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=StatusDocument)
    except httpx.ConnectError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SwarmExporterError(
            f"{shown} does not answer as an exporter does ({type(error).__name__}); correct --url"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SwarmExporterError(
            f"{shown} is no swarm-exporter, or one of another version; correct --url"
        ) from None


def _pause(every: str | None) -> float | None:
    try:
        return parse_duration(every) if every is not None else None
    except ValueError as problem:
        raise click.UsageError(f"--every: {problem}") from None


def _print_json(look: Callable[[], StatusDocument], pause: float | None, *, watch: bool) -> None:
    status, problem = look(), ""
    while True:
        if problem:
            click.echo(problem, err=True)
        else:
            click.echo(msgspec.json.encode(status))
        if not watch:
            return
        time.sleep(pause or status.refresh_seconds)
        status, problem = _look_again(look, status)


def _print_table(look: Callable[[], StatusDocument], pause: float | None, *, watch: bool) -> None:
    console = Console()
    status, problem = look(), ""
    # In place on a terminal; one table after the other where the output goes elsewhere.
    with (
        Live(console=console, auto_refresh=False, screen=True)
        if watch and console.is_terminal
        else contextlib.nullcontext() as live
    ):
        while True:
            table = status_table(status, console, problem)
            if live is not None:
                live.update(table, refresh=True)
            else:
                console.print(table)
            if not watch:
                return
            sys.stdout.flush()
            time.sleep(pause or status.refresh_seconds)
            status, problem = _look_again(look, status)


def _look_again(
    look: Callable[[], StatusDocument], before: StatusDocument
) -> tuple[StatusDocument, str]:
    """Look, and where that fails stay with what was seen before: a watch outlives a restart."""
    try:
        return look(), ""
    except SwarmExporterError as error:
        return before, str(error)
