from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import make_config, make_node
from swarm_exporter.host.amd import AmdCollector, Client, parse_fdinfo
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu
from swarm_exporter.reasons import Reason

KIB, MIB, GIB = 2**10, 2**20, 2**30
ADDRESS = "0000:2d:00.0"


class Machine:
    """A tree of files as Linux writes them for one AMD card and one of another vendor."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = root / "sys/devices/pci0000:2c" / ADDRESS
        self.write(self.device / "vendor", "0x1002\n")
        self.write(self.device / "mem_info_vram_total", f"{16 * GIB}\n")
        self.card(0, self.device)
        other = root / "sys/devices/pci0000:00/0000:00:02.0"
        self.write(other / "vendor", "0x8086\n")
        self.card(1, other)
        (root / "sys/class/drm/card0-HDMI-A-1").mkdir()
        (root / "proc").mkdir()

    def card(self, number: int, device: Path) -> None:
        folder = self.root / f"sys/class/drm/card{number}"
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(os.path.relpath(device, folder))

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def open(self, pid: int, number: int, text: str, device: str = "/dev/dri/renderD128") -> None:
        folder = self.root / "proc" / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        (folder / "fd" / str(number)).unlink(missing_ok=True)
        (folder / "fd" / str(number)).symlink_to(device)
        self.write(folder / "fdinfo" / str(number), text)


def fdinfo(client: int, vram: int, engines: int | None = None, gpu: str = ADDRESS) -> str:
    lines = [
        "pos:\t0",
        "drm-driver:\tamdgpu",
        f"drm-client-id:\t{client}",
        f"drm-pdev:\t{gpu}",
        f"drm-total-vram:\t{2 * vram} KiB",
        f"drm-resident-vram:\t{vram} KiB",
        f"drm-memory-vram:\t{vram} KiB",
        "drm-shared-vram:\t64 KiB",
    ]
    if engines is not None:
        lines += [f"drm-engine-gfx:\t{engines} ns", "drm-engine-compute:\t5 ns"]
        lines += ["drm-engine-capacity-compute:\t4"]
    return "\n".join(lines) + "\n"


def read(collector, members):
    config = make_config(make_node("1"), make_node("2"))
    found = collector.read(Look(config=config, now=0.0, monotonic=0.0, members=lambda: members))
    return found.facts, found.defects


def members(*pids: int) -> tuple[Member, ...]:
    return tuple(Member(pid, 1.0) for pid in pids)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_card_is_told_in_base_units(machine):
    device = machine.device
    for name, text in {
        "gpu_busy_percent": "63",
        "mem_info_vram_used": str(5 * GIB),
        "mem_info_gtt_used": str(GIB),
        "mem_info_gtt_total": str(8 * GIB),
        "product_name": "Radeon RX 7900 XTX",
        "hwmon/hwmon3/power1_average": "212000000",
        "hwmon/hwmon3/power1_cap": "355000000",
        "hwmon/hwmon3/temp1_input": "55000",
        "hwmon/hwmon3/temp1_label": "edge",
        "hwmon/hwmon3/temp2_input": "71500",
        "hwmon/hwmon3/temp2_label": "junction",
        "hwmon/hwmon3/temp3_input": "64000",
        "hwmon/hwmon3/temp3_label": "mem",
        "hwmon/hwmon3/freq1_input": "2400000000",
        "hwmon/hwmon3/freq1_label": "sclk",
        "hwmon/hwmon3/fan1_input": "1320",
    }.items():
        machine.write(device / name, f"{text}\n")
    collector = AmdCollector(machine.root)
    assert collector.is_present()
    facts, defects = read(collector, {})
    assert facts.gpus == (
        Gpu(
            gpu=ADDRESS,
            vendor="amd",
            model="Radeon RX 7900 XTX",
            utilization=pytest.approx(0.63),
            memory={
                "in_use": 5 * GIB,
                "total": 16 * GIB,
                "gtt_in_use": GIB,
                "gtt_total": 8 * GIB,
            },
            power_watts=pytest.approx(212.0),
            power_limit_watts=pytest.approx(355.0),
            temperature_celsius={
                "edge": pytest.approx(55.0),
                "junction": pytest.approx(71.5),
                "memory": pytest.approx(64.0),
            },
            clock_hertz={"graphics": 2.4e9},
            fan_rpm=1320,
        ),
    )
    assert defects == ()


def test_what_a_card_does_not_tell_is_absent(machine):
    machine.write(machine.device / "gpu_busy_percent", "")
    machine.write(machine.device / "hwmon/hwmon3/power1_input", "33000000")
    (gpu,) = read(AmdCollector(machine.root), {})[0].gpus
    assert (gpu.utilization, gpu.fan_rpm, gpu.temperature_celsius) == (None, None, {})
    assert gpu.memory == {"total": 16 * GIB}
    assert gpu.power_watts == pytest.approx(33.0)


def test_without_a_card_of_amd_there_is_no_such_collector(tmp_path):
    assert not AmdCollector(tmp_path).is_present()
    machine = Machine(tmp_path / "machine")
    (machine.device / "vendor").write_text("0x10de\n")
    assert not AmdCollector(machine.root).is_present()


def test_each_client_counts_once_however_many_processes_share_it(machine):
    machine.open(10, 5, fdinfo(7, 4096, 1_000_000_000))
    machine.open(10, 6, fdinfo(7, 4096, 1_000_000_000))
    machine.open(11, 5, fdinfo(7, 4096, 1_000_000_000))
    machine.open(11, 8, fdinfo(9, 1024, 500_000_000))
    machine.open(11, 9, "nothing of a GPU\n", device="/dev/null")
    facts, _ = read(AmdCollector(machine.root), {"1": members(10, 11), "2": members(20)})
    assert facts.nodes == (
        NodeGpu(node="1", gpu=ADDRESS, memory=5120 * KIB, seconds=pytest.approx(1.50000001)),
    )


def test_the_counter_goes_on_when_clients_close_and_stays_when_the_node_stops(machine):
    machine.open(10, 5, fdinfo(7, 4096, 1_000_000_000))
    collector = AmdCollector(machine.root)
    first = read(collector, {"1": members(10)})[0].nodes[0].seconds
    machine.open(10, 5, fdinfo(8, 4096, 250_000_000))
    second = read(collector, {"1": members(10)})[0].nodes[0].seconds
    assert second - first == pytest.approx(0.25, abs=1e-6)
    (stopped,) = read(collector, {})[0].nodes
    assert (stopped.seconds, stopped.memory) == (second, None)


def test_rocm_is_told_by_its_own_accounting_where_fdinfo_is_silent(machine):
    topology = machine.root / "sys/class/kfd/kfd/topology/nodes/1"
    machine.write(topology / "gpu_id", "51234\n")
    machine.write(topology / "properties", f"domain 0\nlocation_id {0x2D << 8}\nsimd_count 192\n")
    machine.write(machine.root / "sys/class/kfd/kfd/proc/10/vram_51234", f"{6 * GIB}\n")
    machine.open(10, 5, fdinfo(7, 0))
    machine.open(20, 5, fdinfo(8, 2048))
    facts, _ = read(AmdCollector(machine.root), {"1": members(10), "2": members(20)})
    assert {share.node: share.memory for share in facts.nodes} == {"1": 6 * GIB, "2": 2 * MIB}
    # Newer kernels tell of compute in both places, and fdinfo of what is drawn besides.
    machine.open(10, 5, fdinfo(7, 6 * 2**20))
    machine.open(10, 6, fdinfo(9, 2**20))
    facts, _ = read(AmdCollector(machine.root), {"1": members(10)})
    assert facts.nodes[0].memory == 7 * GIB


def test_a_process_that_has_gone_uses_nothing(machine):
    machine.open(10, 5, fdinfo(7, 4096))
    facts, defects = read(AmdCollector(machine.root), {"1": members(10, 404)})
    assert facts.nodes[0].memory == 4 * MIB
    assert defects == ()


def refuse(monkeypatch, pid: int) -> None:
    """Let the kernel keep one process's files from this user, as it does for another user's."""
    listdir = os.listdir

    def refusing(path):
        if f"/{pid}/" in str(path):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refusing)


def test_a_process_that_may_not_be_read_makes_its_node_unknown(machine, monkeypatch):
    machine.open(10, 5, fdinfo(7, 4096, 1_000_000_000))
    machine.open(20, 5, fdinfo(8, 4096, 1_000_000_000))
    machine.write(machine.root / "proc/10/stat", "10 (python3) S 1 10 10 0\n")
    both = {"1": members(10), "2": members(20)}
    collector = AmdCollector(machine.root)
    read(collector, both)
    with monkeypatch.context() as context:
        refuse(context, 10)
        for _ in range(30):
            facts, defects = read(collector, both)
            assert [share.node for share in facts.nodes] == ["2"]
            assert defects == (Reason.PERMISSION,)
    # However long that took, what was counted before counts once.
    facts, defects = read(collector, both)
    assert [share.seconds for share in facts.nodes] == [pytest.approx(1.000000005)] * 2
    assert defects == ()


def test_a_process_that_has_ended_and_waits_for_its_parent_uses_nothing(machine, monkeypatch):
    """Its files are root's by then: that is no refusal."""
    machine.open(10, 5, fdinfo(7, 4096))
    (machine.root / "proc/11").mkdir()
    machine.write(machine.root / "proc/11/stat", "11 (py) S 3) Z 10 10 10 0\n")
    refuse(monkeypatch, 11)
    facts, defects = read(AmdCollector(machine.root), {"1": members(10, 11)})
    assert facts.nodes[0].memory == 4 * MIB
    assert defects == ()


