"""The metric reference (docs/metrics.md), made from the catalogue.

`python -m swarm_exporter.metrics.reference` prints it; `make docs` writes it.
"""

from __future__ import annotations

from swarm_exporter.host import collectors
from swarm_exporter.host.collector import Collector
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.metrics import PARTS
from swarm_exporter.metrics.catalogue import BOTH, Kind, Metric
from swarm_exporter.reasons import ACTION, MEANING, Reason

_HEAD = """\
# Metrics

Made from the catalogue in `exporter/swarm_exporter/metrics/` by `make docs`; do not edit.

Units are base units, times are Unix seconds. A figure that is not known is absent, never zero, and
a source that fails takes its series away: `swarm_source_up` says 0 and `swarm_source_errors_total`
says why. Series of a node carry the label `node` alone; join the rest by
`* on(node) group_left(nickname) swarm_node_info`.
"""


def reference() -> str:
    """Return the whole document as Markdown."""
    parts = [_HEAD]
    for title, metrics in PARTS:
        rows = "".join(_row(metric) for metric in metrics)
        parts.append(f"\n## {title}\n\n| metric | type | meaning |\n|---|---|---|\n{rows}")
    readers = "".join(_collector_row(collector) for collector in collectors(NodeTrees()))
    parts.append(
        "\n## Collectors\n\nEach is a `source` of its own with an empty `node`; see "
        "[configuration.md](configuration.md#collectors).\n\n"
        f"| collector | reads | by default |\n|---|---|---|\n{readers}"
    )
    platforms = "".join(_platform_row(metric) for _, metrics in PARTS for metric in metrics)
    parts.append(
        "\n## Platforms\n\nWhich operating system gives which figure of nodes and machine. Metrics "
        "that are not listed are the same everywhere. A figure still takes hardware that has it, "
        "and the collector that reads it: `swarm-exporter doctor` says what this machine gives.\n\n"
        f"| metric | macOS | Linux |\n|---|---|---|\n{platforms}"
    )
    reasons = "".join(f"| `{r.value}` | {MEANING[r]} | {ACTION[r]} |\n" for r in Reason)
    parts.append(
        "\n## Reasons\n\nThe `reason` of `swarm_source_errors_total`.\n\n"
        f"| reason | what happened | what to do |\n|---|---|---|\n{reasons}"
    )
    return "".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(metric.labels)
    name = f"{metric.name}{{{labels}}}" if labels else metric.name
    kind = Kind.GAUGE if metric.kind is Kind.INFO else metric.kind
    meaning = " ".join(filter(None, (metric.help, metric.notes))).replace("|", "\\|")
    return f"| `{name}` | {kind.value} | {meaning} |\n"


def _collector_row(collector: Collector) -> str:
    rare = collector.shortest_interval
    often = f", every {rare:g} s at most" if rare else ""
    default = "on" if collector.on_by_default else "off"
    return f"| `{collector.name}` | {collector.about}{often} | {default} |\n"


def _platform_row(metric: Metric) -> str:
    if not metric.platforms:
        return ""
    marks = ("yes" if system in metric.platforms else "–" for system in BOTH)
    return f"| `{metric.name}` | {' | '.join(marks)} |\n"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
