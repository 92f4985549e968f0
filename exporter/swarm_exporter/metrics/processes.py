"""What each node's processes use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.footprint import Footprints
from swarm_exporter.host.process import NodeUsage, ProcessUsage
from swarm_exporter.metrics.catalogue import BOTH, MACOS, Kind, Labels, Metric, Reader, of_host

_NODE = ("node",)


def _of_node(read: Callable[[NodeUsage], float | None]) -> Reader:
    def samples(facts: ProcessUsage) -> Iterable[tuple[Labels, float | None]]:
        for name, usage in facts.nodes.items():
            yield {"node": name}, read(usage)

    return of_host(ProcessUsage, samples)


def _footprints(facts: Footprints) -> Iterable[tuple[Labels, float | None]]:
    for name, footprint in facts.nodes.items():
        yield {"node": name}, footprint.size


def _peaks(facts: Footprints) -> Iterable[tuple[Labels, float | None]]:
    for name, footprint in facts.nodes.items():
        yield {"node": name}, footprint.peak


METRICS = (
    Metric(
        "swarm_process_cpu_seconds_total",
        Kind.COUNTER,
        "Processor time used by the node's whole process tree.",
        _NODE,
        _of_node(lambda usage: usage.cpu_seconds),
        "Children that have ended are counted, and a restart of the node does not take it back; it "
        "begins anew with the exporter.",
        BOTH,
    ),
    Metric(
        "swarm_process_performance_cpu_seconds_total",
        Kind.COUNTER,
        "The part of the processor time that was spent on performance cores.",
        _NODE,
        _of_node(lambda usage: usage.performance_cpu_seconds),
        "macOS 13 and later. What a process used between the last look and its end is left out.",
        MACOS,
    ),
    Metric(
        "swarm_process_resident_memory_bytes",
        Kind.GAUGE,
        "Resident memory of the node's processes, shared pages counted once for each.",
        _NODE,
        _of_node(lambda usage: usage.resident),
        "On a Mac it leaves out most of what the GPU uses: look at the footprint.",
        BOTH,
    ),
    Metric(
        "swarm_process_footprint_bytes",
        Kind.GAUGE,
        "Memory that the node really takes: what would be free without it.",
        _NODE,
        of_host(Footprints, _footprints),
        "macOS: the physical footprint that Activity Monitor shows, GPU buffers and compressed "
        "memory included. Linux: proportional set size and swap, read once a minute.",
        BOTH,
    ),
    Metric(
        "swarm_process_footprint_peak_bytes",
        Kind.GAUGE,
        "Largest footprint that the node's first process ever had.",
        _NODE,
        of_host(Footprints, _peaks),
        "",
        MACOS,
    ),
    Metric(
        "swarm_process_count",
        Kind.GAUGE,
        "Processes of the node that run.",
        _NODE,
        _of_node(lambda usage: usage.count),
        "The launcher's parent of the node is one of them. 0 where nothing runs; absent where the "
        "node's folder is not known, or where another user's trainer runs whose folder may not be "
        "read.",
        BOTH,
    ),
    Metric(
        "swarm_process_threads",
        Kind.GAUGE,
        "Threads of the node's processes.",
        _NODE,
        _of_node(lambda usage: usage.threads),
        "",
        BOTH,
    ),
    Metric(
        "swarm_process_open_fds",
        Kind.GAUGE,
        "Open files and sockets of the node's processes.",
        _NODE,
        _of_node(lambda usage: usage.open_fds),
        "Absent where one of them belongs to another user.",
        BOTH,
    ),
    Metric(
        "swarm_process_start_time_seconds",
        Kind.GAUGE,
        "When the process that the node begins with was started, Unix time.",
        _NODE,
        _of_node(lambda usage: usage.started),
        "",
        BOTH,
    ),
    Metric(
        "swarm_process_disk_read_bytes_total",
        Kind.COUNTER,
        "Bytes that the node's processes had read from disks.",
        _NODE,
        _of_node(lambda usage: usage.disk_read),
        "What the page cache served is not counted. On a Mac, what a process did between the last "
        "look and its end is left out.",
        BOTH,
    ),
    Metric(
        "swarm_process_disk_written_bytes_total",
        Kind.COUNTER,
        "Bytes that the node's processes had written to disks.",
        _NODE,
        _of_node(lambda usage: usage.disk_written),
        "On a Mac, what a process did between the last look and its end is left out.",
        BOTH,
    ),
    Metric(
        "swarm_process_energy_joules_total",
        Kind.COUNTER,
        "Energy that the processor spent on the node's processes.",
        _NODE,
        _of_node(lambda usage: usage.energy_joules),
        "The CPU alone, not the GPU; an estimate of the kernel. What a process used between the "
        "last look and its end is left out. macOS 13 and later.",
        MACOS,
    ),
)
