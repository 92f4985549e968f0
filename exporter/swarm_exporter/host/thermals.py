"""What is known of temperatures, fans, power and clock rates, from whichever source tells it.

Each collector has a type of its own derived from `Thermals`; metrics/thermals.py reads them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from swarm_exporter.model import HostFacts


class Thermals(HostFacts, frozen=True, kw_only=True):
    """One reading; what the source does not tell is left out."""

    #: Degrees Celsius by sensor.
    temperatures: Mapping[str, float] = {}
    #: Revolutions per minute by fan; 0 where it stands still.
    fans: Mapping[str, float] = {}
    #: Watts by domain: cpu, gpu, ane, memory, system, …
    power_watts: Mapping[str, float] = {}
    #: By cluster of processors: performance, efficiency, super.
    cpu_frequency_hertz: Mapping[str, float] = {}
    #: Share of time in which the cluster was not idle.
    cpu_active_ratio: Mapping[str, float] = {}
    gpu_frequency_hertz: float | None = None
    #: Share of time in which the GPU was not idle.
    gpu_active_ratio: float | None = None


class Sensors(Thermals, frozen=True, kw_only=True):
    """What the drivers of Linux tell (hwmon)."""


class Macmon(Thermals, frozen=True, kw_only=True):
    """What macmon tells of a Mac."""
