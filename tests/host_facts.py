"""What collectors read of a machine of which everything is known."""

from __future__ import annotations

from collections.abc import Mapping

from swarm_exporter.host.cpu import Cluster, CpuTimes
from swarm_exporter.host.disk import BlockDevice, Disks, FileSystem
from swarm_exporter.host.footprint import Footprint, Footprints
from swarm_exporter.host.gpu_facts import AppleGpus, Gpu, NodeGpu, NvidiaGpus
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
from swarm_exporter.host.torch_helper import NodeTorch, TorchMemory
from swarm_exporter.model import HostFacts

#: The machine itself.
MACHINE: tuple[HostFacts, ...] = (
    CpuTimes(
        clusters={
            "performance": Cluster(4, {"user": 10.5, "idle": 90.0}),
            "efficiency": Cluster(6, {"user": 3.5, "idle": 40.0}),
        }
    ),
    Load(
        averages=(1.5, 1.25, 1.0),
        boot_time=1_799_000_000.0,
        info=MachineInfo(
            system="macOS", release="26.1", machine="arm64", model="Mac16,10", chip="Apple M4"
        ),
    ),
    Memory(
        sizes={"total": 1000, "free": 100},
        available_ratio=0.5,
        compressions=7,
        decompressions=5,
        limit=800,
        limit_used=600,
    ),
    Swap(used=10, total=20, swapped_in=30, swapped_out=40),
    Pressure(
        memory_level=2,
        stalled={
            "memory": {"some": 1.5, "full": 0.5},
            "cpu": {"some": 2.5},
            "io": {"some": 3.5, "full": 3.0},
        },
        oom_kills=1,
    ),
    Disks(
        file_systems=(
            FileSystem(mountpoint="/", size=5000, free=50, inodes_free=9),
            FileSystem(mountpoint="/data", size=7000, free=70),
        ),
        devices=(BlockDevice(name="sda", read=11, written=12),),
    ),
    Interfaces(
        interfaces={
            "en0": Interface(
                received=1,
                sent=2,
                receive_errors=3,
                transmit_errors=4,
                receive_drops=5,
                transmit_drops=6,
            )
        }
    ),
)


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
        MpsMemory(
            nodes={
                "1": NodeMps(
                    resident=4_879_000_000,
                    compressed=120_000_000,
                    high_watermark=0.28,
                    low_watermark=0.22,
                )
            }
        ),
        ThermalPressure(level=1),
        Room(fit=3, more=1, node_memory=6_442_450_944),
        TorchMemory(
            nodes={
                "1": NodeTorch(
                    allocated=3_000_000_000,
                    driver_allocated=5_200_000_000,
                    recommended_max=12_713_115_648,
                )
            }
        ),
        Macmon(
            temperatures={"cpu": 61.5, "gpu": 58.0},
            fans={"fan0": 1_000.0},
            power_watts={"cpu": 6.5, "gpu": 9.25, "system": 22.0},
            cpu_frequency_hertz={"performance": 4_400_000_000.0},
            cpu_active_ratio={"performance": 0.75},
            gpu_frequency_hertz=1_470_000_000.0,
            gpu_active_ratio=0.9,
        ),
        AppleGpus(
            gpus=(
                Gpu(
                    gpu="gpu0",
                    vendor="apple",
                    model="Apple M4",
                    cores=10,
                    utilization=0.74,
                    memory={"in_use": 5_000_000_000, "allocated": 9_000_000_000},
                    recoveries=1,
                ),
            ),
            nodes=(NodeGpu(node="1", gpu="gpu0", seconds=3_600.5),),
            wired_limit=12_884_901_888,
        ),
        NvidiaGpus(
            gpus=(
                Gpu(
                    gpu="GPU-1",
                    vendor="nvidia",
                    model="NVIDIA L40S",
                    index=0,
                    utilization=0.5,
                    memory={"in_use": 20_000_000_000, "total": 48_000_000_000},
                    power_watts=210.5,
                    power_limit_watts=350.0,
                    energy_joules=1_000_000.0,
                    temperature_celsius={"core": 61.0},
                    clock_hertz={"sm": 2_520_000_000.0},
                    fan_rpm=1_800.0,
                    ecc_errors={"corrected": 2, "uncorrected": 0},
                    throttled={"power": True, "thermal": False},
                    other_processes=2,
                ),
            ),
            nodes=(NodeGpu(node="1", gpu="GPU-1", memory=18_000_000_000, utilization=0.4),),
        ),
    ]
    return {type(one): one for one in (*facts, *MACHINE)}
