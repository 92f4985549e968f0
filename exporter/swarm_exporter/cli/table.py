"""The status document as a table for a terminal.

Texts of strangers go in as Text, never as markup, and without control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarm_exporter.durations import format_duration
from swarm_exporter.status import NodeLine, StatusDocument

#: Condition -> the word that is shown and its colour; the page uses the same words.
_STATES = {
    "earning": ("✓ earning", "green"),
    "training": ("▲ not earning", "yellow"),
    "waiting_swarm": ("… waiting for the swarm", "blue"),
    "waiting_login": ("▲ waiting for login", "yellow"),
    "wrong_identity": ("✗ wrong identity", "red"),
    "too_slow": ("▲ too slow", "yellow"),
    "crash_looping": ("✗ crash looping", "red"),
    "down": ("✗ down", "red"),
    "swarm_halted": ("‖ swarm halted", "blue"),
    "stopped": ("■ stopped", "blue"),
    "unknown": ("? not known", "magenta"),
}
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"
_FIGURES = {"CPU", "Memory", "Rank", "Earned", "Per hour", "API reward", "Last earned"}
_WIDEST_PEER = 26
_GIB = 2**30
_MIB = 2**20
#: Below this width of the terminal a column is left out.
_WIDTHS = {
    "API reward": 150,
    "CPU": 134,
    "Memory": 126,
    "Up": 106,
    "Stage by stage": 118,
    "Last earned": 96,
    "Per hour": 84,
    "Peer": 72,
}


def status_table(status: StatusDocument, console: Console, problem: str = "") -> RenderableType:
    """Return the whole picture: swarm, nodes, and under the table what is wrong with which.

    `problem` says why the picture is an old one; empty where it is not.
    """
    fancy = can_show(console, _BARS)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    columns: dict[str, Callable[[NodeLine], Text]] = {
        "Node": lambda n: plain(n.node),
        "Peer": lambda n: plain(n.nickname or n.peer_id or "-"),
        "State": lambda n: _state(n.condition, fancy=fancy),
        "Up": lambda n: _uptime(n, status.time),
        "CPU": lambda n: Text(_cores(n)),
        "Memory": lambda n: Text(_memory(n)),
        "Rank": _rank,
        "Earned": lambda n: _number(n.earned),
        "Per hour": lambda n: _number(n.earned_per_hour),
        "Stage by stage": lambda n: Text(bars(n.scores, fancy=fancy), style="cyan"),
        "API reward": lambda n: _number(n.cumulative_reward),
        "Last earned": lambda n: _ago(n.last_increase, status.time),
    }
    if all(node.process is None for node in status.nodes):
        del columns["Up"]
    if not any(node.cost is not None and node.cost.processes for node in status.nodes):
        del columns["CPU"], columns["Memory"]
    shown = [title for title in columns if console.width >= _WIDTHS.get(title, 0)]
    for title in shown:
        cells = [columns[title](node) for node in status.nodes]
        width = max([len(title), *(cell.cell_len for cell in cells)])
        if title == "Peer":
            width = min(width, _WIDEST_PEER)
        table.add_column(
            title, justify="right" if title in _FIGURES else "left", no_wrap=True, width=width
        )
    for node in status.nodes:
        table.add_row(*(columns[title](node) for title in shown))
    return Group(
        _headline(status),
        Text(),
        table,
        *(_trouble(node, *fault) for node in status.nodes for fault in _faults(node)),
        *(line for node in status.nodes for line in _submission(node, status.time)),
        *_blind(status.nodes),
        *_refusal(status),
        *_notice(problem),
    )


def can_show(console: Console, text: str) -> bool:
    """Tell whether the terminal's encoding has these characters."""
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def plain(text: str) -> Text:
    """Return a stranger's text with every control character replaced."""
    return Text("".join(c if c.isprintable() else "?" for c in text), overflow="ellipsis")


def bars(scores: Sequence[float], *, fancy: bool) -> str:
    """Return one bar for each stage, newest last; a stage without a gain is the lowest one."""
    levels = _BARS if fancy else _ASCII_BARS
    newest = scores[-20:]
    top = max(newest, default=0.0)
    if top <= 0:
        return levels[0] * len(newest)
    return "".join(levels[round(max(score, 0.0) / top * (len(levels) - 1))] for score in newest)


