"""`swarm-exporter stack`: Prometheus, Alertmanager and Grafana beside the exporter."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from swarm_exporter import __version__
from swarm_exporter.cli.launcher_options import launcher_options
from swarm_exporter.cli.options import flags_from, serve_options
from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.errors import FlagError, SwarmExporterError

if TYPE_CHECKING:
    from swarm_exporter.stack.server import Settings
    from swarm_exporter.stack.stack import Exporter, ServerState, Stack, Up

EPILOG = """\b
Examples:
  swarm-exporter stack up --instances 3
  swarm-exporter stack up --config swarm.yml --lang zh
  swarm-exporter stack up --port prometheus=9190 --without grafana
  swarm-exporter stack status
  swarm-exporter stack down
"""
_RETENTION = re.compile(r"[1-9]\d{0,4}(h|d|w|y)")
_STYLES = {"ready": "green", "elsewhere": "green", "starting": "cyan", "failed": "red"}
_MIB = 2**20
_LOOK_SECONDS = 2.0


@click.group(epilog=EPILOG)
def command() -> None:
    """Run Prometheus, Alertmanager and Grafana beside the exporter, without Docker.

    It runs the programs that are installed (Homebrew, Debian), keeps them running, and lets them
    listen on loopback alone. Configuration, data and logs are in one folder, `stack` below the
    state folder; files that you change there are kept.
    """


@command.command(
    epilog="""\b
Examples:
  swarm-exporter stack up --instances 3
  swarm-exporter stack up --config swarm.yml --lang zh
  swarm-exporter stack up --foreground          under systemd or launchd
