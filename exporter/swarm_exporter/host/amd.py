"""Collector `amd`: AMD's GPUs by what the driver amdgpu writes to /sys and /proc; no library.

The machine: /sys/class/drm/card*/device and its hwmon. Processes: /proc/PID/fdinfo of files below
/dev/dri (drm-usage-stats of the kernel; sizes in KiB or MiB), and for compute that older kernels
leave out of it /sys/class/kfd/kfd/proc/PID.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.gpu_facts import AmdGpus, Gpu, NodeGpu
from swarm_exporter.reasons import Reason

_VENDOR = "0x1002"
_CARD = re.compile(r"card\d+")
_DEVICES = "/dev/dri/"
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NANOSECONDS = 1e9
#: A client that could not be read for so many readings is closed.
_REMEMBERED_READINGS = 20
_MICRO = 1e-6
_MILLI = 1e-3
_PERCENT = 1e-2
_MEMORY = {
    "in_use": "mem_info_vram_used",
    "total": "mem_info_vram_total",
    # Memory of the machine that the GPU may use beside its own.
    "gtt_in_use": "mem_info_gtt_used",
    "gtt_total": "mem_info_gtt_total",
}
_SENSORS = {"edge": "edge", "junction": "junction", "mem": "memory"}
_CLOCKS = {"sclk": "graphics", "mclk": "memory"}


class Client(msgspec.Struct, frozen=True):
    """One opening of a GPU, as fdinfo tells of it; forked processes share it."""

    gpu: str
    id: str
    #: Bytes of the GPU's own memory that are resident; None where it does not tell.
    memory: int | None
    #: Busy time by engine, nanoseconds; empty where it does not tell.
    engines: Mapping[str, int]


class AmdCollector(Collector):
    """Reads every card of AMD, and what the processes of each node use of it."""

    name = "amd"
    about = "AMD GPUs: use, memory, power, heat, and each node's share (amdgpu's /sys and fdinfo)"

    def __init__(self, root: Path = Path("/")) -> None:
        """Read below `root`."""
        self._root = root
        #: GPU time by node and GPU, nanoseconds; and the highest figure of each client's engines.
        self._times: dict[tuple[str, str], int] = {}
        self._clients: dict[tuple[str, str], dict[str, int]] = {}
        self._missed: dict[tuple[str, str], int] = {}

    def is_present(self) -> bool:
        """Tell whether there is a card of AMD with its driver."""
        return any(True for _ in self._cards())

    def read(self, look: Look) -> Found:
        """Read every card and the open files of every node's processes."""
        gpus = [_gpu(name, device) for name, device in self._cards()]
        compute_ids = self._compute_ids()
        numbers = {gpu.gpu: compute_ids.get(gpu.gpu) for gpu in gpus}
        nodes: list[NodeGpu] = []
        defects: list[Reason] = []
        refused: set[str] = set()
        seen: set[tuple[str, str]] = set()
        for node, own in look.members().items():
            try:
                nodes += self._node(node, [member.pid for member in own], numbers, seen)
            except PermissionError:
                refused.add(node)
                defects.append(Reason.PERMISSION)
        if not refused:
            # What was refused may be open still.
            self._forget(seen)
        nodes += self._idle(look, nodes, refused)
        words = ", ".join(gpu.model or gpu.gpu for gpu in gpus) or "no GPU"
        return Found(AmdGpus(gpus=tuple(gpus), nodes=tuple(nodes)), tuple(defects), words)

    def _cards(self) -> Iterable[tuple[str, Path]]:
        """Return the PCI address and the device folder of each card."""
        folder = self._root / "sys/class/drm"
        try:
            names = sorted(path.name for path in folder.iterdir() if _CARD.fullmatch(path.name))
        except OSError:
            return
        for name in names:
            device = folder / name / "device"
            if _text(device / "vendor") == _VENDOR and (device / "mem_info_vram_total").exists():
                yield device.resolve().name, device

    def _node(
        self,
        node: str,
        pids: Iterable[int],
        compute_ids: Mapping[str, str | None],
        seen: set[tuple[str, str]],
    ) -> list[NodeGpu]:
        """Return what one node uses of each GPU. Raises PermissionError."""
        held: dict[str, list[int | None]] = {}
        for pid in pids:
            by_file: dict[str, list[int | None]] = {}
            for client in self._clients_of(pid):
                # What a fork inherits is the same client, and counts where it is first seen.
                if (client.gpu, client.id) not in seen:
                    seen.add((client.gpu, client.id))
                    by_file.setdefault(client.gpu, []).append(client.memory)
                    self._count(node, client)
            for gpu, number in compute_ids.items():
                compute = self._compute_memory(number, pid)
                found = by_file.get(gpu, [])
                if compute is not None:
                    # Newer kernels tell the same in both places.
                    found = [max(compute, sum(size or 0 for size in found))]
                held.setdefault(gpu, []).extend(found)
        return [
            NodeGpu(node=node, gpu=gpu, memory=_sum(sizes), seconds=self._seconds(node, gpu))
            for gpu, sizes in held.items()
            if sizes
        ]

    def _idle(self, look: Look, told: Iterable[NodeGpu], refused: Container[str]) -> list[NodeGpu]:
        """Return the counters of nodes that have no GPU open now; they stay."""
        names = {node.name for node in look.config.nodes if node.name not in refused}
        active = {(share.node, share.gpu) for share in told}
        return [
            NodeGpu(node=node, gpu=gpu, seconds=self._seconds(node, gpu))
            for node, gpu in self._times
            if node in names and (node, gpu) not in active
        ]

    def _forget(self, seen: set[tuple[str, str]]) -> None:
        """Forget clients that were not seen for a while; the kernel gives no number twice."""
        self._missed = {
            key: self._missed.get(key, 0) + 1 for key in self._clients if key not in seen
        }
        for key, missed in self._missed.items():
            if missed > _REMEMBERED_READINGS:
                del self._clients[key]

    def _count(self, node: str, client: Client) -> None:
        """Add by how much each engine's time grew.

        A driver may step back for a while, and catches up: the highest figure stands until then.
        """
        if not client.engines:
            return
        highest = self._clients.setdefault((client.gpu, client.id), {})
        grown = 0
        for engine, time in client.engines.items():
            before = highest.get(engine, 0)
            grown += max(time - before, 0)
            highest[engine] = max(time, before)
        self._times[node, client.gpu] = self._times.get((node, client.gpu), 0) + grown

    def _seconds(self, node: str, gpu: str) -> float | None:
        time = self._times.get((node, gpu))
        return time / _NANOSECONDS if time is not None else None

    def _clients_of(self, pid: int) -> Iterable[Client]:
        """Return what a process has opened; one that has ended has nothing.

        Raises PermissionError.
        """
        folder = self._root / "proc" / str(pid)
        try:
            numbers = os.listdir(folder / "fd")  # noqa: PTH208 - for speed
        except (FileNotFoundError, ProcessLookupError):
            return
        except PermissionError:
            if self._has_ended(pid):
                return
            raise
        for number in numbers:
            try:
                if os.readlink(folder / "fd" / number).startswith(_DEVICES):  # noqa: PTH115
                    client = parse_fdinfo((folder / "fdinfo" / number).read_text())
                    if client is not None:
                        yield client
            except (FileNotFoundError, ProcessLookupError, ValueError):
                continue

    def _has_ended(self, pid: int) -> bool:
        """Tell whether a process waits for its parent (a zombie), which only root may look into."""
        stat = _text(self._root / "proc" / str(pid) / "stat")
        return stat is None or stat.rpartition(") ")[2][:1] in ("Z", "X")

    def _compute_memory(self, number: str | None, pid: int) -> int | None:
        """Return what a process holds by ROCm's own accounting, where this kernel has it.

        Raises PermissionError.
        """
        if number is None:
            return None
        path = self._root / "sys/class/kfd/kfd/proc" / str(pid) / f"vram_{number}"
        try:
            text = path.read_text().strip()
        except PermissionError:
            raise
        except OSError:
            return None
        return int(text) if text.isdigit() else None

    def _compute_ids(self) -> dict[str, str]:
        """Return ROCm's number of each GPU by its PCI address (domain:bus:device.function)."""
        found: dict[str, str] = {}
        for node in sorted((self._root / "sys/class/kfd/kfd/topology/nodes").glob("*")):
            properties = dict(
                line.split(" ", 1)
                for line in (_text(node / "properties") or "").splitlines()
                if " " in line
            )
            place, domain = properties.get("location_id"), properties.get("domain", "0")
            number = _text(node / "gpu_id")
            if place is not None and place.isdigit() and domain.isdigit() and number:
                bus, rest = int(place) >> 8, int(place) & 0xFF
                address = f"{int(domain):04x}:{bus:02x}:{rest >> 3:02x}.{rest & 7:x}"
                found.setdefault(address, number)
        return found


