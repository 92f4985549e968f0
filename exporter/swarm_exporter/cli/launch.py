"""`swarm-exporter launch`: start the nodes one after another, and keep them running."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from swarm_exporter.cli.launcher_options import state_option
from swarm_exporter.cli.options import flags_from, node_options
from swarm_exporter.config import Config, load_config, values
from swarm_exporter.config.setting import Setting
from swarm_exporter.durations import format_duration
from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.launcher.control import Changes, Launcher
from swarm_exporter.launcher.nodes import LaunchNode, launch_nodes
from swarm_exporter.launcher.profile import Profile
from swarm_exporter.launcher.state import (
    SILENT_AFTER_SECONDS,
    LauncherState,
    NodeRecord,
    State,
)

EPILOG = """\b
Examples:
  swarm-exporter launch --instances 3
  swarm-exporter launch --config swarm.yml
  swarm-exporter launch --instances 3 --folder '/data/rl-swarm-{i}' --profile codezero
  swarm-exporter launch --instances 3 --no-wait          do not watch them start
  swarm-exporter launch --config swarm.yml --foreground  under systemd, launchd or docker
"""
_LOOK_SECONDS = 0.2


@click.command(epilog=EPILOG)
@node_options
@click.option("--profile", metavar="NAME", help="Generation of RL Swarm, or a profile's .yml file.")
@click.option("--ramp-interval", metavar="TIME", help="Time between two starts, at least (60s).")
@click.option("--reserve", metavar="SIZE", help="Memory left to the machine (the plan's figure).")
@state_option
@click.option("--after-submit", is_flag=True, help="Restart changed nodes after their next submit.")
@click.option("--foreground", is_flag=True, help="Stay here; Ctrl-C or SIGTERM stops the nodes.")
@click.option("--keep-stopped", is_flag=True, help="Leave nodes alone that were stopped by hand.")
@click.option("--wait/--no-wait", default=True, help="Watch until every node runs (default).")
@click.option("--dry-run", is_flag=True, help="Show what would be started, and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was changed as JSON.")
def command(
    profile: str | None,
    ramp_interval: str | None,
    reserve: str | None,
    foreground: bool,
    wait: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click passes the options by name
) -> None:
    """Start the nodes one after another, and keep them running.

    Each node runs in a session of its own and goes on when this terminal closes. A node that ends
    is started again, later each time; `swarm-exporter stop` ends it for good. What runs already
    and has not changed is left alone. Exit code 1 where a node could not be started.
    """
    config = load_config(flags_from(options), os.environ, Path.cwd())
    config = _with_flags(config, ramp_interval, reserve)
    nodes = launch_nodes(config, Path.cwd(), profile)
    if dry_run:
        _show(nodes)
        return
    launcher = Launcher(config.state_dir)
    changes = start_nodes(
        launcher,
        nodes,
        config,
        after_submit=options["after_submit"],
        keep_stopped=options["keep_stopped"],
    )
    if as_json:
        click.echo(msgspec.json.encode(changes))
        return
    _say_changes(changes, launcher)
    if foreground:
        _stay(launcher)
    elif wait:
        sys.exit(0 if _watch(launcher, [node.name for node in nodes]) else 1)


def _show(nodes: Sequence[LaunchNode]) -> None:
    """Print what would be started. Of variables the names alone: values may be secret."""
    import shlex

    for node in nodes:
        ports = ", ".join(f"{name} {port}" for name, port in node.ports.items())
        click.secho(f"node {node.name}", bold=True)
        click.echo(f"  profile    {node.profile_name}: {node.profile.title}")
        click.echo(f"  folder     {node.folder}{'' if node.folder.is_dir() else ' (missing)'}")
        click.echo(f"  command    {shlex.join(node.command)}")
        click.echo(f"  ports      {ports or 'none'}")
        click.echo(f"  identity   {node.identity or 'none'}")
        click.echo(f"  variables  {', '.join(sorted(node.env)) or 'none'}")
        click.echo(f"  answers    {', '.join(node.answers) or 'none'}")
    click.echo("Dry run: nothing was started. How many fit: `swarm-exporter plan`.")


def start_nodes(
    launcher: Launcher,
    nodes: Sequence[LaunchNode],
    config: Config,
    **how: Any,  # noqa: ANN401
) -> Changes:
    """Launch `nodes` with the plan's settings for this machine. Raises SwarmExporterError."""
    from swarm_exporter.launcher.machine import read_machine
    from swarm_exporter.launcher.measure import measured_memory
    from swarm_exporter.launcher.plan import make_plan, node_env
    from swarm_exporter.launcher.settings import PLANNED_VARIABLES

    first = nodes[0]
    profile = first.profile
    if not config.launcher.tune:
        profile = msgspec.structs.replace(profile, tuning=None)
    folders = [node.folder for node in nodes]
    measured = measured_memory(folders, profile.trainer)
    exported = {name: os.environ[name] for name in PLANNED_VARIABLES if name in os.environ}
    plan = make_plan(
        read_machine(first.folder),
        profile,
        nodes=len(nodes),
        measured=measured,
        reserve=config.launcher.reserve,
        explicit=exported | {name: first.env[name] for name in first.own_env},
        training=None,
        existing=len(folders),
    )
    for warning in (*plan.warnings, *_missing_services(profile)):
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    return launcher.launch(
        nodes,
        config,
        reserve=plan.reserve,
        measured=measured,
        plan_env=lambda node: node_env(plan, node.number),
        **how,
    )


