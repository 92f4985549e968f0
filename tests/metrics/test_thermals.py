from __future__ import annotations

import msgspec
import pytest

from support import make_snapshot
from swarm_exporter.host.thermals import Macmon, Sensors, Thermals
from swarm_exporter.metrics.catalogue import Kind
from swarm_exporter.metrics.thermals import METRICS

ALL = Macmon(
    temperatures={"cpu": 61.5, "gpu": 55.25},
    fans={"0": 1_800.0},
    power_watts={"cpu": 7.5, "system": 22.0},
    cpu_frequency_hertz={"performance": 4.1e9, "efficiency": 2.3e9},
    cpu_active_ratio={"performance": 0.75, "efficiency": 0.5},
    gpu_frequency_hertz=1.4e9,
    gpu_active_ratio=0.9,
)


def samples(*facts: Thermals) -> dict[str, dict[str, float]]:
    snapshot = msgspec.structs.replace(make_snapshot(), host={type(fact): fact for fact in facts})
    found = {}
    for metric in METRICS:
        for labels, value in metric.read(snapshot):
            assert tuple(labels) == metric.labels
            found.setdefault(metric.name, {})[",".join(labels.values())] = value
    return found


def test_every_figure_of_a_source_has_its_family():
    assert samples(ALL) == {
        "swarm_host_temperature_celsius": {"cpu": 61.5, "gpu": 55.25},
        "swarm_host_fan_speed_rpm": {"0": 1_800.0},
        "swarm_host_power_watts": {"cpu": 7.5, "system": 22.0},
        "swarm_host_cpu_frequency_hertz": {"performance": 4.1e9, "efficiency": 2.3e9},
        "swarm_host_cpu_active_ratio": {"performance": 0.75, "efficiency": 0.5},
        "swarm_host_gpu_frequency_hertz": {"": 1.4e9},
        "swarm_host_gpu_active_ratio": {"": 0.9},
    }


def test_two_sources_stand_in_the_same_families_and_no_name_twice():
    sensors = Sensors(temperatures={"coretemp/Core 0": 50.0, "cpu": 1.0})
    assert samples(ALL, sensors)["swarm_host_temperature_celsius"] == {
        "cpu": 61.5,
        "gpu": 55.25,
        "coretemp/Core 0": 50.0,
    }


def test_what_is_not_known_has_no_sample():
    assert samples(Sensors()) == {}
    assert samples() == {}


def test_names_of_drivers_are_made_fit_for_labels():
    ((name,),) = (samples(Sensors(fans={"a\n" + "b" * 500: 1.0}))["swarm_host_fan_speed_rpm"],)
    assert "\n" not in name
    assert len(name) <= 128


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_follows_the_conventions_and_has_a_sample(metric):
    assert metric.kind is Kind.GAUGE
    assert metric.help.endswith(".")
    assert metric.platforms
    snapshot = msgspec.structs.replace(make_snapshot(), host={Macmon: ALL})
    assert list(metric.read(snapshot))