"""
)
@serve_options
@click.option(
    "--port", "ports", metavar="NAME=PORT", multiple=True, help="A port, as prometheus=9190."
)
@click.option(
    "--without", metavar="NAME", multiple=True, help="Leave alertmanager or grafana out, for good."
)
@click.option("--with", "taken_back", metavar="NAME", multiple=True, help="Take it back in.")
@click.option("--retention", metavar="TIME", help="How long Prometheus keeps everything (90d).")
@click.option("--lang", type=click.Choice(("en", "zh")), help="Language of the boards.")
@click.option("--foreground", is_flag=True, help="Stay here; Ctrl-C or SIGTERM stops everything.")
@click.pass_context
def up(
    ctx: click.Context,
    /,
    ports: tuple[str, ...],
    without: tuple[str, ...],
    taken_back: tuple[str, ...],
    retention: str | None,
    lang: str | None,
    foreground: bool,
    **options: Any,  # noqa: ANN401 - click passes the options by name
) -> None:
    """Start what is installed, and say how to install the rest.

    The exporter is started with the options of `serve` that are given, or, where none are, as the
    last time; one that runs already is left alone and scraped. Run it again after an upgrade or a
    change: only what has changed is restarted.
    """
    from swarm_exporter.stack.stack import SERVERS, Stack

    given = _as_flags(ctx, {**options, "state_dir": None})
    config = load_config(flags_from(options), os.environ, Path.cwd())
    stack = Stack(config.state_dir)
    last = stack.last()
    names = [server.name for server in SERVERS]
    for name, flag in (*((n, "--without") for n in without), *((n, "--with") for n in taken_back)):
        _known(name, names, flag)
    before = last.settings.without if last is not None else ()
    left_out = tuple(n for n in names if n in without or (n in before and n not in taken_back))
    programs = stack.found([name for name in names if name not in left_out])
    exporter = _exporter(stack, last, given, config)
    settings = _settings(last, exporter, config, tuple(programs), ports, retention, lang)
    settings = msgspec.structs.replace(settings, without=left_out)
    stopped = _stop_signals() if foreground else None
    try:
        stack.up(
            settings,
            exporter,
            programs,
            _say_ready,
            kept=lambda name: click.secho(
                f"kept: {stack.files.root / name} is as you changed it", fg="yellow"
            ),
            stopped=stopped,
        )
        _say_rest(stack, programs, foreground=foreground)
        if stopped is not None:
            _stay(stack, stopped)
    finally:
        if foreground:
            stack.down()


def _say_rest(stack: Stack, programs: Mapping[str, Path], *, foreground: bool) -> None:
    from swarm_exporter.stack.grafana import PASSWORD

    for problem in stack.missing(programs):
        click.secho(problem, fg="yellow")
    if "grafana" in programs:
        click.echo(f"Grafana's admin password is in {stack.files.root / PASSWORD}")
    click.echo(f"Configuration, data and logs: {stack.files.root}")
    if foreground:
        click.echo("Ctrl-C stops all of it.")
    else:
        click.echo("Stop it with: swarm-exporter stack down")


def _exporter(stack: Stack, last: Up | None, given: tuple[str, ...], config: Config) -> Exporter:
    """Return the exporter to run: with the options given, else with those of the last time.

    One that runs already, and is not the stack's, is left alone and scraped.
    """
    from swarm_exporter.launcher.control import exporter_url
    from swarm_exporter.stack.stack import EXPORTER, Exporter, answering_exporter

    state_dir = ("--state-dir", str(config.state_dir.absolute()))
    own = Exporter(url=exporter_url(config), options=(*given, *state_dir), cwd=str(Path.cwd()))
    if not given and last is not None:
        before = last.exporter
        options = before.options if before.options is not None else before.options_before
        if options is not None:
            own = msgspec.structs.replace(before, options=options, options_before=None)
    running = stack.running().get(EXPORTER)
    if running is None and not stack.leftovers() and answering_exporter(own.url):
        return msgspec.structs.replace(own, options=None, options_before=own.options)
    return msgspec.structs.replace(own, stamp=_stamp(own))


def _stamp(exporter: Exporter) -> str:
    """Return what tells a changed exporter: its version, and its configuration file."""
    import hashlib

    options = exporter.options or ()
    named = [b for a, b in itertools.pairwise(options) if a == "--config"]
    named = named or [os.environ.get("SWARM_CONFIG", "")]
    content = b""
    with contextlib.suppress(OSError):
        content = (Path(exporter.cwd) / named[-1]).read_bytes() if named[-1] else b""
    return hashlib.sha256(f"{__version__}\0".encode() + content).hexdigest()


@command.command()
@launcher_options
def down(config: str | None, state_dir: str | None) -> None:
    """Stop all of it; what Prometheus and Grafana have stored stays."""
    stack = _stack(config, state_dir)
    stopped = stack.down()
    click.echo(f"stopped: {', '.join(stopped)}" if stopped else "Nothing to do: it does not run.")


@command.command()
@launcher_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(config: str | None, state_dir: str | None, as_json: bool) -> None:
    """Say what runs, where, since when and in how much memory.

    Exit code 1 where something that was started is not ready.
    """
    stack = _stack(config, state_dir)
    states = stack.state()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(states)))
    else:
        _print(states)
        click.echo(f"Configuration, data and logs: {stack.files.root}")
    was_started = stack.last() is not None
    fine = ("ready", "elsewhere", "missing", "left out")
    down_ = [s for s in states if s.state not in fine]
    sys.exit(1 if was_started and down_ else 0)


def _stack(config: str | None, state_dir: str | None) -> Stack:
    from swarm_exporter.stack.stack import Stack

    flags = Flags(config=config, state_dir=state_dir)
    return Stack(load_config(flags, os.environ, Path.cwd()).state_dir)


def _settings(
    last: Up | None,
    exporter: Exporter,
    config: Config,
    servers: tuple[str, ...],
    ports: Sequence[str],
    retention: str | None,
    lang: str | None,
) -> Settings:
    """Return what is given, else what was given last, else the defaults."""
    from swarm_exporter.stack.server import Settings
    from swarm_exporter.stack.stack import SERVERS

    before = last.settings if last is not None else None
    chosen = {server.name: server.default_port for server in SERVERS}
    chosen |= before.ports if before is not None else {}
    for given in ports:
        name, _, port = given.partition("=")
        _known(name, list(chosen), "--port")
        if not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise FlagError(f"--port: {given} names no port; write it as {name}=9190")
        chosen[name] = int(port)
    if retention is not None and _RETENTION.fullmatch(retention) is None:
        raise FlagError(f'--retention: "{retention}" is no such time; write it as 90d or 1y')
    return Settings(
        ports=chosen,
        servers=servers,
        exporter_url=exporter.url,
        # As often as the exporter looks, which may be as it was told the last time.
        interval=last.settings.interval
        if last is not None and exporter.options == last.exporter.options is not None
        else config.interval,
        retention=retention or (before.retention if before is not None else "90d"),
        lang=lang or (before.lang if before is not None else "en"),
    )


def _known(name: str, names: Sequence[str], flag: str) -> None:
    if name not in names:
        raise FlagError(f'{flag}: there is no "{name}" in the stack; there are {", ".join(names)}')


def _as_flags(ctx: click.Context, options: dict[str, Any]) -> tuple[str, ...]:
    """Return the options of `serve` as they were given, to hand them on."""
    flags: list[str] = []
    for parameter in ctx.command.params:
        value = options.get(parameter.name or "")
        if value is None or value == ():
            continue
        if isinstance(value, bool):
            flags.append(parameter.opts[0] if value else parameter.secondary_opts[0])
            continue
        for each in value if isinstance(value, tuple) else (value,):
            flags += (parameter.opts[0], str(each))
    return tuple(flags)


def _say_ready(name: str, url: str) -> None:
    click.echo(f"{click.style('ready', fg='green')}  {name:<13} {url}")


def _stop_signals() -> threading.Event:
    """Return what SIGINT, SIGTERM and SIGHUP set from now on, also while something starts."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _stay(stack: Stack, stopped: threading.Event) -> None:
    """Wait to be stopped. Raises SwarmExporterError where what it watches has ended."""
    while not stopped.wait(_LOOK_SECONDS):
        if not stack.running():
            raise SwarmExporterError(f"the stack has ended; see {stack.files.supervisor_log}")


def _print(states: Sequence[ServerState]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from swarm_exporter.durations import format_duration

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Server", "State", "For", "Memory", "Version", "Address"):
        table.add_column(title, no_wrap=True, justify="right" if title == "Memory" else "left")
    now = time.time()
    for each in states:
        lasted = format_duration(max(now - each.since, 1.0)) if each.since is not None else ""
        memory = f"{each.memory_bytes / _MIB:.0f} MiB" if each.memory_bytes is not None else ""
        table.add_row(
            each.name,
            Text(each.state, style=_STYLES.get(each.state, "yellow")),
            lasted,
            memory,
            each.version,
            each.url,
        )
    console = Console(highlight=False)
    console.print(table)
    for each in states:
        if each.action:
            console.print(Text(f"{each.name}: {each.action}"), soft_wrap=True)
