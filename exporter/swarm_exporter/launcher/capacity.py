"""How many nodes a machine has room for, and which of its parts ends their number."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

import msgspec

from swarm_exporter.config.values import size_of_anything
from swarm_exporter.launcher.machine import Gpu, Machine
from swarm_exporter.launcher.profile import Profile

_GIB = 2**30
#: The system and its services take so much on the smallest machine.
LEAST_RESERVE = 2 * _GIB
#: One part in so many of larger ones: with less available, alerts on memory fire.
RESERVE_PARTS = 10
#: The same part of a GPU's memory stays with its driver and the desktop.
GPU_RESERVE_PARTS = 10
#: A profile that needs nothing, where the cores are unknown, fits no more often than this.
MOST_NODES = 200


class Limit(str, Enum):
    """What ends the number of nodes first."""

    MEMORY = "memory"
    GPU_MEMORY = "gpu_memory"
    CORES = "cores"
    DISK = "disk"


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one node takes, bytes."""

    memory: int
    #: No measurement tells it, so the profile's figure of all memory stands for it.
    gpu_memory: int
    #: Of a node that is not set up yet.
    disk: int


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes there is room for."""

    nodes: int
    limit: Limit
    #: One sentence for a person.
    reason: str


def need_of(profile: Profile, measured: int | None, *, tuned: bool) -> Need:
    """Return what a node takes, with the training keys that save memory or as upstream comes."""
    plain = size_of_anything(profile.need.memory)
    figure = plain
    if tuned and profile.tuning is not None:
        figure = min(plain, size_of_anything(profile.need.tuned_memory))
    return Need(
        memory=figure if measured is None else measured,
        gpu_memory=figure,
        disk=size_of_anything(profile.need.disk),
    )


def reserve_of(machine: Machine, configured: int | None) -> tuple[int, str]:
    """Return the memory that is left to the machine, and why so much."""
    if configured is not None:
        return configured, "as configured"
    part = machine.total_memory // RESERVE_PARTS
    if part > LEAST_RESERVE:
        return part, "a tenth, for with less available it begins to swap"
    return LEAST_RESERVE, "what the system and its services take"


def room_for(
    machine: Machine, gpus: Collection[Gpu], need: Need, *, reserve: int, existing: int
) -> Room:
    """Return how many nodes fit. `gpus` are those that nodes may use, empty where they use none.

    `existing` nodes are set up already and need no more disk.
    """
    rooms = [_memory(machine, need, reserve)]
    totals = [gpu.total_memory for gpu in gpus if gpu.total_memory is not None]
    if totals and len(totals) == len(gpus):
        rooms.append(_gpu_memory(totals, need))
    if machine.performance_cores is not None:
        rooms.append(_cores(machine.performance_cores, machine.efficiency_cores))
    if machine.disk_free is not None:
        rooms.append(_disk(machine.disk_free, need, existing))
    room = min(rooms, key=lambda room: room.nodes)
    return msgspec.structs.replace(room, nodes=min(room.nodes, MOST_NODES))


def gib(count: int) -> str:
    """Return bytes for people: `6.5 GiB`."""
    return f"{count / _GIB:.1f} GiB"


def _memory(machine: Machine, need: Need, reserve: int) -> Room:
    left = max(0, machine.total_memory - reserve)
    return Room(
        nodes=left // max(1, need.memory),
        limit=Limit.MEMORY,
        reason=f"Memory is the limit: of {gib(machine.total_memory)}, {gib(left)} are for nodes, "
        f"and one takes {gib(need.memory)}.",
    )


def _gpu_memory(totals: Collection[int], need: Need) -> Room:
    usable = [total - total // GPU_RESERVE_PARTS for total in totals]
    sizes = " and ".join(gib(size) for size in usable)
    return Room(
        nodes=sum(size // max(1, need.gpu_memory) for size in usable),
        limit=Limit.GPU_MEMORY,
        reason=f"GPU memory is the limit: {sizes} are for nodes, and one takes "
        f"{gib(need.gpu_memory)} of one GPU.",
    )


def _cores(performance: int, efficiency: int) -> Room:
    kind = "performance core" if efficiency else "core"
    return Room(
        nodes=performance,
        limit=Limit.CORES,
        reason=f"Cores are the limit: each node needs a {kind} of its own, and there "
        f"{'is 1' if performance == 1 else f'are {performance}'}.",
    )


def _disk(free: int, need: Need, existing: int) -> Room:
    there = f", beside the {existing} that are set up" if existing else ""
    return Room(
        nodes=existing + free // max(1, need.disk),
        limit=Limit.DISK,
        reason=f"The disk is the limit: {gib(free)} are free where the nodes' folders are, and "
        f"each new node takes {gib(need.disk)}{there}.",
    )
