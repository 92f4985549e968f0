"""Every line is held against prometheus-client's own encoders."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from swarm_exporter.metrics.catalogue import Kind, Metric
from swarm_exporter.metrics.exposition import SampleLines, header

#: What ends a label, a line or a number elsewhere; anything else is drawn as well.
texts = st.text(st.sampled_from('\\"\n\r{},= #\u2028\x00é🐝') | st.characters(codec="utf-8"))
values = st.floats() | st.integers(-(2**60), 2**60) | st.booleans()
samples = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(["node", "peer_id", "A", "z_9"]), texts), values),
    max_size=5,
)


class OneFamily(Collector):
    def __init__(self, metric: Metric, found) -> None:
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(metric.kind, "")
        self.family = Family(metric.name.removesuffix(suffix), metric.help, metric.kind.value)
        for labels, value in found:
            self.family.add_sample(metric.name, labels, value)

    def collect(self):
        yield self.family


def make_metric(kind: Kind, meaning: str, found=()) -> Metric:
    name = {Kind.COUNTER: "swarm_x_total", Kind.INFO: "swarm_x_info"}.get(kind, "swarm_x")
    return Metric(name, kind, meaning, (), lambda _: found)


def ours(metric: Metric, found, *, openmetrics: bool) -> list[str]:
    text = header(metric, openmetrics=openmetrics) + SampleLines().of(metric.name, found)
    return text.split("\n") if not openmetrics else f"{text}# EOF\n".split("\n")


def same_value(one: str, other: str) -> bool:
    a, b = float(one), float(other)
    return a == b or (math.isnan(a) and math.isnan(b))


def assert_same_lines(own: list[str], reference: list[str]) -> None:
    assert len(own) == len(reference)
    for mine, theirs in zip(own, reference, strict=True):
        if not mine.startswith("swarm_x"):
            assert mine == theirs
            continue
        (mine, value), (theirs, expected) = mine.rsplit(" ", 1), theirs.rsplit(" ", 1)
        assert mine == theirs
        # Prometheus-client writes large numbers as Go does; the value is the same to the last bit.
        assert same_value(value, expected)
        assert math.isfinite(float(value)) or value == expected


@given(st.sampled_from(Kind), texts, samples)
def test_text_is_what_prometheus_client_writes(kind, meaning, found):
    metric = make_metric(kind, meaning, found)
    reference = generate_latest(OneFamily(metric, found)).decode().split("\n")
    assert_same_lines(ours(metric, found, openmetrics=False), reference)


@given(st.sampled_from([Kind.GAUGE, Kind.COUNTER, Kind.INFO]), texts, samples)
def test_openmetrics_is_what_prometheus_client_writes(kind, meaning, found):
    metric = make_metric(kind, meaning, found)
    reference = generate_openmetrics(OneFamily(metric, found)).decode().split("\n")
    assert_same_lines(ours(metric, found, openmetrics=True), reference)


def test_quantiles_are_a_gauge_in_openmetrics():
    metric = make_metric(Kind.SUMMARY, "Quantiles.")
    assert header(metric, openmetrics=True).endswith("# TYPE swarm_x gauge\n")
    assert header(metric, openmetrics=False).endswith("# TYPE swarm_x summary\n")


@given(st.lists(samples, min_size=1, max_size=4))
def test_lines_do_not_depend_on_what_was_rendered_before(rounds):
    lines = SampleLines()
    for found in rounds:
        assert lines.of("swarm_x", found) == SampleLines().of("swarm_x", found)
        lines.forget_unused()


class Counted(str):
    """A label value that tells how often it was looked at for what has to be escaped."""

    looks = 0

    def replace(self, *what):
        Counted.looks += 1
        return super().replace(*what)


def test_a_label_is_escaped_once_and_forgotten_with_its_series(monkeypatch):
    monkeypatch.setattr(Counted, "looks", 0)
    lines, found = SampleLines(), [({"node": Counted("1")}, 1.0)]
    for _ in range(3):
        assert lines.of("swarm_x", found) == 'swarm_x{node="1"} 1.0\n'
        assert lines.of("swarm_y", found) == 'swarm_y{node="1"} 1.0\n'
        lines.forget_unused()
    assert Counted.looks == 1
    lines.forget_unused()
    lines.of("swarm_x", found)
    assert Counted.looks == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1.0"),
        (True, "1.0"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (1_799_999_999.5, "1799999999.5"),
        (1e300, "1e+300"),
    ],
)
def test_numbers(value, text):
    assert SampleLines().of("swarm_x", [({}, value)]) == f"swarm_x {text}\n"
