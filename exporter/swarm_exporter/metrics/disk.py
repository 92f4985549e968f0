"""Room where nodes and launcher write, and what their disks read and wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.disk import BlockDevice, Disks, FileSystem
from swarm_exporter.metrics.catalogue import (
    BOTH,
    LINUX,
    Kind,
    Labels,
    Metric,
    Reader,
    label_value,
    of_host,
)


def _of_file_system(read: Callable[[FileSystem], float | None]) -> Reader:
    def samples(facts: Disks) -> Iterable[tuple[Labels, float | None]]:
        for one in facts.file_systems:
            yield {"mountpoint": label_value(one.mountpoint)}, read(one)

    return of_host(Disks, samples)


def _of_device(read: Callable[[BlockDevice], float]) -> Reader:
    def samples(facts: Disks) -> Iterable[tuple[Labels, float | None]]:
        for one in facts.devices:
            yield {"device": label_value(one.name)}, read(one)

    return of_host(Disks, samples)


_ABSENT = (
    "Linux: the whole disks, or mapped devices, below the file systems named above; absent for "
    "those that have none of their own (tmpfs, overlay, btrfs, NFS). macOS: all whole disks."
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_host_disk_size_bytes",
        Kind.GAUGE,
        "Size of a file system on which nodes, their logs or the exporter's state lie.",
        ("mountpoint",),
        _of_file_system(lambda one: one.size),
        "Each file system once, others not at all.",
        BOTH,
    ),
    Metric(
        "swarm_host_disk_free_bytes",
        Kind.GAUGE,
        "What a user can still write to this file system.",
        ("mountpoint",),
        _of_file_system(lambda one: one.free),
        "macOS: without what it would purge first.",
        BOTH,
    ),
    Metric(
        "swarm_host_disk_inodes_free",
        Kind.GAUGE,
        "Files that can still be made on this file system.",
        ("mountpoint",),
        _of_file_system(lambda one: one.inodes_free),
        "Absent where the file system has no such limit.",
        LINUX,
    ),
    Metric(
        "swarm_host_disk_read_bytes_total",
        Kind.COUNTER,
        "Bytes read from the disk since the machine was started.",
        ("device",),
        _of_device(lambda one: one.read),
        _ABSENT,
        BOTH,
    ),
    Metric(
        "swarm_host_disk_written_bytes_total",
        Kind.COUNTER,
        "Bytes written to the disk since the machine was started.",
        ("device",),
        _of_device(lambda one: one.written),
        _ABSENT,
        BOTH,
    ),
)
