from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest

from machine_support import make_look
from swarm_exporter.host.network import (
    MOST_INTERFACES,
    Interface,
    Interfaces,
    MachineNetwork,
    choose,
    has_device_here,
    read_interfaces,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
CARRIED = Interface(
    received=1000,
    sent=500,
    receive_errors=1,
    transmit_errors=2,
    receive_drops=3,
    transmit_drops=4,
)


def read(collector: MachineNetwork) -> dict[str, Interface]:
    facts = collector.read(make_look()).facts
    assert isinstance(facts, Interfaces)
    return dict(facts.interfaces)


@pytest.mark.parametrize(
    "name",
    [
        *("lo", "lo0", "veth12ab", "docker0", "br-0a1b2c", "cni0", "flannel.1", "cali123"),
        *("virbr0", "virbr0-nic", "tun0", "tap0", "utun3", "awdl0", "llw0", "ap1", "anpi0"),
        *("bridge0", "gif0", "stf0", "ifb0", "dummy0", "wg0", "vmenet0"),
    ],
)
def test_loopback_tunnels_and_containers_do_not_count(name):
    assert choose([name], ()) == []


@pytest.mark.parametrize(
    "name", ["eth0", "en0", "en10", "enp3s0", "wlan0", "wlp2s0", "bond0", "ib0", "eno1.5", "lol0"]
)
def test_what_reaches_out_counts(name):
    assert choose([name], ()) == [name]


def test_an_interface_with_a_device_counts_whatever_its_name_is():
    assert choose(["eth0", "tap0", "ap0", "lo"], {"ap0"}) == ["ap0", "eth0"]


def test_not_more_than_so_many_count_those_with_a_device_first():
    names = [f"a{number:03}" for number in range(100)] + ["z0", "z1"]
    chosen = choose(names, {"z0", "z1"})
    assert len(chosen) == MOST_INTERFACES
    assert chosen[:3] == ["z0", "z1", "a000"]


def test_what_an_interface_carried_never_falls():
    told = {"en0": CARRIED, "lo0": CARRIED}
    collector = MachineNetwork(lambda: told, lambda name: False)
    assert read(collector) == {"en0": CARRIED}
    told["en0"] = msgspec.structs.replace(CARRIED, received=10, sent=600)
    fallen = read(collector)["en0"]
    assert (fallen.received, fallen.sent) == (1000, 600)
    told["en0"] = msgspec.structs.replace(CARRIED, received=30, sent=600)
    assert read(collector)["en0"].received == 1020
    del told["en0"]
    assert read(collector) == {}
    told["en0"] = msgspec.structs.replace(CARRIED, received=31, sent=600)
    assert read(collector)["en0"].received == 1021


def test_what_a_platform_does_not_count_stays_unknown():
    silent = msgspec.structs.replace(CARRIED, transmit_drops=None)
    collector = MachineNetwork(lambda: {"en0": silent}, lambda name: False)
    assert read(collector) == {"en0": silent}


def test_a_system_that_tells_nothing_fails():
    def fails() -> dict[str, Interface]:
        raise PermissionError(13, "no")

    with pytest.raises(SourceError) as failed:
        MachineNetwork(fails).read(make_look())
    assert failed.value.reason is Reason.PERMISSION


@pytest.mark.parametrize(
    ("platform", "drops", "nowrap"), [("darwin", None, True), ("linux", 0, False)]
)
def test_psutil_s_figures_are_taken_and_its_zeros_on_a_mac_are_not(
    monkeypatch, platform, drops, nowrap
):
    asked = []

    def counters(**how):
        asked.append(how)
        told = {"bytes_recv": 7, "bytes_sent": 8, "errin": 1, "errout": 2}
        return {"en0": SimpleNamespace(**told, dropin=3, dropout=0)}

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    assert read_interfaces(platform) == {
        "en0": Interface(
            received=7,
            sent=8,
            receive_errors=1,
            transmit_errors=2,
            receive_drops=3,
            transmit_drops=drops,
        )
    }
    assert asked == [{"pernic": True, "nowrap": nowrap}]


def test_hardware_is_told_by_sysfs(tmp_path):
    (tmp_path / "sys/class/net/eth0/device").mkdir(parents=True)
    (tmp_path / "sys/class/net/tap0").mkdir()
    assert has_device_here("eth0", tmp_path)
    assert not has_device_here("tap0", tmp_path)


@pytest.mark.skipif(not LINUX, reason="/proc/net/dev")
def test_this_machine_s_figures_lie_between_two_readings_of_the_kernel_s():
    def kernel() -> dict[str, tuple[int, int]]:
        rows = (line.partition(":") for line in Path("/proc/net/dev").read_text().splitlines()[2:])
        figures = {name.strip(): rest.split() for name, _, rest in rows}
        return {name: (int(row[0]), int(row[8])) for name, row in figures.items()}

    before = kernel()
    found = read(MachineNetwork())
    after = kernel()
    assert "lo" not in found
    for name, carried in found.items():
        assert before[name][0] <= carried.received <= after[name][0]
        assert before[name][1] <= carried.sent <= after[name][1]
