"""The exporter itself: version, configuration, state, and what it costs the machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable

import psutil

from swarm_exporter import __version__
from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, of_snapshot
from swarm_exporter.model import Snapshot

_process = psutil.Process()


def _build_info(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:  # noqa: ARG001
    yield {"version": __version__, "python_version": platform.python_version()}, 1.0


def _cpu_seconds(snapshot: Snapshot) -> float:  # noqa: ARG001
    times = _process.cpu_times()
    return times.user + times.system


METRICS = (
    Metric(
        "swarm_exporter_build_info",
        Kind.INFO,
        "Version of the exporter and of the Python it runs on.",
        ("version", "python_version"),
        _build_info,
    ),
    Metric(
        "swarm_exporter_config_last_reload_successful",
        Kind.GAUGE,
        "1 where the newest configuration is in force, 0 where it was refused.",
        (),
        of_snapshot(lambda s: float(s.exporter.config_ok)),
        "Where it was refused, the one before stays in force; the log says what is wrong.",
    ),
    Metric(
        "swarm_exporter_config_last_reload_success_timestamp_seconds",
        Kind.GAUGE,
        "When the configuration in force was loaded, Unix time.",
        (),
        of_snapshot(lambda s: s.exporter.config_loaded),
    ),
    Metric(
        "swarm_exporter_state_last_save_successful",
        Kind.GAUGE,
        "1 where the last save of the accounts succeeded, 0 where a restart would lose some.",
        (),
        of_snapshot(lambda s: float(s.exporter.state_saved)),
    ),
    Metric(
        "process_start_time_seconds",
        Kind.GAUGE,
        "When the exporter's process began, Unix time.",
        (),
        of_snapshot(lambda _: _process.create_time()),
    ),
    Metric(
        "process_cpu_seconds_total",
        Kind.COUNTER,
        "CPU time of the exporter's process, user and system.",
        (),
        of_snapshot(_cpu_seconds),
        live=True,
    ),
    Metric(
        "process_resident_memory_bytes",
        Kind.GAUGE,
        "Resident memory of the exporter's process.",
        (),
        of_snapshot(lambda _: float(_process.memory_info().rss)),
        live=True,
    ),
    Metric(
        "process_open_fds",
        Kind.GAUGE,
        "Open file descriptors of the exporter's process.",
        (),
        of_snapshot(lambda _: float(_process.num_fds())),
        live=True,
    ),
)
