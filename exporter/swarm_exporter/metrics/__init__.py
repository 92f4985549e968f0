"""Snapshot -> Prometheus metric families. A new metric is one entry in one of these files."""

from __future__ import annotations

from swarm_exporter.metrics import (
    disk,
    exporter,
    gpus,
    launcher,
    machine,
    memory,
    mps,
    network,
    nodes,
    processes,
    rewards,
    room,
    sources,
    swarm,
    thermals,
    torch,
)
from swarm_exporter.metrics.catalogue import Metric

#: Every metric of the program, in the order of the reference.
CATALOGUE: tuple[Metric, ...] = (
    *rewards.METRICS,
    *swarm.METRICS,
    *nodes.METRICS,
    *launcher.METRICS,
    *processes.METRICS,
    *mps.METRICS,
    *torch.METRICS,
    *gpus.METRICS,
    *machine.METRICS,
    *memory.METRICS,
    *disk.METRICS,
    *network.METRICS,
    *thermals.METRICS,
    *room.METRICS,
    *sources.METRICS,
    *exporter.METRICS,
)