def _cores(node: NodeLine) -> str:
    cores = node.cost.cpu_cores if node.cost is not None else None
    return "-" if cores is None else f"{cores:.1f}"


def _memory(node: NodeLine) -> str:
    size = node.cost.memory_bytes if node.cost is not None else None
    if size is None:
        return "-"
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def _headline(status: StatusDocument) -> Text:
    swarm = status.swarm
    earning = sum(node.condition == "earning" for node in status.nodes)
    parts = [f"{earning} of {len(status.nodes)} nodes earning"]
    if swarm.round is not None:
        parts.append(f"round {swarm.round}, stage {swarm.stage}")
    if swarm.total_peers is not None:
        parts.append(f"{swarm.total_peers} peers on the board")
    if swarm.data_timestamp is not None:
        age = max(status.time - swarm.data_timestamp, 0.0)
        parts.append(f"data {format_duration(age)} old")
    return Text(", ".join(parts), style="bold")


def _faults(node: NodeLine) -> list[tuple[str, str]]:
    """Return what is wrong with a node, each with what to do about it; as the page does."""
    troubled = [source for source in node.sources if not source.up and source.reason is not None]
    if not node.reason:
        return [(f"{s.source}: {s.detail or s.reason}", s.action) for s in troubled]
    # Where the answer is another one, what a source met is beside the point.
    unknown = node.condition == "unknown"
    details = "".join(f" ({s.detail})" for s in troubled if s.detail and unknown)
    return [(node.reason + details, node.action)]


def _trouble(node: NodeLine, fault: str, action: str) -> Text:
    line = Text("\nnode ").append_text(plain(node.node)).append(": ")
    line.append(plain(fault).plain, style="bold").append(".")
    return line.append_text(plain(f" {action}".rstrip()))


def _uptime(node: NodeLine, now: float) -> Text:
    """Return how long a node has run, and how often it was started again."""
    process = node.process
    if process is None or process.started is None:
        return Text("-" if process is None else process.state)
    text = Text(format_duration(max(round(now - process.started), 1)))
    restarts = sum(process.restarts.values())
    if restarts:
        text.append(f" ({restarts} restart{'s' * (restarts > 1)})")
    return text


def _submission(node: NodeLine, now: float) -> list[Text]:
    """Return what a restart of the node would cost now, where that is known."""
    process = node.process
    if process is None or process.next_submit is None or process.unsubmitted_since is None:
        return []
    loss = format_duration(max(now - process.unsubmitted_since, 1.0))
    wait = process.next_submit - now
    when = f"next submit in {format_duration(wait)}" if wait > 0 else "a submission is due"
    line = Text("\nnode ").append_text(plain(node.node)).append(f": {when}; ")
    line.append(f"a restart now loses {loss} of reward")
    return [line.append(" (a restart waits for it)" if process.postponed else "")]


def _blind(nodes: Sequence[NodeLine]) -> list[Text]:
    """Say what cannot be known of nodes, and what to configure; once for all that share it."""
    spots: dict[str, list[str]] = {}
    for node in nodes:
        for spot in node.blind:
            spots.setdefault(spot, []).append(node.node)
    lines = []
    for spot, names in spots.items():
        line = Text(f"\nnode{'s' * (len(names) > 1)} ", style="dim")
        lines.append(line.append_text(plain(f"{', '.join(names)}: not known: {spot}.")))
    return lines


def _refusal(status: StatusDocument) -> list[Text]:
    if status.config_ok:
        return []
    return [Text("\nthe new configuration was refused: ").append_text(plain(status.config_error))]


def _notice(problem: str) -> list[Text]:
    return [Text("\n").append(plain(problem).plain, style="red")] if problem else []


def _state(condition: str, *, fancy: bool) -> Text:
    words, colour = _STATES.get(condition, (condition, "magenta"))
    return Text(words if fancy else words[2:], style=colour)


def _rank(node: NodeLine) -> Text:
    if node.rank is None:
        return Text("-")
    return Text(f"{node.rank} of {node.total_peers}")


def _number(value: float | None) -> Text:
    return Text("-" if value is None else f"{value:,.2f}")


def _ago(then: float | None, now: float) -> Text:
    if then is None:
        return Text("-")
    seconds = max(round(now - then), 0)
    return Text(f"{format_duration(seconds)} ago" if seconds else "now")
