"""Collector `gpu` on macOS: the accelerators of the I/O registry, and who uses their time.

Figures as AGXAccelerator publishes them on Apple Silicon (M1 to M5, macOS 13 to 27): its
PerformanceStatistics, and the AppUsage of its clients, which Activity Monitor shows too.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from swarm_exporter.host import ioreg
from swarm_exporter.host.collector import Collector, Found, Look, Members
from swarm_exporter.host.gpu_facts import AppleGpus, Gpu, NodeGpu
from swarm_exporter.host.ioreg import Entry
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

SysctlInt = Callable[[str], int | None]

#: Subtrees of the accelerators: their clients are below them. Matching follows inheritance.
_ARGUMENTS = ("-r", "-l", "-w", "0", "-c", "IOAccelerator")
_UTILIZATION = "Device Utilization %"
_MEMORY = {"in_use": "In use system memory", "allocated": "Alloc system memory"}
_RECOVERIES = "recoveryCount"
_STATISTICS = {_UTILIZATION, _RECOVERIES, *_MEMORY.values()}
#: macOS 14 and later, and 13. MiB.
_WIRED_LIMITS = ("iogpu.wired_limit_mb", "debug.iogpu.wired_limit")
#: "pid 123, name": the name is cut and may hold anything.
_CREATOR = re.compile(r"pid (\d{1,10}),")
#: Above it no float holds every whole number.
_LARGEST = 2.0**53
#: The driver's average may pass 100 a little; what is far above is no percentage.
_LARGEST_PERCENT = 110.0
#: Ten years of GPU time.
_LARGEST_NANOSECONDS = 10 * 365 * 86_400 * 10**9
_NANOSECONDS = 1e9
_MIB = 1024 * 1024


class Client(msgspec.Struct, frozen=True):
    """One connection of a process to a GPU."""

    #: The registry's id, given once between two starts of the machine.
    id: int
    pid: int
    #: GPU time of each use it was put to, nanoseconds.
    used: tuple[int, ...]
    #: Whether a figure was left out because it was impossible.
    damaged: bool = False


class AppleAccelerator(msgspec.Struct, frozen=True):
    """One accelerator with its clients."""

    gpu: Gpu
    clients: tuple[Client, ...]
    #: False where not one of its statistics has a name that this version knows.
    understood: bool
    #: How many of them were left out because they are impossible.
    invalid: int = 0


def accelerators(found: Iterable[Entry]) -> tuple[AppleAccelerator, ...]:
    """Return the accelerators among outermost objects of the registry, named in their order."""
    return tuple(_accelerator(f"gpu{number}", entry) for number, entry in enumerate(found))


def _accelerator(name: str, entry: Entry) -> AppleAccelerator:
    statistics = entry.get("PerformanceStatistics")
    if not isinstance(statistics, dict):
        statistics = {}
    figures = {
        key: _number(statistics[key], _LARGEST_PERCENT if key == _UTILIZATION else _LARGEST)
        for key in _STATISTICS & statistics.keys()
    }
    known = {key: value for key, value in figures.items() if value is not None}
    busy = known.get(_UTILIZATION)
    recoveries = known.get(_RECOVERIES)
    cores = _number(entry.get("gpu-core-count"), _LARGEST)
    model = _text(entry.get("model"))
    clients = tuple(client for child in ioreg.walk([entry]) for client in _clients(child))
    return AppleAccelerator(
        gpu=Gpu(
            gpu=name,
            vendor="apple" if _is_apple(entry, model) else "",
            model=model,
            cores=int(cores) if cores is not None else None,
            utilization=min(busy / 100, 1.0) if busy is not None else None,
            memory={kind: int(known[key]) for kind, key in _MEMORY.items() if key in known},
            recoveries=int(recoveries) if recoveries is not None else None,
        ),
        clients=clients,
        understood=bool(figures),
        invalid=len(figures) - len(known),
    )


def _is_apple(entry: Entry, model: str) -> bool:
    return model.startswith("Apple") or _text(entry.get("IOClass")).startswith("AGX")


def _clients(entry: Entry) -> Iterable[Client]:
    """Return the client that an object is, if it is one with a process and an id."""
    usage, number = entry.get("AppUsage"), entry.get("IORegistryEntryID")
    creator = _CREATOR.match(_text(entry.get("IOUserClientCreator")))
    if not isinstance(usage, list) or not isinstance(number, int) or creator is None:
        return ()
    pid = int(creator[1])
    if pid == 0:
        return ()
    key = "accumulatedGPUTime"
    told = [use[key] for use in usage if isinstance(use, dict) and key in use]
    used = [_number(time, _LARGEST_NANOSECONDS) for time in told]
    known = tuple(int(time) for time in used if time is not None)
    return (Client(number, pid, known, damaged=len(known) < len(told)),)


def _number(value: object, largest: float) -> float | None:
    """Return a figure that is possible; None for what is none, NaN and wrapped ones among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= largest else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


