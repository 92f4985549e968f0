"""Snapshot -> Prometheus metric families. A new metric is one entry in one of these files."""

from __future__ import annotations

from swarm_exporter.metrics import (
    chain,
    disk,
    exporter,
    gpus,
    hosted,
    launcher,
    login,
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
    training,
    wandb,
)
from swarm_exporter.metrics.catalogue import Metric

#: Every metric of the program, by the part of the reference that tells of it.
PARTS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    ("Rewards", rewards.METRICS),
    ("The swarm", swarm.METRICS),
    ("Nodes", nodes.METRICS),
    ("The hosted dashboard", hosted.METRICS),
    ("The chain", chain.METRICS),
    ("Training logs", training.METRICS),
    ("Logins and runs", (*login.METRICS, *wandb.METRICS)),
    ("The launcher", launcher.METRICS),
    ("What each node costs", processes.METRICS),
    ("Unified memory and heat", (*mps.METRICS, *torch.METRICS)),
    ("GPUs", gpus.METRICS),
    ("The machine", (*machine.METRICS, *memory.METRICS, *disk.METRICS, *network.METRICS)),
    ("Temperatures, fans, power, clocks", thermals.METRICS),
    ("Room for more", room.METRICS),
    ("Sources", sources.METRICS),
    ("The exporter", exporter.METRICS),
)

CATALOGUE: tuple[Metric, ...] = tuple(metric for _, metrics in PARTS for metric in metrics)
