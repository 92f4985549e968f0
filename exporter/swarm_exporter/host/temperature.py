"""Collector `temperature` on Linux: sensors of the kernel's drivers (hwmon), through psutil."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.thermals import Sensors

MOST_SENSORS = 64
#: Outside of it a sensor is not connected or broken; one that is not connected also says 0.
_COLDEST, _HOTTEST = -50.0, 150.0
_FASTEST_FAN = 50_000.0

#: By driver: the label of each sensor, which may be empty or given twice, and its figure.
Told = Mapping[str, Iterable[tuple[str, float]]]
ReadSensors = Callable[[], Told]


class Temperatures(Collector):
    """Reads all sensors; what is implausible is left out."""

    name = "temperature"
    about = "temperatures and fans of the kernel's drivers (hwmon)"

    def __init__(
        self,
        temperatures: ReadSensors | None = None,
        fans: ReadSensors | None = None,
        root: Path = Path("/"),
    ) -> None:
        """Read by these, by default through psutil; `root` holds /sys."""
        self._temperatures = temperatures or read_temperatures
        self._fans = fans or read_fans
        self._root = root

    def is_present(self) -> bool:
        """Tell whether the kernel has any sensor."""
        classes = self._root / "sys/class"
        kept = ("hwmon*/temp*_input", "hwmon*/fan*_input", "hwmon*/device/temp*_input")
        return any(any((classes / "hwmon").glob(pattern)) for pattern in kept) or any(
            (classes / "thermal").glob("thermal_zone*/temp")
        )

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where neither sensors nor fans can be read."""
        attempts = Attempts()
        told, turning = attempts.of(self._temperatures), attempts.of(self._fans)
        attempts.check(told, turning)
        facts = Sensors(
            temperatures=plausible_temperatures(told or {}), fans=plausible_fans(turning or {})
        )
        words = f"{len(facts.temperatures)} temperatures, {len(facts.fans)} fans"
        return Found(facts, attempts.defects(), words)


def plausible_temperatures(told: Told) -> dict[str, float]:
    """Return degrees Celsius by sensor, without those of sensors that measure nothing."""
    return _named(told, lambda degrees: _COLDEST < degrees <= _HOTTEST and degrees != 0.0)


def plausible_fans(told: Told) -> dict[str, float]:
    """Return revolutions per minute by fan; one that stands still has 0."""
    return _named(told, lambda speed: 0.0 <= speed <= _FASTEST_FAN)


def _named(told: Told, plausible: Callable[[float], bool]) -> dict[str, float]:
    """Return figures by "driver/label", numbered where two have the same, as two disks do."""
    found: dict[str, float] = {}
    given: dict[str, int] = {}
    for driver, sensors in told.items():
        for label, figure in sensors:
            name = f"{driver}/{label}" if label else driver
            # What is left out has its number all the same: it may come back.
            given[name] = given.get(name, 0) + 1
            if given[name] > 1:
                name = f"{name}#{given[name]}"
            if len(found) < MOST_SENSORS and plausible(figure):
                found[name] = figure
    return found


def read_temperatures() -> Told:
    """Return what psutil reads; none where this platform has no such sensors."""
    return _pairs(getattr(psutil, "sensors_temperatures", None))


def read_fans() -> Told:
    """Return what psutil reads; none where this platform has no such fans."""
    return _pairs(getattr(psutil, "sensors_fans", None))


def _pairs(ask: Callable[[], Mapping[str, Iterable[Any]]] | None) -> Told:
    found = ask() if ask is not None else {}
    return {
        driver: [(sensor.label, sensor.current) for sensor in sensors]
        for driver, sensors in found.items()
    }
