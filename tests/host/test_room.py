from __future__ import annotations

import pytest

from support import make_config, make_node
from swarm_exporter.errors import ConfigError
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.room import Room, RoomCollector
from swarm_exporter.launcher.plan_of import plan_of
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

RUNNING = {name: (Member(int(name), 1.0),) for name in "123"}


def look(members=None) -> Look:
    config = make_config(make_node("1"))
    return Look(config=config, now=0.0, monotonic=0.0, members=lambda: members or {})


@pytest.mark.parametrize(("members", "more"), [({}, 0), (RUNNING, -3)])
def test_the_plan_of_this_machine_less_what_runs(tmp_path, members, more):
    plan = plan_of(make_config(make_node("1")), tmp_path, {})
    found = RoomCollector(lambda config: plan_of(config, tmp_path, {})).read(look(members))
    assert found.facts == Room(fit=plan.fit, more=plan.fit + more, node_memory=plan.node_memory)
    assert plan.node_memory > 0


def test_a_plan_that_cannot_be_made_is_a_reason():
    def refuse(config):
        raise ConfigError("rl-swarm-1/config.yaml:3: not valid YAML: …")

    with pytest.raises(SourceError) as caught:
        RoomCollector(refuse).read(look())
    assert caught.value.reason is Reason.UNREADABLE
    assert "config.yaml:3" in caught.value.detail
