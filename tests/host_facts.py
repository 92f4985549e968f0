"""What collectors read of a machine of which everything is known."""

from __future__ import annotations

from collections.abc import Mapping

from swarm_exporter.host.footprint import Footprint, Footprints
from swarm_exporter.host.process import NodeUsage, ProcessUsage
from swarm_exporter.model import HostFacts


def make_host() -> Mapping[type[HostFacts], HostFacts]:
    usage = NodeUsage(
        count=12,
        threads=140,
        open_fds=310,
        resident=2_147_483_648,
        started=1_799_996_400.0,
        cpu_seconds=7_200.5,
        performance_cpu_seconds=6_400.25,
        disk_read=1_048_576.0,
        disk_written=2_097_152.0,
        energy_joules=9_000.0,
        cores=1.5,
    )
    facts: list[HostFacts] = [
        ProcessUsage(nodes={"1": usage, "2": NodeUsage(count=0)}),
        Footprints(nodes={"1": Footprint(6_442_450_944, 8_589_934_592)}),
    ]
    return {type(one): one for one in facts}
