"""`swarm-exporter doctor`: what works on this machine, what does not, and the fix."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from swarm_exporter.cli.options import flags_from, serve_options
from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.errors import ConfigError, FlagError
from swarm_exporter.logs import configure_logging

if TYPE_CHECKING:
    from rich.console import Console

    from swarm_exporter.doctor.check import Check
    from swarm_exporter.doctor.examination import Examination
    from swarm_exporter.doctor.record import Recording

EPILOG = """\b
Examples:
  swarm-exporter doctor
  swarm-exporter doctor --config swarm.yml
  swarm-exporter doctor --instances 3 --api-port 8000
  swarm-exporter doctor --json | jq '.checks[] | select(.outcome == "failure")'
  swarm-exporter doctor --record doctor.tar.gz    raw readings for a bug report
"""

#: Outcome -> mark, what it is where the terminal lacks the character, and colour.
_MARKS = {
    "ok": ("✓", "+", "green"),
    "warning": ("▲", "!", "yellow"),
    "failure": ("✗", "x", "red"),
    "absent": ("·", "-", "dim"),
}


@click.command(epilog=EPILOG)
@serve_options
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.option(
    "--record",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Also keep raw readings, without secrets, in a new folder or a .tar.gz file.",
)
def command(as_json: bool, record: Path | None, **options: Any) -> None:  # noqa: ANN401
    """Say what works on this machine, what does not, and the fix.

    Looks at machine, tools, configuration, ports, nodes, addresses, clocks, launcher and
    collectors, and changes nothing. Exits with 1 where something is broken, with 0 where
    there are warnings alone.
    """
    from swarm_exporter.doctor.check import is_broken
    from swarm_exporter.doctor.record import Recording, refuse_target

    # What fails is a check, with what to do.
    configure_logging("error", "text")
    if record is not None:
        refuse_target(record)
    config, problem = _config(options)
    examination = _examination(config, problem)
    recording = Recording() if record is not None else None
    checks = []
    with recording.watching() if recording is not None else contextlib.nullcontext():
        for group, found in _examine(examination):
            checks += found
            if not as_json:
                _print_group(group, found)
        if recording is not None:
            with _progress("recording"):
                examination.record(recording, checks)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_document(checks))))
    else:
        _print_summary(checks)
    if recording is not None and record is not None:
        _write(recording, record, config)
    if is_broken(checks):
        sys.exit(1)


def _config(options: dict[str, Any]) -> tuple[Config, str]:
    """Return the configuration, or what holds without one and why it cannot be used."""
    flags = flags_from(options)
    try:
        return load_config(flags, os.environ, Path.cwd()), ""
    except FlagError:
        raise
    except ConfigError as error:
        # Where the state is, is told apart from what may be wrong.
        state_dir = flags.state_dir or os.environ.get("SWARM_STATE_DIR") or None
        others = {k: v for k, v in os.environ.items() if not k.startswith("SWARM_")}
        return load_config(Flags(state_dir=state_dir), others, Path.cwd()), str(error)


def _examination(config: Config, problem: str) -> Examination:
    from swarm_exporter.doctor.examination import Examination
    from swarm_exporter.host import collectors
    from swarm_exporter.host.trees import NodeTrees

    trees = NodeTrees()
    return Examination(config, problem, collectors(trees), lambda: trees.members(config))


def _examine(examination: Examination) -> Iterator[tuple[str, list[Check]]]:
    for name, run in examination.groups():
        with _progress(f"looking at {name}"):
            found = run()
        yield name, found


@contextlib.contextmanager
def _progress(words: str) -> Iterator[None]:
    """Show on a terminal what is under way."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{words} …"):
        yield


def _print_group(name: str, checks: list[Check]) -> None:
    from rich.console import Console
    from rich.text import Text

    if not checks:
        return
    console = Console()
    console.print(Text(name, style="bold"))
    for check in checks:
        # A terminal wraps by itself; in a file each check is one line.
        console.print(_line(check, console), soft_wrap=True)


def _line(check: Check, console: Console) -> Any:  # noqa: ANN401 - rich is loaded late
    from rich.text import Text

    from swarm_exporter.cli.table import can_show, plain

    mark, plain_mark, style = _MARKS[check.outcome.value]
    line = Text("  ").append(mark if can_show(console, mark) else plain_mark, style=style)
    line.append(f" {plain(check.subject).plain}: ").append(plain(check.what).plain)
    if check.fix:
        bold = "bold" if check.outcome.value == "failure" else ""
        arrow = "→" if can_show(console, "→") else "->"
        line.append(f" {arrow} ").append(plain(check.fix).plain, style=bold)
    return line


def _counts(checks: list[Check]) -> dict[str, int]:
    return {mark: sum(check.outcome.value == mark for check in checks) for mark in _MARKS}


def _print_summary(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.text import Text

    counts = _counts(checks)
    words = [f"{counts['ok']} good"]
    for outcome, word in (("warning", "warning"), ("failure", "failure")):
        words.append(f"{counts[outcome]} {word}{'s' * (counts[outcome] != 1)}")
    style = "red" if counts["failure"] else "yellow" if counts["warning"] else "green"
    Console().print(Text(f"\n{', '.join(words)}.", style=style))


def _document(checks: list[Check]) -> dict[str, Any]:
    return {"counts": _counts(checks), "checks": msgspec.to_builtins(checks)}


def _write(recording: Recording, target: Path, config: Config) -> None:
    from swarm_exporter.doctor.examination import known_secrets
    from swarm_exporter.doctor.record import write_recording

    with _progress("taking out secrets"):
        files = recording.scrubbed(known_secrets(config, Path.cwd()))
    write_recording(target, files)
    size = sum(map(len, files.values()))
    kinds: dict[str, int] = {}
    for name in files:
        kind = name.split("/", 1)[0] if "/" in name else name.split("-")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    held = ", ".join(f"{k} ({n} files)" if n > 1 else k for k, n in sorted(kinds.items()))
    click.echo(
        f"Recorded in {target}: {len(files)} files, {max(size // 1024, 1)} KiB: {held}.\n"
        "Names, paths, addresses, serial numbers and keys were taken out; environments and command "
        "lines were never read. Look through it before you send it.",
        err=True,
    )
