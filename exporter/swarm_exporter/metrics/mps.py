"""What nodes hold of a Mac's unified memory for the GPU, and how hot the Mac is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.mps import MpsMemory, NodeMps
from swarm_exporter.host.thermal import ThermalPressure
from swarm_exporter.metrics.catalogue import MACOS, Kind, Labels, Metric, Reader, of_host

_NODE = ("node",)


def _of_node(read: Callable[[NodeMps], float | None]) -> Reader:
    def samples(facts: MpsMemory) -> Iterable[tuple[Labels, float | None]]:
        for name, memory in facts.nodes.items():
            yield {"node": name}, read(memory)

    return of_host(MpsMemory, samples)


def _watermarks(facts: MpsMemory) -> Iterable[tuple[Labels, float | None]]:
    for name, memory in facts.nodes.items():
        yield {"node": name, "bound": "high"}, memory.high_watermark
        yield {"node": name, "bound": "low"}, memory.low_watermark


METRICS = (
    Metric(
        "swarm_mps_memory_bytes",
        Kind.GAUGE,
        "Memory that the node's processes hold for the GPU and that is in RAM.",
        _NODE,
        _of_node(lambda memory: memory.resident),
        "The kernel's own figure; a part of `swarm_process_footprint_bytes`, so do not add them.",
        MACOS,
    ),
    Metric(
        "swarm_mps_memory_compressed_bytes",
        Kind.GAUGE,
        "Memory that they hold for the GPU and that is compressed or swapped out.",
        _NODE,
        _of_node(lambda memory: memory.compressed),
        "It grows while a node trains only where the machine is short of memory.",
        MACOS,
    ),
    Metric(
        "swarm_mps_watermark_ratio",
        Kind.GAUGE,
        "Share of Metal's recommended memory at which PyTorch in this node stops or frees.",
        ("node", "bound"),
        of_host(MpsMemory, _watermarks),
        "Bounds: `high`, where it refuses more, and `low`, where it begins to free. Absent where "
        "the node was started without (PyTorch's defaults are 1.7 and 1.4); 0 is no bound at all.",
        MACOS,
    ),
    Metric(
        "swarm_host_thermal_pressure_level",
        Kind.GAUGE,
        "How hot macOS says the machine is, from 0 (nominal) to 4.",
        (),
        of_host(ThermalPressure, lambda facts: [({}, facts.level)]),
        "0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping; from 1 on the machine is slowed "
        "down.",
        MACOS,
    ),
)
