from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from swarm_exporter.launcher import machine
from swarm_exporter.launcher.machine import Gpu, read_darwin, read_linux, read_machine

GIB = 2**30


def word(number: int) -> bytes:
    return number.to_bytes(4, "little")


M4 = {
    "hw.optional.arm64": word(1),
    "hw.nperflevels": word(2),
    "hw.perflevel0.physicalcpu": word(4),
    "hw.perflevel0.name": b"Performance\0",
    "hw.perflevel1.physicalcpu": word(6),
    "hw.perflevel1.name": b"Efficiency\0",
    "kern.memorystatus_vm_pressure_level": word(1),
}
M5_PRO = M4 | {
    "hw.perflevel0.physicalcpu": word(6),
    "hw.perflevel0.name": b"Super\0",
    "hw.perflevel1.physicalcpu": word(12),
    "hw.perflevel1.name": b"Performance\0",
}
UNNAMED = {key: value for key, value in M4.items() if not key.endswith(".name")}


@pytest.mark.parametrize(
    ("kernel", "performance", "efficiency"),
    [(M4, 4, 6), (M5_PRO, 18, 0), (UNNAMED, 4, 6)],
    ids=["M4", "M5 Pro", "levels without names"],
)
def test_the_cores_of_a_mac_by_kind(tmp_path, kernel, performance, efficiency):
    mac = read_darwin(tmp_path, kernel.get)
    assert (mac.performance_cores, mac.efficiency_cores) == (performance, efficiency)
    assert mac.unified_memory
    assert mac.gpus == ()


def test_a_mac_that_knows_no_kinds_of_cores(tmp_path):
    mac = read_darwin(tmp_path, {}.get)
    assert mac.performance_cores == psutil.cpu_count(logical=False)
    assert mac.efficiency_cores == 0
    assert not mac.unified_memory
    assert mac.pressure is None


@pytest.mark.parametrize(
    ("level", "said"),
    [(word(1), "normal"), (word(2), "warning"), (word(4), "critical")]
    + [(odd, None) for odd in (None, b"", word(0), word(3), b"12345")],
)
def test_the_pressure_of_a_mac(level, said):
    assert machine.darwin_pressure(lambda name: level) == said


PSI = (
    "some avg10={} avg60=0.00 avg300=0.00 total=12\nfull avg10={} avg60=0.00 avg300=0.00 total=9\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PSI.format("0.00", "0.00"), "normal"),
        (PSI.format("10.00", "10.00"), "normal"),
        (PSI.format("10.01", "2.00"), "warning"),
        (PSI.format("40.00", "10.01"), "critical"),
        (PSI.format("-", "0.00"), None),
        ("", None),
        ("some avg10=1.00\n", None),
        ("nonsense\n", None),
    ],
)
def test_the_pressure_of_linux(tmp_path, text, said):
    file = tmp_path / "proc/pressure/memory"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert machine.linux_pressure(tmp_path) == said


def test_a_kernel_without_pressure_stall_information(tmp_path):
    assert machine.linux_pressure(tmp_path) is None


