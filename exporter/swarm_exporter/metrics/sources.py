"""How well each node is seen: one set of series for each source."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, Reader
from swarm_exporter.model import Snapshot, SourceStatus
from swarm_exporter.reasons import Reason

_SOURCE = ("node", "source")


def _of_source(read: Callable[[SourceStatus], float | None]) -> Reader:
    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for status in _statuses(snapshot):
            value = read(status)
            if value is not None:
                yield _labels(status), value

    return samples


def _errors(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for status in _statuses(snapshot):
        for reason, count in status.errors.items():
            yield _labels(status) | {"reason": reason.value}, float(count)


def _statuses(snapshot: Snapshot) -> Iterable[SourceStatus]:
    for view in snapshot.nodes:
        yield from view.sources
    yield from snapshot.host_sources


def _labels(status: SourceStatus) -> Labels:
    """Return the labels of a source; one of the whole machine is of no node."""
    return {"node": status.node, "source": status.source}


METRICS = (
    Metric(
        "swarm_source_up",
        Kind.GAUGE,
        "1 where the last poll of the source succeeded, 0 where it failed.",
        _SOURCE,
        _of_source(lambda status: float(status.up)),
        "A source that is down shows no other value of its own. Sources of the whole machine have "
        "an empty `node`.",
    ),
    Metric(
        "swarm_source_duration_seconds",
        Kind.GAUGE,
        "How long the last poll of the source took.",
        _SOURCE,
        _of_source(lambda status: status.duration),
    ),
    Metric(
        "swarm_source_last_success_timestamp_seconds",
        Kind.GAUGE,
        "When the source last answered, Unix time.",
        _SOURCE,
        _of_source(lambda status: status.last_success),
    ),
    Metric(
        "swarm_source_errors_total",
        Kind.COUNTER,
        "Polls that failed, and values that were left out, by reason.",
        (*_SOURCE, "reason"),
        _errors,
        "Reasons: " + ", ".join(f"`{reason.value}`" for reason in Reason) + ".",
    ),
)
