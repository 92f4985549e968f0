"""What is known of GPUs and of what nodes use of them, alike for Apple, NVIDIA and AMD.

Each collector has a type of its own derived from `GpuFacts`; metrics/gpus.py reads them all.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swarm_exporter.model import HostFacts


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU at one moment. What its driver does not tell is None or left out."""

    #: Names it in labels, the same after a restart: a serial such as a UUID or PCI address, or a
    #: number where it has neither.
    gpu: str
    #: "apple", "nvidia" or "amd".
    vendor: str
    #: As its driver spells it; empty where that is not known.
    model: str = ""
    #: The driver's number of it, as its tools count; it may change when the machine is started
    #: again. None where it has none beside `gpu`.
    index: int | None = None
    cores: int | None = None
    #: Share of time in which it was busy.
    utilization: float | None = None
    #: Bytes by kind: in_use, allocated, total, free, reserved.
    memory: Mapping[str, int] = {}
    #: How often the driver had to reset it since it was loaded.
    recoveries: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    #: Counted by the GPU itself; it never falls.
    energy_joules: float | None = None
    #: By sensor: core, memory, edge, junction.
    temperature_celsius: Mapping[str, float] = {}
    #: By clock: graphics, memory, sm, video.
    clock_hertz: Mapping[str, float] = {}
    fan_rpm: float | None = None
    #: By kind: corrected, uncorrected.
    ecc_errors: Mapping[str, int] = {}
    #: Whether it is slowed down now, by a fixed list of reasons.
    throttled: Mapping[str, bool] = {}
    #: Processes on it that are no node's.
    other_processes: int | None = None


class NodeGpu(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one node use of one GPU."""

    node: str
    gpu: str
    #: Bytes.
    memory: int | None = None
    #: GPU time of its processes that the exporter has seen, seconds; it never falls.
    seconds: float | None = None
    #: Share of the GPU's time.
    utilization: float | None = None


class GpuFacts(HostFacts, frozen=True, kw_only=True):
    """What one collector read of GPUs; a collector derives its own type from it."""

    gpus: tuple[Gpu, ...] = ()
    nodes: tuple[NodeGpu, ...] = ()


class AppleGpus(GpuFacts, frozen=True, kw_only=True):
    """The GPUs of a Mac, which share the machine's memory."""

    #: What Metal may wire down, bytes; None where the system decides, as it does by default.
    wired_limit: int | None = None


class NvidiaGpus(GpuFacts, frozen=True, kw_only=True):
    """What NVIDIA's driver tells."""


class AmdGpus(GpuFacts, frozen=True, kw_only=True):
    """What AMD's driver tells."""