def _missing_services(profile: Profile) -> list[str]:
    """Return a sentence for each service that the nodes share and that does not run."""
    from swarm_exporter.launcher.ports import is_taken

    return [
        f"{name} does not run (port {port}): the first node starts it, and takes it away from the "
        "others when it ends; start it on its own before the nodes"
        for name, port in profile.services.items()
        if not is_taken(port)
    ]


def _with_flags(config: Config, ramp_interval: str | None, reserve: str | None) -> Config:
    given: dict[str, Any] = {}
    flags = (
        ("ramp_interval", ramp_interval, values.duration(shortest=0.0)),
        ("reserve", reserve, values.size_of_anything),
    )
    for name, text, read in flags:
        if text is not None:
            setting = Setting(text, f"--{name.replace('_', '-')}", FlagError, Path())
            given[name] = setting.parse(read)
    launcher = msgspec.structs.replace(config.launcher, **given)
    return msgspec.structs.replace(config, launcher=launcher)


def _say_changes(changes: Changes, launcher: Launcher) -> None:
    if changes.started_supervisor:
        click.echo(f"The supervisor runs; its files are in {launcher.files.root}.")
    for name in changes.changed:
        record = _record(launcher.state(), name)
        click.echo(f"node {name}: its configuration changed; it is restarted{_loss(record)}")
    for name in changes.left_running:
        click.echo(
            f"node {name} is no longer named and still runs; end it with "
            f"`swarm-exporter stop {name}`"
        )


def _loss(record: NodeRecord | None) -> str:
    if record is None or record.unsubmitted_since is None:
        return ""
    lost = format_duration(max(time.time() - record.unsubmitted_since, 1.0))
    return f" and loses {lost} of reward that was not submitted (--after-submit waits for it)"


def _record(state: LauncherState | None, name: str) -> NodeRecord | None:
    return state.nodes.get(name) if state is not None else None


def _watch(launcher: Launcher, names: Sequence[str]) -> bool:
    """Show the nodes until each runs or cannot; return whether all run."""
    from rich.console import Console
    from rich.live import Live

    from swarm_exporter.cli.nodes_table import nodes_table

    console = Console()
    state = launcher.state() or LauncherState()
    said: dict[str, str] = {}
    try:
        with (
            Live(console=console, auto_refresh=False)
            if console.is_terminal
            else contextlib.nullcontext()
        ) as live:
            while not _is_settled(state, names):
                if live is not None:
                    live.update(nodes_table(state, names, time.time()), refresh=True)
                else:
                    _say_news(state, names, said)
                time.sleep(_LOOK_SECONDS)
                state = launcher.state() or state
                _refuse_silence(launcher, state)
            if live is not None:
                live.update(nodes_table(state, names, time.time()), refresh=True)
            else:
                _say_news(state, names, said)
    except KeyboardInterrupt:
        click.echo("The rest goes on in the background; see `swarm-exporter status`.")
        return True
    return _conclude(state, names)


def _is_settled(state: LauncherState, names: Sequence[str]) -> bool:
    def is_settled(record: NodeRecord) -> bool:
        if record.state in (State.RUNNING, State.FATAL) or not record.wanted:
            return True
        return record.state is State.STOPPED and bool(state.ramp_problem)

    return all(name in state.nodes and is_settled(state.nodes[name]) for name in names)


def _say_news(state: LauncherState, names: Sequence[str], said: dict[str, str]) -> None:
    for name in names:
        record = state.nodes.get(name)
        words = "" if record is None else _words(record)
        if words and said.get(name) != words:
            said[name] = words
            click.echo(f"node {name}: {words}")


def _words(record: NodeRecord) -> str:
    if record.waiting_login and "login" in record.ports:
        port = record.ports["login"]
        return (
            f"waits for you to log in at http://localhost:{port} (from another computer: "
            f"ssh -L {port}:localhost:{port} …)"
        )
    if record.state is State.STARTING and record.reason.startswith("counts as running"):
        return "starting"
    return f"{record.state.value}: {record.reason}" if record.reason else record.state.value


def _conclude(state: LauncherState, names: Sequence[str]) -> bool:
    records = [state.nodes[name] for name in names]
    running = sum(record.state is State.RUNNING for record in records)
    wanted = sum(record.wanted for record in records)
    if running == wanted:
        nodes = "node runs" if running == 1 else "nodes run"
        click.secho(f"{running} {nodes}. See `swarm-exporter status`.", fg="green")
        return True
    if state.ramp_problem:
        click.secho(f"No further node was started: {state.ramp_problem}.", fg="yellow", err=True)
    for record in records:
        if record.state is State.FATAL:
            click.secho(f"node {record.name}: {record.reason}", fg="red", err=True)
    click.echo(f"{running} of {wanted} nodes run.", err=True)
    return False


def _refuse_silence(launcher: Launcher, state: LauncherState) -> None:
    if time.time() - state.time <= SILENT_AFTER_SECONDS:
        return
    if launcher.supervisor.answers():
        raise SwarmExporterError(
            f"the launcher's policy is silent; look at {launcher.files.policy_log}"
        )
    raise SwarmExporterError(
        f"the supervisor has ended; look at {launcher.files.supervisor_log}, then launch again"
    )


def _stay(launcher: Launcher) -> None:
    """Print what happens until a signal comes; then stop the nodes."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    until = 0.0
    while not asked:
        state = launcher.state() or LauncherState()
        for at, name, words in state.events:
            if at > until:
                click.echo(f"node {name}: {words}")
        until = max([until, *(at for at, _, _ in state.events)])
        sys.stdout.flush()
        _refuse_silence(launcher, state)
        time.sleep(_LOOK_SECONDS)
    click.echo("Stopping the nodes.")
    launcher.stop(None, remember=True)
