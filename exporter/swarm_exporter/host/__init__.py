"""What each node costs the machine, and how the machine fares. One file for each collector."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarm_exporter.host.collector import Collector
    from swarm_exporter.host.trees import NodeTrees

#: Every collector by its name, and where it is; a new one is a line here. They are imported where
#: they are asked.
COLLECTORS = {
    "process": "process:Processes",
    "footprint": "footprint:MemoryFootprint",
    "mps": "mps:MpsCollector",
    "torch": "torch_helper:TorchHelper",
    "gpu": "apple_gpu:AppleGpuCollector",
    "nvidia": "nvidia:NvidiaCollector",
    "amd": "amd:AmdCollector",
    "cpu": "cpu:Cpu",
    "load": "load:LoadAverage",
    "memory": "memory:MachineMemory",
    "swap": "swap:MachineSwap",
    "pressure": "pressure:MachinePressure",
    "disk": "disk:MachineDisks",
    "network": "network:MachineNetwork",
    "temperature": "temperature:Temperatures",
    "thermal": "thermal:ThermalCollector",
    "macmon": "macmon:MacmonPipe",
    "room": "room:RoomCollector",
}


def collectors(trees: NodeTrees) -> tuple[Collector, ...]:
    """Return one of each collector; those that read processes share `trees`."""
    found = []
    for place in COLLECTORS.values():
        module, _, name = place.partition(":")
        kind = getattr(import_module(f"swarm_exporter.host.{module}"), name)
        found.append(kind(trees) if name == "Processes" else kind())
    return tuple(found)
