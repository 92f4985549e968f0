"""How this machine's memory is used, what is swapped, and what the shortage costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.memory import Memory
from swarm_exporter.host.pressure import Pressure
from swarm_exporter.host.swap import Swap
from swarm_exporter.metrics.catalogue import (
    BOTH,
    LINUX,
    MACOS,
    Kind,
    Labels,
    Metric,
    Reader,
    of_host,
)


def _of_memory(read: Callable[[Memory], float | None]) -> Reader:
    return of_host(Memory, lambda facts: [({}, read(facts))])


def _of_swap(read: Callable[[Swap], float | None]) -> Reader:
    return of_host(Swap, lambda facts: [({}, read(facts))])


def _of_pressure(read: Callable[[Pressure], float | None]) -> Reader:
    return of_host(Pressure, lambda facts: [({}, read(facts))])


def _stalled(resource: str) -> Reader:
    def read(facts: Pressure) -> Iterable[tuple[Labels, float | None]]:
        stalled = facts.stalled.get(resource, {})
        return [({"kind": kind}, seconds) for kind, seconds in stalled.items()]

    return of_host(Pressure, read)


def _kinds(facts: Memory) -> Iterable[tuple[Labels, float | None]]:
    return [({"kind": kind}, size) for kind, size in facts.sizes.items()]


def _swap(facts: Swap) -> Iterable[tuple[Labels, float | None]]:
    return [({"kind": "used"}, facts.used), ({"kind": "total"}, facts.total)]


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_host_memory_bytes",
        Kind.GAUGE,
        "Memory of this machine by kind.",
        ("kind",),
        of_host(Memory, _kinds),
        "`total`, `available`, `free` everywhere. Linux: `used` (total less available), `buffers`, "
        "`cached`, `shared`, `slab`, as in /proc/meminfo. macOS: `active`, `inactive`, `wired`, "
        "`compressed` (what the compressor takes), `speculative`, `purgeable`, `file_backed`, "
        "`anonymous`, as in vm_stat; `available` is free and inactive. The kinds overlap and do "
        "not add up.",
        BOTH,
    ),
    Metric(
        "swarm_host_memory_available_ratio",
        Kind.GAUGE,
        "Share of the memory that programs can still get.",
        (),
        _of_memory(lambda facts: facts.available_ratio),
        "macOS: what the kernel judges (kern.memorystatus_level, the free percentage of "
        "memory_pressure), to whole hundredths; it counts on the compressor, so it is above "
        "`available` by `total`. Linux: MemAvailable by MemTotal.",
        BOTH,
    ),
    Metric(
        "swarm_host_memory_compressions_total",
        Kind.COUNTER,
        "Pages that the kernel compressed since the machine was started.",
        (),
        _of_memory(lambda facts: facts.compressions),
        "",
        MACOS,
    ),
    Metric(
        "swarm_host_memory_decompressions_total",
        Kind.COUNTER,
        "Pages that the kernel had to decompress again.",
        (),
        _of_memory(lambda facts: facts.decompressions),
        "A high rate means that the nodes want more memory at a time than there is.",
        MACOS,
    ),
    Metric(
        "swarm_host_memory_limit_bytes",
        Kind.GAUGE,
        "Memory that the container around the exporter may take.",
        (),
        _of_memory(lambda facts: facts.limit),
        "The control group's limit that is reached first; absent without one below the machine's "
        "memory.",
        LINUX,
    ),
    Metric(
        "swarm_host_memory_limit_used_bytes",
        Kind.GAUGE,
        "Memory that this container takes, without file cache that the kernel can drop.",
        (),
        _of_memory(lambda facts: facts.limit_used),
        "Of the same control group as the limit.",
        LINUX,
    ),
    Metric(
        "swarm_host_swap_bytes",
        Kind.GAUGE,
        "Swap space by kind: what is used, and what there is.",
        ("kind",),
        of_host(Swap, _swap),
        "macOS makes swap files as it needs them, so `total` grows with `used`.",
        BOTH,
    ),
    Metric(
        "swarm_host_swap_in_bytes_total",
        Kind.COUNTER,
        "Bytes read back from swap since the machine was started.",
        (),
        _of_swap(lambda facts: facts.swapped_in),
        "Absent on kernels without swap.",
        BOTH,
    ),
    Metric(
        "swarm_host_swap_out_bytes_total",
        Kind.COUNTER,
        "Bytes written to swap since the machine was started.",
        (),
        _of_swap(lambda facts: facts.swapped_out),
        "Absent on kernels without swap.",
        BOTH,
    ),
    Metric(
        "swarm_host_memory_pressure_level",
        Kind.GAUGE,
        "How short of memory macOS says it is: 1 normal, 2 warning, 4 critical.",
        (),
        _of_pressure(lambda facts: facts.memory_level),
        "",
        MACOS,
    ),
    Metric(
        "swarm_host_memory_pressure_stalled_seconds_total",
        Kind.COUNTER,
        "Time in which tasks waited for memory.",
        ("kind",),
        _stalled("memory"),
        "Kinds: `some` tasks waited, `full`: all that could have run. Absent on kernels without "
        "pressure stall information.",
        LINUX,
    ),
    Metric(
        "swarm_host_cpu_pressure_stalled_seconds_total",
        Kind.COUNTER,
        "Time in which some task waited for a processor.",
        (),
        _of_pressure(lambda facts: facts.stalled.get("cpu", {}).get("some")),
        "Absent on kernels without pressure stall information.",
        LINUX,
    ),
    Metric(
        "swarm_host_io_pressure_stalled_seconds_total",
        Kind.COUNTER,
        "Time in which tasks waited for a disk.",
        ("kind",),
        _stalled("io"),
        "Kinds: `some` tasks waited, `full`: all that could have run. Absent on kernels without "
        "pressure stall information.",
        LINUX,
    ),
    Metric(
        "swarm_host_oom_kills_total",
        Kind.COUNTER,
        "Processes that the kernel killed for want of memory since the machine was started.",
        (),
        _of_pressure(lambda facts: facts.oom_kills),
        "Those of control groups that reached their limit are counted too.",
        LINUX,
    ),
)
