"""How warm this machine is, how fast its fans turn, and what it draws and clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from swarm_exporter.host.thermals import Thermals
from swarm_exporter.metrics.catalogue import (
    BOTH,
    MACOS,
    Kind,
    Labels,
    Metric,
    Reader,
    label_value,
)
from swarm_exporter.model import Snapshot


def _facts(snapshot: Snapshot) -> Iterator[Thermals]:
    return (facts for facts in snapshot.host.values() if isinstance(facts, Thermals))


def _by(label: str, read: Callable[[Thermals], Mapping[str, float]]) -> Reader:
    """Return a reader of figures by name; where two sources know a name, the first one counts."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        found: dict[str, float] = {}
        for facts in _facts(snapshot):
            for name, value in read(facts).items():
                found.setdefault(label_value(name), float(value))
        return [({label: name}, value) for name, value in found.items()]

    return samples


def _one(read: Callable[[Thermals], float | None]) -> Reader:
    """Return a reader of one figure without labels, from the first source that knows it."""

    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        known = (value for value in map(read, _facts(snapshot)) if value is not None)
        return [({}, float(value)) for value in known][:1]

    return samples


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_host_temperature_celsius",
        Kind.GAUGE,
        "Temperature by sensor.",
        ("sensor",),
        _by("sensor", lambda facts: facts.temperatures),
        "Linux: `driver/label` of the kernel's hwmon sensors, at most 64 of them. macOS: means of "
        "the CPU's and the GPU's sensors, where macmon is installed.",
        BOTH,
    ),
    Metric(
        "swarm_host_fan_speed_rpm",
        Kind.GAUGE,
        "Speed of the fan in revolutions per minute.",
        ("fan",),
        _by("fan", lambda facts: facts.fans),
        "0 where it stands still. macOS: where macmon is installed.",
        BOTH,
    ),
    Metric(
        "swarm_host_power_watts",
        Kind.GAUGE,
        "Power that a part of the machine draws.",
        ("domain",),
        _by("domain", lambda facts: facts.power_watts),
        "The chip's own estimate, averaged over a second or so; not what a meter at the wall "
        "says. Where macmon is installed.",
        MACOS,
    ),
    Metric(
        "swarm_host_cpu_frequency_hertz",
        Kind.GAUGE,
        "Mean clock rate of a cluster of processors while they work.",
        ("cluster",),
        _by("cluster", lambda facts: facts.cpu_frequency_hertz),
        "Where macmon is installed.",
        MACOS,
    ),
    Metric(
        "swarm_host_cpu_active_ratio",
        Kind.GAUGE,
        "Share of time in which a cluster of processors is not idle.",
        ("cluster",),
        _by("cluster", lambda facts: facts.cpu_active_ratio),
        "Where macmon is installed. `swarm_host_cpu_seconds_total` tells it everywhere.",
        MACOS,
    ),
    Metric(
        "swarm_host_gpu_frequency_hertz",
        Kind.GAUGE,
        "Mean clock rate of the Mac's GPU while it works.",
        (),
        _one(lambda facts: facts.gpu_frequency_hertz),
        "Where macmon is installed.",
        MACOS,
    ),
    Metric(
        "swarm_host_gpu_active_ratio",
        Kind.GAUGE,
        "Share of time in which the Mac's GPU is not idle.",
        (),
        _one(lambda facts: facts.gpu_active_ratio),
        "Where macmon is installed.",
        MACOS,
    ),
)
