"""What this machine is, since when it runs, and how its processors spend their time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from swarm_exporter.host.cpu import MODES, CpuTimes
from swarm_exporter.host.load import Load
from swarm_exporter.metrics.catalogue import (
    BOTH,
    Kind,
    Labels,
    Metric,
    Reader,
    label_value,
    of_host,
)


def _cluster(name: str) -> Labels:
    """Return the label of a cluster; none where all processors are alike."""
    return {"cluster": label_value(name)} if name else {}


def _seconds(facts: CpuTimes) -> Iterable[tuple[Labels, float | None]]:
    for name, cluster in facts.clusters.items():
        for mode, seconds in cluster.seconds.items():
            yield {**_cluster(name), "mode": mode}, seconds


def _cpus(facts: CpuTimes) -> Iterable[tuple[Labels, float | None]]:
    return [(_cluster(name), cluster.cpus) for name, cluster in facts.clusters.items()]


def _average(place: int) -> Reader:
    def read(facts: Load) -> Iterable[tuple[Labels, float | None]]:
        return [({}, facts.averages[place] if facts.averages is not None else None)]

    return of_host(Load, read)


def _of_load(read: Callable[[Load], float | None]) -> Reader:
    return of_host(Load, lambda facts: [({}, read(facts))])


def _info(facts: Load) -> Iterable[tuple[Labels, float | None]]:
    if facts.info is not None:
        told = msgspec.structs.asdict(facts.info)
        yield {name: label_value(text) for name, text in told.items()}, 1.0


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_host_info",
        Kind.INFO,
        "What this machine is; always 1.",
        ("system", "release", "machine", "model", "chip"),
        of_host(Load, _info),
        "`release` is the version of macOS, or of the Linux kernel. What the system does not tell "
        "is empty.",
        BOTH,
    ),
    Metric(
        "swarm_host_boot_time_seconds",
        Kind.GAUGE,
        "When this machine was started, Unix time.",
        (),
        _of_load(lambda facts: facts.boot_time),
        "It stays as it is while the clock is set by less than 10 seconds.",
        BOTH,
    ),
    Metric(
        "swarm_host_load1",
        Kind.GAUGE,
        "Processes that ran or waited to run, mean of 1 minute.",
        (),
        _average(0),
        "On Linux also those that wait for a disk.",
        BOTH,
    ),
    Metric(
        "swarm_host_load5",
        Kind.GAUGE,
        "Processes that ran or waited to run, mean of 5 minutes.",
        (),
        _average(1),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_load15",
        Kind.GAUGE,
        "Processes that ran or waited to run, mean of 15 minutes.",
        (),
        _average(2),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_cpu_seconds_total",
        Kind.COUNTER,
        "What the processors did, summed over those of one cluster, by mode.",
        ("cluster", "mode"),
        of_host(CpuTimes, _seconds),
        "Clusters: `performance`, `efficiency`, `super`; without the label where all processors "
        "are alike. Modes: " + ", ".join(f"`{mode}`" for mode in MODES) + ", of which macOS knows "
        "`user`, `nice`, `system` and `idle`. The time of virtual machines is in `user`. A "
        "processor that is switched off keeps its part of the sum.",
        BOTH,
    ),
    Metric(
        "swarm_host_cpus",
        Kind.GAUGE,
        "Processors that are switched on.",
        ("cluster",),
        of_host(CpuTimes, _cpus),
        "Hyper-threads count. Without the label where all are alike.",
        BOTH,
    ),
)