class ClientTimes:
    """GPU time of each node by GPU; it neither falls nor forgets while clients come and go."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._nanoseconds: dict[tuple[str, str], int] = {}
        #: What was counted of each client, by its id and process.
        self._counted: dict[tuple[int, int], tuple[int, ...]] = {}

    def add(self, gpu: str, clients: Collection[Client], owners: Mapping[int, str]) -> None:
        """Take in the clients of one GPU; `owners` names the node of each process that has one.

        A client that is seen for the first time counts whole: its process is the node's.
        """
        if any(client.used for client in clients):
            # Such figures are there at all, so a node without one has used nothing.
            for node in owners.values():
                self._nanoseconds.setdefault((node, gpu), 0)
        for client in clients:
            # One without figures hides those that it had, and may show them again.
            if not client.used or client.pid not in owners:
                continue
            key = (client.id, client.pid)
            grown, left = growth(self._counted.get(key, ()), client.used)
            self._nanoseconds[owners[client.pid], gpu] += grown
            self._counted[key] = (*client.used, *left) if client.damaged else client.used

    def forget(self, clients: Iterable[Client], owners: Collection[int]) -> None:
        """Forget clients that have closed, once their process is no node's either."""
        seen = {(client.id, client.pid) for client in clients}
        self._counted = {
            key: used for key, used in self._counted.items() if key in seen or key[1] in owners
        }

    def seconds(self) -> dict[tuple[str, str], float]:
        """Return the GPU seconds by node and GPU."""
        return {key: time / _NANOSECONDS for key, time in self._nanoseconds.items()}


def growth(before: Iterable[int], now: Iterable[int]) -> tuple[int, tuple[int, ...]]:
    """Return by how much the uses of one client grew, and the old figures that are gone.

    The uses have no names. Each figure only grows, so a figure goes on from the largest old one
    that is not above it, and counts whole where there is none.
    """
    left, grown = sorted(before), 0
    for figure in sorted(now, reverse=True):
        place = bisect_right(left, figure)
        grown += figure - (left.pop(place - 1) if place else 0)
    return grown, tuple(left)


class AppleGpuCollector(Collector):
    """Reads the GPUs of a Mac: one run of ioreg for the machine and for all nodes."""

    name = "gpu"
    about = "GPU use, memory and resets, and GPU time of each node (ioreg -c IOAccelerator)"
    #: The tool walks much of the registry: tens of milliseconds of CPU.
    shortest_interval = 10.0

    def __init__(
        self,
        run: Run = run_tool,
        sysctl_int: SysctlInt | None = None,
        platform: str = sys.platform,
    ) -> None:
        """Begin without counted GPU time; `sysctl_int` is by default this machine's own."""
        self._run = run
        self._sysctl_int = sysctl_int
        self._platform = platform
        self._times = ClientTimes()

    def is_present(self) -> bool:
        """Tell whether this is a Mac."""
        return self._platform == "darwin"

    def read(self, look: Look) -> Found:
        """Read the machine's GPUs and their clients. Raises SourceError where ioreg fails."""
        members = look.members()
        found = accelerators(ioreg.ask(self._run, *_ARGUMENTS))
        defects = [Reason.INVALID_VALUE] * sum(each.invalid for each in found)
        if found and not any(each.understood for each in found):
            defects.append(Reason.MALFORMED)
        defects += [Reason.INVALID_VALUE] * self._count(found, members)
        names = {node.name for node in look.config.nodes} | members.keys()
        return Found(
            AppleGpus(
                gpus=tuple(each.gpu for each in found),
                nodes=tuple(
                    NodeGpu(node=node, gpu=gpu, seconds=seconds)
                    for (node, gpu), seconds in self._times.seconds().items()
                    if node in names
                ),
                wired_limit=self._wired_limit(defects),
            ),
            tuple(defects),
            ", ".join(_words(each.gpu) for each in found) or "no GPU",
        )

    def _count(self, found: Iterable[AppleAccelerator], members: Members) -> int:
        """Take in the clients; return how many of nodes had figures that are impossible."""
        owners = {member.pid: node for node, own in members.items() for member in own}
        seen: list[Client] = []
        for each in found:
            self._times.add(each.gpu.gpu, each.clients, owners)
            seen += each.clients
        self._times.forget(seen, owners.keys())
        return sum(client.damaged for client in seen if client.pid in owners)

    def _wired_limit(self, defects: list[Reason]) -> int | None:
        ask = self._sysctl_int = self._sysctl_int or _sysctl_of_this_mac()
        try:
            for name in _WIRED_LIMITS:
                limit = ask(name)
                # 0 says that the system decides.
                if limit is not None:
                    return limit * _MIB if limit > 0 else None
        except SourceError as error:
            defects.append(error.reason)
        return None


def _words(gpu: Gpu) -> str:
    cores = f", {gpu.cores} cores" if gpu.cores is not None else ""
    return f"{gpu.model or gpu.gpu}{cores}"


def _sysctl_of_this_mac() -> SysctlInt:
    from swarm_exporter.host.darwin import Darwin

    ask: SysctlInt = Darwin().sysctl_int
    return ask
