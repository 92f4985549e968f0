"""The metric reference (docs/metrics.md), made from the catalogue.

`python -m swarm_exporter.metrics.reference` prints it; `make docs` writes it.
"""

from __future__ import annotations

from swarm_exporter.metrics import (
    exporter,
    gpus,
    launcher,
    nodes,
    processes,
    rewards,
    sources,
    swarm,
)
from swarm_exporter.metrics.catalogue import Kind, Metric
from swarm_exporter.reasons import ACTION, MEANING, Reason

_HEAD = """\
# Metrics

Made from the catalogue in `exporter/swarm_exporter/metrics/` by `make docs`; do not edit.

Units are base units, times are Unix seconds. A figure that is not known is absent, never zero, and
a source that fails takes its series away: `swarm_source_up` says 0 and `swarm_source_errors_total`
says why. Series of a node carry the label `node` alone; join the rest by
`* on(node) group_left(nickname) swarm_node_info`.
"""

_PARTS = (
    ("Rewards", rewards.METRICS),
    ("The swarm", swarm.METRICS),
    ("Nodes", nodes.METRICS),
    ("The launcher", launcher.METRICS),
    ("What each node costs", processes.METRICS),
    ("GPUs", gpus.METRICS),
    ("Sources", sources.METRICS),
    ("The exporter", exporter.METRICS),
)


def reference() -> str:
    """Return the whole document as Markdown."""
    parts = [_HEAD]
    for title, metrics in _PARTS:
        rows = "".join(_row(metric) for metric in metrics)
        parts.append(f"\n## {title}\n\n| metric | type | meaning |\n|---|---|---|\n{rows}")
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


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