class Host:
    """A Linux of 24 GiB with 8 cores, and files below a folder in place of its root."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        memory = psutil.virtual_memory()._replace(total=24 * GIB, available=20 * GIB)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
        monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
        monkeypatch.setenv("PATH", str(root))

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def read(self) -> machine.Machine:
        return read_linux(self.root, self.root)


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_linux_without_a_container(host):
    found = host.read()
    assert (found.total_memory, found.available_memory) == (24 * GIB, 20 * GIB)
    assert (found.performance_cores, found.efficiency_cores, found.logical_cpus) == (8, 0, 16)
    assert not found.unified_memory
    assert found.gpus == ()
    assert found.disk_free > 0


def test_a_container_of_version_2(host):
    group = "sys/fs/cgroup"
    host.write(
        **{
            "proc/self/cgroup": "0::/\n",
            f"{group}/memory.max": f"{16 * GIB}\n",
            f"{group}/memory.current": f"{9 * GIB}\n",
            f"{group}/memory.stat": f"anon 1\nfile 2\ninactive_file {3 * GIB}\n",
            f"{group}/cpu.max": "450000 100000\n",
        }
    )
    found = host.read()
    assert found.total_memory == 16 * GIB
    assert found.available_memory == 10 * GIB, "the file cache can be given back"
    assert (found.performance_cores, found.logical_cpus) == (4, 4), "half a core is none"


def test_a_container_of_version_1(host):
    group = "sys/fs/cgroup/memory"
    host.write(
        **{
            # The host's path, which the container does not see.
            "proc/self/cgroup": "5:memory:/docker/4f2a\n3:cpuacct,cpu:/docker/4f2a\n1:name=systemd:/\n",
            f"{group}/memory.limit_in_bytes": f"{8 * GIB}\n",
            f"{group}/memory.usage_in_bytes": f"{2 * GIB}\n",
            f"{group}/memory.stat": f"cache 5\ntotal_inactive_file {GIB}\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    found = host.read()
    assert (found.total_memory, found.available_memory) == (8 * GIB, 7 * GIB)
    assert (found.performance_cores, found.logical_cpus) == (1, 1)


def test_the_tightest_of_nested_groups_counts(host):
    group = "sys/fs/cgroup"
    host.write(
        **{
            "proc/self/cgroup": "0::/user.slice/nodes.service\n",
            f"{group}/user.slice/memory.max": f"{12 * GIB}\n",
            f"{group}/user.slice/memory.current": f"{11 * GIB}\n",
            f"{group}/user.slice/nodes.service/memory.max": f"{14 * GIB}\n",
            f"{group}/user.slice/nodes.service/memory.current": "0\n",
        }
    )
    found = host.read()
    assert (found.total_memory, found.available_memory) == (12 * GIB, GIB)


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "max\n", "cpu.max": "max 100000\n"},
        {"memory.max": f"{2**60}\n", "memory.current": f"{30 * GIB}\n"},
        {"memory.max": "", "cpu.max": "", "memory.stat": "inactive_file\n"},
        {"cpu.max": "0 0\n"},
    ],
    ids=["no limit", "above the host", "empty", "zeros"],
)
def test_what_limits_nothing(host, files):
    host.write(**{f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    host.write(**{"proc/self/cgroup": "0::/../elsewhere\nnonsense\n"})
    found = host.read()
    assert (found.total_memory, found.available_memory) == (24 * GIB, 20 * GIB)
    assert (found.performance_cores, found.logical_cpus) == (8, 16)


def test_processors_that_this_process_may_not_use_do_not_count(host, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3}, raising=False)
    assert (host.read().performance_cores, host.read().logical_cpus) == (1, 1)


def test_a_kernel_that_does_not_tell_cores_from_threads(host, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else None)
    assert host.read().performance_cores == 16


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert machine.read_linux(tmp_path / "a" / "b", tmp_path).disk_free > 0


def nvidia(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_gpus_are_asked_of_nvidia_smi(tmp_path, monkeypatch):
    nvidia(
        tmp_path,
        '[ "$*" = "--query-gpu=name,memory.total,memory.free --format=csv,noheader,nounits" ] '
        '&& echo "NVIDIA RTX 4090, 24564, 20100" && echo "NVIDIA GB10, [N/A], [N/A]"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.read_gpus() == (
        Gpu(name="NVIDIA RTX 4090", total_memory=24564 * 2**20, free_memory=20100 * 2**20),
        Gpu(name="NVIDIA GB10", total_memory=None, free_memory=None),
    )


@pytest.mark.parametrize(
    "script",
    [
        "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9",
        "echo 'No devices were found'",
        "exec sleep 60",
        "",
    ],
    ids=["no driver", "no device", "hangs", "silent"],
)
def test_a_failing_nvidia_smi_means_no_gpus(tmp_path, monkeypatch, script):
    nvidia(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.read_gpus(timeout=0.3) == ()


def test_this_machine(tmp_path):
    found = read_machine(tmp_path)
    assert 0 < found.available_memory <= found.total_memory <= psutil.virtual_memory().total
    assert 1 <= found.performance_cores <= found.logical_cpus
    assert found.disk_free > 0


def test_what_is_asked_often_is_cheap():

    taken = []
    for _ in range(20):
        began = time.perf_counter()
        assert machine.available_memory() > 0
        assert machine.pressure() in ("normal", "warning", "critical", None)
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.002
