from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_support import make_look, make_tree
from swarm_exporter.host.temperature import (
    MOST_SENSORS,
    Temperatures,
    plausible_fans,
    plausible_temperatures,
    read_fans,
    read_temperatures,
)
from swarm_exporter.host.thermals import Sensors
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


def test_a_sensor_is_named_by_its_driver_and_label():
    assert plausible_temperatures(
        {"coretemp": [("Package id 0", 61.0), ("Core 0", 58.5)], "acpitz": [("", 27.75)]}
    ) == {"coretemp/Package id 0": 61.0, "coretemp/Core 0": 58.5, "acpitz": 27.75}


def test_two_disks_with_the_same_sensor_are_told_apart_even_while_one_says_nothing():
    def named(first: float) -> dict[str, float]:
        return plausible_temperatures({"nvme": [("Composite", first), ("Composite", 40.0)]})

    assert named(39.0) == {"nvme/Composite": 39.0, "nvme/Composite#2": 40.0}
    assert named(0.0) == {"nvme/Composite#2": 40.0}


@pytest.mark.parametrize("degrees", [-50.0, -273.15, 0.0, 150.5, 255.0, 65261.85, float("nan")])
def test_what_no_part_of_a_machine_can_have_is_left_out(degrees):
    assert plausible_temperatures({"a": [("b", degrees)]}) == {}


@pytest.mark.parametrize("degrees", [-49.5, -0.5, 0.5, 105.0, 150.0])
def test_cold_and_hot_ones_are_told(degrees):
    assert plausible_temperatures({"a": [("b", degrees)]}) == {"a/b": degrees}


def test_a_fan_that_stands_still_is_told_and_an_impossible_one_is_not():
    told = {"nct": [("cpu", 0.0), ("case", 1200.0), ("broken", -1.0), ("wrong", 1e6)]}
    assert plausible_fans(told) == {"nct/cpu": 0.0, "nct/case": 1200.0}


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.lists(st.tuples(st.text(max_size=2), st.floats()), max_size=40),
        max_size=5,
    )
)
def test_there_are_never_more_than_the_bound_and_never_an_implausible_one(told):
    found = plausible_temperatures(told)
    assert len(found) <= MOST_SENSORS
    assert all(-50 < degrees <= 150 and degrees for degrees in found.values())


def test_sensors_are_read_through_psutil(monkeypatch):
    def sensor(label: str, current: float) -> SimpleNamespace:
        return SimpleNamespace(label=label, current=current, high=None, critical=None)

    monkeypatch.setattr(
        psutil, "sensors_temperatures", lambda: {"k10temp": [sensor("Tctl", 66.125)]}, raising=False
    )
    monkeypatch.setattr(
        psutil, "sensors_fans", lambda: {"nct6775": [sensor("", 900)]}, raising=False
    )
    found = Temperatures().read(make_look())
    assert found.facts == Sensors(temperatures={"k10temp/Tctl": 66.125}, fans={"nct6775": 900})
    assert found.defects == ()


def test_a_platform_without_sensors_tells_none(monkeypatch):
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    monkeypatch.delattr(psutil, "sensors_fans", raising=False)
    assert (read_temperatures(), read_fans()) == ({}, {})


@pytest.mark.parametrize(
    "file",
    [
        "sys/class/hwmon/hwmon0/temp1_input",
        "sys/class/hwmon/hwmon0/fan2_input",
        "sys/class/hwmon/hwmon3/device/temp1_input",
        "sys/class/thermal/thermal_zone0/temp",
    ],
)
def test_it_is_present_where_the_kernel_has_a_sensor(tmp_path, file):
    assert not Temperatures(root=tmp_path).is_present()
    assert Temperatures(root=make_tree(tmp_path, {file: "42000\n"})).is_present()


def test_fans_that_fail_do_not_cost_the_temperatures():
    def fails() -> dict[str, list[tuple[str, float]]]:
        raise PermissionError(13, "no")

    found = Temperatures(lambda: {"a": [("b", 40.0)]}, fails).read(make_look())
    assert found.facts == Sensors(temperatures={"a/b": 40.0})
    assert found.defects == (Reason.PERMISSION,)
    with pytest.raises(SourceError):
        Temperatures(fails, fails).read(make_look())
