"""A plan for people: sentences, and a table of the settings."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swarm_exporter.launcher.capacity import gib
from swarm_exporter.launcher.machine import Machine
from swarm_exporter.launcher.plan import Plan


def print_plan(plan: Plan, profile: str | None) -> None:
    """Print all of a plan. `profile` is what the flag said."""
    console = Console()

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style=style))

    say(_machine(plan.machine))
    say(f"{gib(plan.reserve)} stay with the machine: {plan.reserve_reason}.")
    say(f"A node of {plan.profile} takes {gib(plan.node_memory)}: {plan.node_memory_source}.")
    console.print()
    say(f"{_nodes(plan.fit)} {'fits' if plan.fit == 1 else 'fit'}. {plan.reason}", "bold")
    if plan.fit_untuned < plan.fit:
        say(f"Without the training keys that save memory: {plan.fit_untuned}.")
    if not plan.fits:
        say(f"{_nodes(plan.nodes)} {'does' if plan.nodes == 1 else 'do'} not fit.", "bold red")
    if plan.advice:
        say(plan.advice)
    for title, rows in (
        (f"Variables of {_nodes(plan.nodes)}", _variables(plan)),
        (f"Training keys, in {plan.training_file} of each", _training(plan)),
    ):
        if rows:
            console.print()
            say(f"{title}:")
            console.print(_table(rows))
    if plan.warnings:
        console.print()
    for warning in plan.warnings:
        say(f"warning: {warning}", "yellow")
    if plan.fits and plan.fit > 0:
        flag = f" --profile {profile}" if profile else ""
        console.print()
        say(f"Next: swarm-exporter init --instances {plan.nodes}{flag}")


def _machine(machine: Machine) -> str:
    """Return what the machine has, one sentence; what is unknown is left out."""
    name = "a Linux machine"
    if machine.platform == "darwin":
        name = "a Mac with Apple silicon" if machine.unified_memory else "a Mac"
    memory = f"{gib(machine.total_memory)} of memory, {gib(machine.available_memory)} available"
    parts = [memory, *_cores(machine)]
    for gpu in machine.gpus:
        size = "" if gpu.total_memory is None else f" ({gib(gpu.total_memory)})"
        parts.append(f"{gpu.name}{size}")
    if machine.disk_free is not None:
        parts.append(f"{gib(machine.disk_free)} free on disk")
    return f"This is {name}: {'; '.join(parts)}."


def _cores(machine: Machine) -> list[str]:
    if machine.performance_cores is None:
        return []
    if machine.efficiency_cores:
        return [
            f"{machine.performance_cores} performance, {machine.efficiency_cores} efficiency cores"
        ]
    return [f"{machine.performance_cores} core{'s' * (machine.performance_cores > 1)}"]


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _variables(plan: Plan) -> list[tuple[str, str, str]]:
    """Return name, value and remark of every variable."""
    rows = []
    for name in plan.settings[0].env:
        values = {node.number: node.env[name] for node in plan.settings}
        shown = values[1]
        if len(set(values.values())) > 1:
            shown = ", ".join(f"{value} (node {number})" for number, value in values.items())
        rows.append((name, shown, ""))
    rows += [(name, value, "set by you, kept") for name, value in plan.settings[0].own.items()]
    return rows


def _training(plan: Plan) -> list[tuple[str, str, str]]:
    """Return key, value and remark of every training key."""
    rows = []
    for key, value in plan.training.items():
        present = plan.training_present.get(key, value)
        rows.append((key, _text(value), "" if present == value else f"now {_text(present)}"))
    return rows


def _text(value: object) -> str:
    """Return a value as it is written in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: list[tuple[str, str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