def parse_fdinfo(text: str) -> Client | None:
    """Return what one file of fdinfo tells of AMD's driver; None where it is another's."""
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    gpu, number = fields.get("drm-pdev"), fields.get("drm-client-id")
    if fields.get("drm-driver") != "amdgpu" or not gpu or not number:
        return None
    # The second is the first's old name: never both.
    memory = _size(fields.get("drm-resident-vram", fields.get("drm-memory-vram")))
    engines = {
        key.removeprefix("drm-engine-"): int(value.removesuffix(" ns"))
        for key, value in fields.items()
        if key.startswith("drm-engine-")
        and not key.startswith("drm-engine-capacity-")
        and value.removesuffix(" ns").isdigit()
    }
    return Client(gpu, number, memory, engines)


def _gpu(name: str, device: Path) -> Gpu:
    sensors = next(iter(sorted((device / "hwmon").glob("hwmon*"))), device / "none")
    busy = _number(device / "gpu_busy_percent")
    power = _number(sensors / "power1_average")
    if power is None:
        power = _number(sensors / "power1_input")
    limit = _number(sensors / "power1_cap")
    sizes = {kind: _number(device / file) for kind, file in _MEMORY.items()}
    return Gpu(
        gpu=name,
        vendor="amd",
        model=_text(device / "product_name") or "",
        utilization=min(busy * _PERCENT, 1.0) if busy is not None else None,
        memory={kind: size for kind, size in sizes.items() if size is not None},
        power_watts=power * _MICRO if power is not None else None,
        power_limit_watts=limit * _MICRO if limit is not None else None,
        temperature_celsius={
            sensor: value * _MILLI for sensor, value in _labelled(sensors, "temp", _SENSORS)
        },
        clock_hertz={clock: float(value) for clock, value in _labelled(sensors, "freq", _CLOCKS)},
        fan_rpm=_number(sensors / "fan1_input"),
    )


def _labelled(sensors: Path, kind: str, names: Mapping[str, str]) -> Iterable[tuple[str, int]]:
    """Return the figures of one kind that have a label of ours: temp2_label and temp2_input."""
    for label in sorted(sensors.glob(f"{kind}*_label")):
        name = names.get(_text(label) or "")
        value = _number(label.with_name(label.name.replace("_label", "_input")))
        if name is not None and value is not None:
            yield name, value


def _size(text: str | None) -> int | None:
    match = _SIZE.fullmatch(text or "")
    return int(match[1]) * _UNITS[match[2] or ""] if match is not None else None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _text(path: Path) -> str | None:
    """Return a file's text; None where it is not there, or the driver cannot tell now."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _sum(sizes: Iterable[int | None]) -> int | None:
    """Return the sum; None where a part of it is not known."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
