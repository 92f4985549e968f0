"""What the GPUs of this machine do, and what each node uses of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from swarm_exporter.host.gpu_facts import AppleGpus, Gpu, GpuFacts, NodeGpu
from swarm_exporter.metrics.catalogue import (
    BOTH,
    LINUX,
    MACOS,
    Kind,
    Labels,
    Metric,
    Reader,
    label_value,
    of_host,
)
from swarm_exporter.model import Snapshot


def _facts(snapshot: Snapshot) -> Iterator[GpuFacts]:
    return (facts for facts in snapshot.host.values() if isinstance(facts, GpuFacts))


def _of_gpu(read: Callable[[Gpu], float | None]) -> Reader:
    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for facts in _facts(snapshot):
            for gpu in facts.gpus:
                value = read(gpu)
                if value is not None:
                    yield {"gpu": label_value(gpu.gpu)}, float(value)

    return samples


def _by(label: str, read: Callable[[Gpu], Mapping[str, float]]) -> Reader:
    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for facts in _facts(snapshot):
            for gpu in facts.gpus:
                for kind, value in read(gpu).items():
                    yield {"gpu": label_value(gpu.gpu), label: kind}, float(value)

    return samples


def _of_node(read: Callable[[NodeGpu], float | None]) -> Reader:
    def samples(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
        for facts in _facts(snapshot):
            for share in facts.nodes:
                value = read(share)
                if value is not None:
                    yield {"node": share.node, "gpu": label_value(share.gpu)}, float(value)

    return samples


def _info(snapshot: Snapshot) -> Iterable[tuple[Labels, float]]:
    for facts in _facts(snapshot):
        for gpu in facts.gpus:
            labels = {
                "gpu": label_value(gpu.gpu),
                "vendor": gpu.vendor,
                "model": label_value(gpu.model),
                "cores": "" if gpu.cores is None else str(gpu.cores),
                "index": "" if gpu.index is None else str(gpu.index),
            }
            yield labels, 1.0


def _mps_memory(facts: AppleGpus) -> float | None:
    """Sum what is in use over all GPUs; a sum with one of them unknown would be too small."""
    figures = [gpu.memory.get("in_use") for gpu in facts.gpus]
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known and len(known) == len(figures) else None


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_gpu_memory_bytes",
        Kind.GAUGE,
        "GPU memory that the node's processes hold.",
        ("node", "gpu"),
        _of_node(lambda share: share.memory),
        "Absent where the driver does not tell it by process (WSL2, some MIG and vGPU).",
        LINUX,
    ),
    Metric(
        "swarm_gpu_seconds_total",
        Kind.COUNTER,
        "GPU time that the node's processes have used.",
        ("node", "gpu"),
        _of_node(lambda share: share.seconds),
        "Of the processes that the exporter has seen, each from its own beginning; it stays when "
        "the node stops. What a process used between the last look and its end is lost. Work that "
        "overlaps on the GPU counts for each, so the rate may exceed 1. NVIDIA's driver does not "
        "tell it.",
        BOTH,
    ),
    Metric(
        "swarm_gpu_utilization_ratio",
        Kind.GAUGE,
        "Share of the GPU's time that the node's processes use.",
        ("node", "gpu"),
        _of_node(lambda share: share.utilization),
        "NVIDIA only; elsewhere take the rate of `swarm_gpu_seconds_total`. Absent while none of "
        "its processes computes, as the driver has no samples of those that idle, and on parts of "
        "a GPU (MIG).",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_info",
        Kind.INFO,
        "A GPU of this machine; always 1.",
        ("gpu", "vendor", "model", "cores", "index"),
        _info,
        "`cores` is empty where the driver does not tell it. `index` is the GPU's number in "
        "nvidia-smi; empty on others, and on parts of a GPU (MIG).",
        BOTH,
    ),
    Metric(
        "swarm_host_gpu_utilization_ratio",
        Kind.GAUGE,
        "Share of time in which the GPU was busy, whoever used it.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.utilization),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_gpu_memory_bytes",
        Kind.GAUGE,
        "Memory of the GPU by kind, whoever uses it.",
        ("gpu", "kind"),
        _by("kind", lambda gpu: gpu.memory),
        "Kinds on macOS: `in_use`, and `allocated`, which is reserved address space and may exceed "
        "the machine's memory. On Linux: `in_use`, `total`, `free`, `reserved` as the driver has "
        "them. The kinds do not add up to a sum.",
        BOTH,
    ),
    Metric(
        "swarm_host_mps_memory_bytes",
        Kind.GAUGE,
        "Memory in use by Metal over all processes and GPUs of this Mac.",
        (),
        of_host(AppleGpus, lambda facts: [({}, _mps_memory(facts))]),
        "The window server and browsers are in it.",
        MACOS,
    ),
    Metric(
        "swarm_host_gpu_wired_limit_bytes",
        Kind.GAUGE,
        "What the GPU may wire down, where a person has set it (iogpu.wired_limit_mb).",
        (),
        of_host(AppleGpus, lambda facts: [({}, facts.wired_limit)]),
        "Absent where the system decides, as it does by default.",
        MACOS,
    ),
    Metric(
        "swarm_host_gpu_recoveries_total",
        Kind.COUNTER,
        "How often the driver had to reset the GPU since the machine was started.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.recoveries),
        "A reset ends the work of all its processes; too little memory is a usual cause.",
        MACOS,
    ),
    Metric(
        "swarm_host_gpu_power_watts",
        Kind.GAUGE,
        "Power that the GPU draws.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.power_watts),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_power_limit_watts",
        Kind.GAUGE,
        "Power to which the driver holds the GPU.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.power_limit_watts),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_energy_joules_total",
        Kind.COUNTER,
        "Energy that the GPU has used, as it counts itself.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.energy_joules),
        "Absent where the GPU has no such counter.",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_temperature_celsius",
        Kind.GAUGE,
        "Temperature of the GPU by sensor.",
        ("gpu", "sensor"),
        _by("sensor", lambda gpu: gpu.temperature_celsius),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_clock_hertz",
        Kind.GAUGE,
        "Clock rates of the GPU.",
        ("gpu", "clock"),
        _by("clock", lambda gpu: gpu.clock_hertz),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_fan_speed_rpm",
        Kind.GAUGE,
        "Speed of the GPU's fan.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.fan_rpm),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_ecc_errors_total",
        Kind.COUNTER,
        "Memory errors that the GPU has found since the driver was loaded.",
        ("gpu", "kind"),
        _by("kind", lambda gpu: gpu.ecc_errors),
        "Kinds: `corrected`, `uncorrected`. Absent where its memory has no ECC.",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_throttled",
        Kind.GAUGE,
        "1 where the GPU is slowed down now for this reason, 0 where it is not.",
        ("gpu", "reason"),
        _by("reason", lambda gpu: gpu.throttled),
        "",
        LINUX,
    ),
    Metric(
        "swarm_host_gpu_other_processes",
        Kind.GAUGE,
        "Processes on the GPU that belong to no node.",
        ("gpu",),
        _of_gpu(lambda gpu: gpu.other_processes),
        "In a container the driver names processes by the host's pids, and all are strangers: run "
        "the exporter on the host.",
        LINUX,
    ),
)
