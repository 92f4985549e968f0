"""Collector `cpu`: how the processors spend their time, summed over each cluster of equal ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.rising import RisingCounters
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: What a processor can do; a platform may not tell all of them apart. The time of guests is in
#: `user` and `nice` already.
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
#: The idle time of Linux steps back by a few ticks at times; what falls further has begun anew.
_JITTER_SECONDS = 3.0
#: Where the cluster of a processor is not known.
_ASK_AGAIN_SECONDS = 600.0

#: By processor and mode, in seconds since the machine was started.
Times = Mapping[int, Mapping[str, float]]
ReadTimes = Callable[[], Times]
#: Return the name of each processor's cluster; empty where they are alike or it is not known.
ReadClusters = Callable[[], Mapping[int, str]]


class Cluster(msgspec.Struct, frozen=True):
    """Processors of one kind."""

    #: How many of them are switched on.
    cpus: int
    #: By mode; it never falls while the exporter runs.
    seconds: Mapping[str, float]


class CpuTimes(HostFacts, frozen=True, kw_only=True):
    """The clusters by name: performance, efficiency, super; empty where all are alike."""

    clusters: Mapping[str, Cluster]


class Cpu(Collector):
    """Reads every processor, and keeps what those had that were switched off."""

    name = "cpu"
    about = "processor time by mode and kind of core (/proc/stat, host_processor_info)"

    def __init__(self, read: ReadTimes | None = None, clusters: ReadClusters | None = None) -> None:
        """Read by these, by default as this platform does."""
        self._read = read or platform_times()
        self._ask = clusters or platform_clusters()
        self._clusters: dict[int, str] = {}
        self._asked_of: set[int] = set()
        self._ask_after = 0.0
        self._counters: RisingCounters[tuple[int, str]] = RisingCounters(_JITTER_SECONDS)

    def read(self, look: Look) -> Found:
        """Read all processors. Raises SourceError where they cannot be read."""
        times = self._read()
        if not times:
            raise SourceError(Reason.MALFORMED, "the system names no processor")
        self._learn_clusters(times, look.monotonic)
        self._counters.add(
            {(cpu, mode): value for cpu, modes in times.items() for mode, value in modes.items()}
        )
        clusters = {
            name: Cluster(cpus, self._seconds(name)) for name, cpus in self._count(times).items()
        }
        words = [f"{one.cpus} {name}".strip() for name, one in clusters.items()]
        return Found(CpuTimes(clusters=clusters), (), f"{' + '.join(words)} processors")

    def _learn_clusters(self, times: Times, now: float) -> None:
        unknown = times.keys() - self._clusters.keys()
        if unknown - self._asked_of or (unknown and now >= self._ask_after):
            self._clusters.update(self._ask())
            self._asked_of |= times.keys()
            self._ask_after = now + _ASK_AGAIN_SECONDS

    def _count(self, times: Times) -> dict[str, int]:
        """Return how many processors of each cluster are on, of those ever seen."""
        counts = dict.fromkeys(
            sorted({self._clusters.get(cpu, "") for cpu, _ in self._counters.totals}, reverse=True),
            0,
        )
        for cpu in times:
            counts[self._clusters.get(cpu, "")] += 1
        return counts

    def _seconds(self, cluster: str) -> dict[str, float]:
        seconds: dict[str, float] = {}
        for (cpu, mode), total in self._counters.totals.items():
            if self._clusters.get(cpu, "") == cluster:
                seconds[mode] = seconds.get(mode, 0.0) + total
        return seconds


def platform_times() -> ReadTimes:
    """Return how this platform reads its processors."""
    if sys.platform == "darwin":
        from swarm_exporter.host.cpu_darwin import darwin_times

        return darwin_times
    from swarm_exporter.host.cpu_linux import linux_times

    return lambda: linux_times(Path("/"))


def platform_clusters() -> ReadClusters:
    """Return how this platform tells processors apart."""
    if sys.platform == "darwin":
        from swarm_exporter.host.cpu_darwin import clusters_of_this_mac

        return clusters_of_this_mac
    from swarm_exporter.host.cpu_linux import linux_clusters

    return lambda: linux_clusters(Path("/"))
