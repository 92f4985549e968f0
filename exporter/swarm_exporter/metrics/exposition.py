"""Samples -> the lines of Prometheus' text format 0.0.4 and of OpenMetrics 1.0.

Written here because prometheus-client's encoders make every line from its parts each time, at ten
times the cost; the tests hold every line against what prometheus-client makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from swarm_exporter.metrics.catalogue import Kind, Labels, Metric

#: Names of values that Python writes otherwise.
_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_SUFFIXES = {Kind.COUNTER: "_total", Kind.INFO: "_info"}


class SampleLines:
    """Makes the lines of samples; label sets that stay are put into text once.

    Both formats have the same lines for the kinds of metric that there are.
    """

    def __init__(self) -> None:
        """Begin without any label set."""
        self._known: dict[tuple[tuple[str, str], ...], str] = {}
        self._used: dict[tuple[tuple[str, str], ...], str] = {}

    def of(self, name: str, samples: Iterable[tuple[Labels, float]]) -> str:
        """Return the lines of a metric's samples, in their order."""
        known, used = self._known, self._used
        lines = []
        for labels, value in samples:
            key = tuple(labels.items())
            text = used.get(key)
            if text is None:
                text = used[key] = known.get(key) or label_text(labels)
            number = repr(float(value))
            lines.append(f"{name}{text} {_NOT_FINITE.get(number, number)}\n")
        return "".join(lines)

    def forget_unused(self) -> None:
        """Let go of the label sets that no line was made of since this was last called."""
        self._known, self._used = self._used, {}


def label_text(labels: Labels) -> str:
    """Return labels as they stand behind a name, braces included; empty where there are none."""
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(labels.items()))
    return f"{{{pairs}}}"


def header(metric: Metric, *, openmetrics: bool) -> str:
    """Return the lines above a metric's samples: its meaning and its type.

    OpenMetrics names the family without the suffix of its samples, and forbids negative quantiles
    in a summary, which rewards can have.
    """
    family, kind = metric.name, metric.kind
    meaning = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        family = family.removesuffix(_SUFFIXES.get(kind, ""))
        kind = Kind.GAUGE if kind is Kind.SUMMARY else kind
        meaning = meaning.replace('"', r"\"")
    else:
        kind = Kind.GAUGE if kind is Kind.INFO else kind
    return f"# HELP {family} {meaning}\n# TYPE {family} {kind.value}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