def test_an_engine_that_steps_back_is_waited_for(machine):
    """As the kernel's document asks of its readers: it catches up."""
    collector = AmdCollector(machine.root)
    told = []
    for engines in (2_000_000_000, 1_900_000_000, 1_950_000_000, 2_500_000_000):
        machine.open(10, 5, fdinfo(7, 4096, engines))
        told.append(read(collector, {"1": members(10)})[0].nodes[0].seconds)
    assert told == [pytest.approx(seconds, abs=1e-6) for seconds in (2.0, 2.0, 2.0, 2.5)]


@pytest.mark.parametrize(
    ("line", "memory"),
    [
        ("drm-resident-vram:\t4096 KiB\ndrm-memory-vram:\t9 KiB", 4 * MIB),
        ("drm-resident-vram:\t0\ndrm-memory-vram:\t9 KiB", 0),
        ("drm-memory-vram:\t3 MiB", 3 * MIB),
        ("drm-memory-vram:\tmany", None),
        ("", None),
    ],
)
def test_memory_is_the_new_figure_or_the_old_and_never_both(line, memory):
    text = f"drm-driver:\tamdgpu\ndrm-client-id:\t5\ndrm-pdev:\t{ADDRESS}\n{line}\n"
    assert parse_fdinfo(text) == Client(ADDRESS, "5", memory, {})


def test_another_driver_is_not_read():
    assert parse_fdinfo(fdinfo(1, 2).replace("amdgpu", "i915")) is None
    assert parse_fdinfo("") is None
    assert parse_fdinfo("drm-driver:\tamdgpu\n") is None


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.integers(1, 4), st.integers(0, 10**12), max_size=4), max_size=8))
def test_gpu_time_never_falls_and_is_the_sum_of_what_grew(tmp_path_factory, readings):
    machine = Machine(tmp_path_factory.mktemp("amd"))
    collector = AmdCollector(machine.root)
    before, highest, truth = 0.0, {}, 0
    for clients in readings:
        for number in range(1, 5):
            if number in clients:
                machine.open(10, number, fdinfo(number, 1, clients[number]))
            else:
                (machine.root / f"proc/10/fd/{number}").unlink(missing_ok=True)
        facts, _ = read(collector, {"1": members(10)})
        for number, used in clients.items():
            # The compute engine has 5 ns beside.
            truth += max(used + 5 - highest.get(number, 0), 0)
            highest[number] = max(used + 5, highest.get(number, 0))
        seconds = facts.nodes[0].seconds if facts.nodes else before
        assert seconds >= before
        assert seconds == pytest.approx(truth / 1e9)
        before = seconds
