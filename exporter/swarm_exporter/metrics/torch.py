"""What PyTorch itself says that it holds on the GPU of a Mac."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.torch_helper import NodeTorch, TorchMemory
from swarm_exporter.metrics.catalogue import MACOS, Kind, Labels, Metric, Reader, of_host

_NODE = ("node",)
_HELPER = (
    "Needs the collector `torch` and `torch_helper: true` under `launcher` (docs/launcher.md). "
    "Absent before the trainer has imported PyTorch, and while it does not answer for 30 s."
)


def _of_node(read: Callable[[NodeTorch], float | None]) -> Reader:
    def samples(facts: TorchMemory) -> Iterable[tuple[Labels, float | None]]:
        for name, told in facts.nodes.items():
            yield {"node": name}, read(told)

    return of_host(TorchMemory, samples)


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_torch_mps_allocated_bytes",
        Kind.GAUGE,
        "GPU memory that tensors of the node's PyTorch hold.",
        _NODE,
        _of_node(lambda told: told.allocated),
        "The sum over the node's processes. " + _HELPER,
        MACOS,
    ),
    Metric(
        "swarm_torch_mps_driver_allocated_bytes",
        Kind.GAUGE,
        "GPU memory that the node's PyTorch has reserved from Metal, its caches included.",
        _NODE,
        _of_node(lambda told: told.driver_allocated),
        "The sum over the node's processes. What is reserved and was never written to takes no "
        "memory: what the kernel counts is less. " + _HELPER,
        MACOS,
    ),
    Metric(
        "swarm_torch_mps_recommended_max_bytes",
        Kind.GAUGE,
        "GPU memory that Metal recommends to use at most.",
        _NODE,
        _of_node(lambda told: told.recommended_max),
        "Of the device: the same for every node, which share it; do not sum it. PyTorch 2.5 and "
        "later. " + _HELPER,
        MACOS,
    ),
)
