"""`swarm-exporter digest`: what the nodes earned in a day, printed or sent."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click
import msgspec

from swarm_exporter.digest_text import LANGUAGES
from swarm_exporter.errors import FlagError, SwarmExporterError

EPILOG = """\b
Examples:
  swarm-exporter digest                                   the last 24 hours, printed
  swarm-exporter digest --period 7d --lang zh
  swarm-exporter digest --alertmanager http://127.0.0.1:9093   to your receivers
  swarm-exporter digest --webhook-file ~/.secrets/hook    to the webhook in that file
  0 9 * * *  swarm-exporter digest --alertmanager http://127.0.0.1:9093     (crontab)
"""
_PERIOD = re.compile(r"[1-9]\d{0,3}[hdw]")
_LARGEST_FILE = 4096


@click.command(epilog=EPILOG)
@click.option(
    "--prometheus",
    metavar="URL",
    envvar="SWARM_PROMETHEUS_URL",
    default="http://127.0.0.1:9090",
    show_default=True,
    help="The Prometheus that scrapes the exporter.",
)
@click.option("--period", metavar="TIME", default="24h", show_default=True, help="24h, 7d, 1w.")
@click.option(
    "--alertmanager", metavar="URL", help="Send it through this Alertmanager's receivers."
)
@click.option(
    "--webhook-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Post it to the address in FILE, as Alertmanager's webhook receiver does.",
)
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", help="Language of the text.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    prometheus: str,
    period: str,
    alertmanager: str | None,
    webhook_file: Path | None,
    lang: str,
    as_json: bool,
) -> None:
    """Say what the nodes earned, ran and restarted, and which one to look at.

    The figures are Prometheus', so it has to run for the period. Sent through Alertmanager it is
    an alert named SwarmDigest of severity info: give it a route of its own.
    """
    import httpx

    from swarm_exporter.digest import read_digest
    from swarm_exporter.digest_send import send_to_alertmanager, send_to_webhook
    from swarm_exporter.digest_text import body, headline

    if _PERIOD.fullmatch(period) is None:
        raise FlagError(f'--period: "{period}" is no period; write it as 24h, 7d or 1w')
    webhook = _webhook(webhook_file) if webhook_file is not None else None
    now = time.time()
    with httpx.Client(trust_env=False) as client:
        digest = read_digest(client, prometheus, period, now)
        summary, description = headline(digest, lang), body(digest, lang)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(digest)))
        else:
            click.echo(f"{summary}\n{description}")
        if alertmanager is not None:
            send_to_alertmanager(client, alertmanager, summary, description, now)
        if webhook is not None:
            send_to_webhook(client, webhook, summary, description, now)


def _webhook(file: Path) -> str:
    """Return the address in a file; it may hold a token, so it is no option."""
    try:
        with file.expanduser().open("rb") as content:
            url = content.read(_LARGEST_FILE).decode().strip()
    except (OSError, UnicodeDecodeError):
        raise SwarmExporterError(
            f"--webhook-file: {file} cannot be read; write the webhook's address into it"
        ) from None
    if not url.startswith(("http://", "https://")):
        raise SwarmExporterError(
            f"--webhook-file: {file} holds no address; write one that begins with https://"
        )
    return url
