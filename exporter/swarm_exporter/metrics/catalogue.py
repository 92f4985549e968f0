"""What a metric is: one entry holds its name, meaning, unit, labels and how it is read.

The catalogue is the only place that knows Prometheus names; docs/metrics.md is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import msgspec

from swarm_exporter.model import HostFactsT, NodeFactsT, NodeView, Snapshot

#: Label values longer than this are cut: a label is a name, not a document.
MAX_LABEL_LENGTH = 128

LINUX = ("Linux",)
MACOS = ("macOS",)
BOTH = ("macOS", "Linux")

Labels = dict[str, str]
Reader = Callable[[Snapshot], Iterable[tuple[Labels, float]]]


class Kind(str, Enum):
    """The type of a metric in the exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    #: Quantiles of many values at one moment, without their sum and count.
    SUMMARY = "summary"


class Metric(msgspec.Struct, frozen=True):
    """One metric family. `read` leaves out what is not known."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Reader
    #: What the docs add: when it is absent, what is surprising about it.
    notes: str = ""
    #: The operating systems that give it ("macOS", "Linux"); empty where that makes no difference.
    platforms: tuple[str, ...] = ()
    #: True where it is read at each scrape; the others change with the snapshot alone.
    live: bool = False


def of_node(read: Callable[[NodeView], float | None]) -> Reader:
    """Return a reader of one figure for each node, labelled `node` alone."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for view in snapshot.nodes:
            value = read(view)
            if value is not None:
                yield {"node": view.node.name}, value

    return samples


def of_snapshot(read: Callable[[Snapshot], float | None]) -> Reader:
    """Return a reader of one figure without labels."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        value = read(snapshot)
        if value is not None:
            yield {}, value

    return samples


def of_host(
    kind: type[HostFactsT], read: Callable[[HostFactsT], Iterable[tuple[Labels, float | None]]]
) -> Reader:
    """Return a reader of the facts of one collector; figures that are None are left out."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        facts = snapshot.of_host(kind)
        if facts is not None:
            for labels, value in read(facts):
                if value is not None:
                    yield labels, float(value)

    return samples


def of_node_facts(
    kind: type[NodeFactsT], read: Callable[[NodeFactsT], Iterable[tuple[Labels, float | None]]]
) -> Reader:
    """Return a reader of what one source says of each node; the label `node` is added."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for view in snapshot.nodes:
            facts = view.of(kind)
            if facts is None:
                continue
            for labels, value in read(facts):
                if value is not None:
                    yield {"node": view.node.name, **labels}, float(value)

    return samples


def label_value(text: str | None) -> str:
    """Make a stranger's text fit for a label: bounded, without control characters."""
    if not text:
        return ""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:MAX_LABEL_LENGTH])
