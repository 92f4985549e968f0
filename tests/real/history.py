"""Two days of a demo as OpenMetrics, in a minute: the program itself under a clock of its own.

The swarm is the demo's, asked by the program's own sources; what the machine gives is made up as a
Mac mini M4 might.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import httpx
import msgspec

from support import ManualClock, make_config, make_node
from swarm_exporter.demo.api import build_api
from swarm_exporter.demo.swarm import POLL_SECONDS, Swarm
from swarm_exporter.host.cpu import Cluster, CpuTimes
from swarm_exporter.host.disk import BlockDevice, Disks, FileSystem
from swarm_exporter.host.footprint import Footprint, Footprints
from swarm_exporter.host.gpu_facts import AppleGpus, Gpu, NodeGpu
from swarm_exporter.host.load import Load, MachineInfo
from swarm_exporter.host.memory import Memory
from swarm_exporter.host.mps import MpsMemory, NodeMps
from swarm_exporter.host.network import Interface, Interfaces
from swarm_exporter.host.pressure import Pressure
from swarm_exporter.host.process import NodeUsage, ProcessUsage
from swarm_exporter.host.room import Room
from swarm_exporter.host.swap import Swap
from swarm_exporter.host.thermal import ThermalPressure
from swarm_exporter.host.thermals import Macmon
from swarm_exporter.metrics import CATALOGUE
from swarm_exporter.metrics.catalogue import Kind
from swarm_exporter.model import HostFacts, NodeProcess, Processes, Reading, Snapshot
from swarm_exporter.poller import Poller
from swarm_exporter.sources.base import Target
from swarm_exporter.sources.leaderboard import Leaderboard
from swarm_exporter.tracker import Tracker

INSTANCE = "mini-1:10331"
#: From one sample to the next.
STEP_SECONDS = 60
_GIB = 2**30
_NODES = ("1", "2", "3")


def openmetrics(end: float, hours: float) -> str:
    """Return what an exporter would have shown in the `hours` before `end`, Unix seconds."""
    return asyncio.run(_simulate(end, hours))


async def _simulate(end: float, hours: float) -> str:
    steps = int(hours * 3600 / STEP_SECONDS)
    clock = ManualClock(end - steps * STEP_SECONDS)
    swarm = Swarm(1, own=len(_NODES))
    nodes = tuple(
        make_node(name, f"http://127.0.0.1:{8000 + n}", peer_id=peer.id, nickname=peer.nickname)
        for n, (name, peer) in enumerate(zip(_NODES, swarm.own, strict=True))
    )
    config = make_config(*nodes, interval=float(STEP_SECONDS), stall_after=5400.0)
    tracker = Tracker(config, clock, None)
    families: dict[str, list[str]] = {}
    async with httpx.AsyncClient(transport=_Apis(swarm, clock)) as client:
        poller = Poller(
            (Leaderboard(),), client, tracker, clock, lambda low, high: (low + high) / 2
        )
        await poller.configure(config)
        begin = clock.now
        for step in range(steps):
            for _ in range(STEP_SECONDS // POLL_SECONDS):
                swarm.tick(clock.time())
                await clock.advance(POLL_SECONDS)
            await tracker.record(
                Target("launcher", "launcher", nodes, STEP_SECONDS), _processes(clock.now, begin)
            )
            snapshot = msgspec.structs.replace(
                tracker.snapshot(), host=_host(step * STEP_SECONDS / 3600, begin - 86_400)
            )
            _write(snapshot, clock.now, families)
        await poller.close()
    lines = [line for family in families.values() for line in family]
    return "\n".join([*lines, "# EOF\n"])


class _Apis(httpx.AsyncBaseTransport):
    """The demo's API servers without a network: port 8000 and up, one for each node."""

    def __init__(self, swarm: Swarm, clock: ManualClock) -> None:
        self._swarm = swarm
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        board = self._swarm.boards[(request.url.port or 8000) - 8000]
        if board is None:
            raise httpx.ConnectError("gone") from ConnectionRefusedError()
        api = httpx.ASGITransport(build_api(board, self._clock.time))
        return await api.handle_async_request(request)


def _processes(now: float, begin: float) -> Reading:
    hour = (now - begin) / 3600
    nodes = {
        name: NodeProcess(
            state="running",
            profile="hivemind",
            started=begin if name != "2" or hour < 30 else begin + 30 * 3600,
            trainer_up=True,
            restarts={"killed": int(name == "2" and hour >= 30)},
            submit_period=None,
        )
        for name in _NODES
    }
    return Reading(time=now, duration=0.01, value=Processes(nodes))


