"""The processors of a Mac: host_processor_info of xnu, through psutil; ticks are 10 ms."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from swarm_exporter.host.attempts import refusal
from swarm_exporter.host.cpu import MODES
from swarm_exporter.host.cpu_clusters_darwin import darwin_clusters
from swarm_exporter.host.sysctl_darwin import sysctl_of_this_mac, sysctl_text
from swarm_exporter.host.tool import run_tool


def darwin_times() -> dict[int, dict[str, float]]:
    """Return the times of all processors. Raises SourceError."""
    try:
        found = psutil.cpu_times(percpu=True)
    except (OSError, RuntimeError) as error:
        raise refusal(error, "host_processor_info") from None
    return {
        cpu: {mode: getattr(times, mode) for mode in MODES if hasattr(times, mode)}
        for cpu, times in enumerate(found)
    }


def clusters_of_this_mac() -> Mapping[int, str]:
    """Return the tier of each processor; empty where it is not known."""
    sysctl = sysctl_of_this_mac()
    return darwin_clusters(run_tool, lambda name: sysctl_text(sysctl, name), sysctl.sysctl_int)
