from __future__ import annotations

import msgspec

from support import make_snapshot
from swarm_exporter.host.torch_helper import NodeTorch, TorchMemory
from swarm_exporter.metrics.catalogue import MACOS
from swarm_exporter.metrics.torch import METRICS


def test_each_figure_that_is_known_is_a_sample_of_its_node():
    facts = TorchMemory(
        nodes={
            "1": NodeTorch(allocated=7, driver_allocated=9, recommended_max=40),
            "2": NodeTorch(allocated=0),
        }
    )
    snapshot = msgspec.structs.replace(make_snapshot(), host={TorchMemory: facts})
    assert {metric.name: list(metric.read(snapshot)) for metric in METRICS} == {
        "swarm_torch_mps_allocated_bytes": [({"node": "1"}, 7.0), ({"node": "2"}, 0.0)],
        "swarm_torch_mps_driver_allocated_bytes": [({"node": "1"}, 9.0)],
        "swarm_torch_mps_recommended_max_bytes": [({"node": "1"}, 40.0)],
    }
    assert all(metric.platforms == MACOS for metric in METRICS)


def test_without_the_helper_there_is_no_sample():
    snapshot = msgspec.structs.replace(make_snapshot(), host={})
    assert [list(metric.read(snapshot)) for metric in METRICS] == [[], [], []]
