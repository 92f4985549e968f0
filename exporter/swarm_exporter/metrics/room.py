"""What the plan says: how many nodes fit, and how many more."""

from __future__ import annotations

from swarm_exporter.host.room import Room
from swarm_exporter.metrics.catalogue import BOTH, Kind, Metric, of_host

METRICS = (
    Metric(
        "swarm_plan_fitting_nodes",
        Kind.GAUGE,
        "Nodes that fit on this machine, those that run among them.",
        (),
        of_host(Room, lambda facts: [({}, facts.fit)]),
        "As `swarm-exporter plan` says, which gives the reason.",
        BOTH,
    ),
    Metric(
        "swarm_plan_room_nodes",
        Kind.GAUGE,
        "How many more nodes fit than run now.",
        (),
        of_host(Room, lambda facts: [({}, facts.more)]),
        "Below zero where more run than fit well.",
        BOTH,
    ),
    Metric(
        "swarm_plan_node_memory_bytes",
        Kind.GAUGE,
        "Memory that one node takes: measured on one that has trained for half an hour, else the "
        "profile's figure.",
        (),
        of_host(Room, lambda facts: [({}, facts.node_memory)]),
        "",
        BOTH,
    ),
)