def _host(hour: float, boot: float) -> Mapping[type[HostFacts], HostFacts]:
    """A machine whose nodes work in waves: the longer a stage, the more of it."""
    wave = 0.5 + 0.5 * math.sin(hour * 2.4)
    busy = {name: 0.6 + 0.8 * wave * (1 - 0.2 * n) for n, name in enumerate(_NODES)}
    sizes = {name: int((5.4 + 0.5 * wave + 0.6 * n) * _GIB) for n, name in enumerate(_NODES)}
    seconds = hour * 3600
    usages = {
        name: NodeUsage(
            count=6,
            threads=90,
            open_fds=210,
            resident=int(0.45 * sizes[name]),
            cpu_seconds=seconds * 0.9 + 900 * wave,
            disk_read=seconds * 40_000,
            disk_written=seconds * 90_000,
            energy_joules=seconds * 5.5,
            cores=busy[name],
        )
        for name in _NODES
    }
    idle = 10 * seconds - 2.7 * seconds - 2700 * wave
    facts: tuple[HostFacts, ...] = (
        ProcessUsage(nodes=usages),
        Footprints(nodes={n: Footprint(s, int(1.1 * s)) for n, s in sizes.items()}),
        MpsMemory(
            nodes={
                n: NodeMps(
                    resident=int(0.6 * s),
                    compressed=int(0.02 * s),
                    high_watermark=0.55,
                    low_watermark=0.45,
                )
                for n, s in sizes.items()
            }
        ),
        CpuTimes(
            clusters={
                "performance": Cluster(
                    4, {"user": 2.2 * seconds + 2000 * wave, "idle": 0.4 * idle}
                ),
                "efficiency": Cluster(6, {"user": 0.5 * seconds + 700 * wave, "idle": 0.6 * idle}),
            }
        ),
        Memory(
            sizes={
                "total": 32 * _GIB,
                "free": int((6 - 2 * wave) * _GIB),
                "wired": int(3.1 * _GIB),
                "compressed": int((1 + wave) * _GIB),
            },
            available_ratio=0.34 - 0.1 * wave,
        ),
        Macmon(
            temperatures={"cpu": 58 + 9 * wave, "gpu": 55 + 8 * wave},
            power_watts={"cpu": 5 + 3 * wave, "gpu": 8 + 4 * wave, "system": 19 + 8 * wave},
        ),
        AppleGpus(
            gpus=(
                Gpu(
                    gpu="gpu0",
                    vendor="apple",
                    model="Apple M4",
                    cores=10,
                    utilization=0.55 + 0.35 * wave,
                    memory={"in_use": int(11 * _GIB), "allocated": int(14 * _GIB)},
                ),
            ),
            nodes=tuple(
                NodeGpu(node=name, gpu="gpu0", seconds=seconds * 0.22 + 300 * wave)
                for name in _NODES
            ),
        ),
    )
    return {type(one): one for one in (*facts, *_machine(hour, boot, wave))}


def _machine(hour: float, boot: float, wave: float) -> tuple[HostFacts, ...]:
    seconds = hour * 3600
    traffic = {"received": int(seconds * 60_000), "sent": int(seconds * 42_000)}
    lossless = ("receive_errors", "transmit_errors", "receive_drops", "transmit_drops")
    return (
        Load(
            averages=(2.4 + wave, 2.6 + 0.5 * wave, 2.5),
            boot_time=boot,
            info=MachineInfo(
                system="macOS", release="26.1", machine="arm64", model="Mac16,10", chip="Apple M4"
            ),
        ),
        Swap(used=int(0.4 * _GIB), total=2 * _GIB, swapped_in=9_000_000, swapped_out=40_000_000),
        Pressure(memory_level=1, stalled={}),
        ThermalPressure(level=0),
        Disks(
            file_systems=(
                FileSystem(mountpoint="/", size=494 * _GIB, free=int((212 - 0.4 * hour) * _GIB)),
            ),
            devices=(
                BlockDevice(name="disk0", read=int(seconds * 9e4), written=int(seconds * 3e5)),
            ),
        ),
        Interfaces(interfaces={"en0": Interface(**traffic, **dict.fromkeys(lossless, 0))}),
        Room(fit=3, more=0, node_memory=int(6.3 * _GIB)),
    )


def _write(snapshot: Snapshot, now: float, families: dict[str, list[str]]) -> None:
    for metric in CATALOGUE:
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(metric.kind, "")
        kind = "counter" if metric.kind is Kind.COUNTER else "unknown"
        lines = families.setdefault(
            metric.name,
            [
                f"# TYPE {metric.name.removesuffix(suffix) if suffix == '_total' else metric.name} {kind}"
            ],
        )
        for labels, value in metric.read(snapshot):
            pairs = {**labels, "instance": INSTANCE, "job": "swarm"}
            text = ",".join(f'{name}="{given}"' for name, given in pairs.items())
            lines.append(f"{metric.name}{{{text}}} {value!r} {now}")
