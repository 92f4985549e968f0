from __future__ import annotations

import asyncio
import subprocess
import threading

import pytest

from support import ManualClock, make_config, make_node
from swarm_exporter.host import COLLECTORS, collectors
from swarm_exporter.host.collector import Collector, Found
from swarm_exporter.host.tool import run_tool
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.metrics.render import Renderer
from swarm_exporter.model import HostFacts
from swarm_exporter.poller import Poller
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.host import HostSource
from swarm_exporter.tracker import Tracker


class Weather(HostFacts, frozen=True, kw_only=True):
    degrees: float


class Thermometer(Collector):
    name = "cpu"
    about = "the weather"
    shortest_interval = 30.0

    def __init__(self, *answers, present: bool = True) -> None:
        self.answers = list(answers)
        self.present = present
        self.closed = 0

    def is_present(self) -> bool:
        return self.present

    def read(self, look) -> Found:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return Found(Weather(degrees=answer), (Reason.PERMISSION,), "fine weather")

    def close(self) -> None:
        self.closed += 1


def drive(scenario, *found, config=None, clock=None):
    clock = clock or ManualClock()
    config = config or make_config(make_node("1"))
    sources = [HostSource(one, NodeTrees(dict)) for one in found]

    async def run():
        tracker = Tracker(config, clock, state=None)
        poller = Poller(sources, None, tracker, clock)
        await poller.configure(config)
        await clock.advance(1.0)  # past the spacing of the first polls
        await scenario(poller, tracker, clock)
        await poller.close()

    asyncio.run(run())


def test_facts_of_the_machine_are_in_the_snapshot_and_its_health_is_of_no_node():
    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        snapshot = tracker.snapshot()
        assert snapshot.of_host(Weather) == Weather(degrees=20.5)
        (status,) = snapshot.host_sources
        assert (status.node, status.source, status.up) == ("", "cpu", True)
        assert status.errors == {Reason.PERMISSION: 1}
        assert snapshot.nodes[0].sources == ()
        text = Renderer().render(snapshot)[0].decode()
        assert 'swarm_source_up{node="",source="cpu"} 1.0' in text

    thermometer = Thermometer(20.5)
    drive(scenario, thermometer)
    assert thermometer.closed == 1


def test_a_failure_takes_the_facts_away_and_gives_a_reason():
    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        assert tracker.snapshot().of_host(Weather) is not None
        await clock.advance(30.0)
        await until(lambda: not tracker.snapshot().host_sources[0].up)
        snapshot = tracker.snapshot()
        assert snapshot.of_host(Weather) is None
        assert snapshot.host_sources[0].reason is Reason.DEVICE_LOST

    drive(scenario, Thermometer(20.5, SourceError(Reason.DEVICE_LOST, "gone")))


@pytest.mark.parametrize("jump", [-3600.0, 0.0])
def test_facts_do_not_outlive_their_time_though_the_clock_is_set_back(jump):
    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        await poller.close()  # Nobody reads any more.
        clock.now += jump
        assert tracker.snapshot().of_host(Weather) is not None
        await clock.advance(200.0)
        assert tracker.snapshot().of_host(Weather) is None

    drive(scenario, Thermometer(20.5))


def test_after_a_sleep_of_the_machine_nothing_old_is_shown():
    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        clock.now += 8 * 3600.0  # The other clock stood still meanwhile.
        assert tracker.snapshot().of_host(Weather) is None
        await clock.advance(30.0)
        await until(lambda: tracker.snapshot().of_host(Weather) is not None)

    drive(scenario, Thermometer(20.5))


async def until(reached):
    # The reading comes from a thread.
    for _ in range(10_000):
        if reached():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never reached")


def test_a_collector_that_hangs_costs_its_own_series_and_is_read_by_one_thread():
    release = threading.Event()

    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        statuses = {s.source: s for s in tracker.snapshot().host_sources}
        assert not statuses["cpu"].up
        assert statuses["cpu"].reason is Reason.TIMEOUT
        assert statuses["process"].up
        release.set()

    hanging = Thermometer(lambda: release.wait(30.0))
    healthy = Thermometer(1.0)
    healthy.name = "process"
    config = make_config(make_node("1"), timeout=0.01)
    drive(scenario, hanging, healthy, config=config)


def test_what_the_platform_lacks_is_no_source():
    async def scenario(poller, tracker, clock):
        assert tracker.snapshot().host_sources == ()

    drive(scenario, Thermometer(1.0, present=False))


@pytest.mark.parametrize(
    ("choice", "reads"),
    [
        ({}, True),
        ({"only_collectors": ("cpu",)}, True),
        ({"only_collectors": ("memory",)}, False),
        ({"switched_collectors": {"cpu": False}}, False),
        ({"only_collectors": (), "switched_collectors": {"cpu": True}}, True),
    ],
)
def test_a_collector_reads_where_it_is_chosen(choice, reads):
    config = make_config(make_node("1"), **choice)
    source = HostSource(Thermometer(1.0), NodeTrees(dict))
    targets = source.targets(config)
    assert bool(targets) == reads
    assert all(target.interval == 30.0 for target in targets)


def test_a_collector_that_is_switched_off_is_closed_and_its_facts_go():
    thermometer = Thermometer(20.5)

    async def scenario(poller, tracker, clock):
        await poller.asked_once()
        await poller.configure(make_config(make_node("1"), switched_collectors={"cpu": False}))
        assert thermometer.closed == 1
        snapshot = tracker.snapshot()
        assert snapshot.of_host(Weather) is None
        assert snapshot.host_sources == ()

    drive(scenario, thermometer)


def test_the_registry_gives_one_of_each_under_its_own_name():
    assert tuple(one.name for one in collectors(NodeTrees(dict))) == tuple(COLLECTORS)
    assert all(one.about for one in collectors(NodeTrees(dict)))


# --- tools ------------------------------------------------------------------------------------


def test_a_tool_answers(tmp_path):
    assert run_tool(["/bin/echo", "hello"], 5.0) == b"hello\n"


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        ("#!/bin/sh\nexec sleep 600\n", Reason.TIMEOUT, "had not ended after 0.2 s"),
        ("#!/bin/sh\necho no such thing >&2; exit 66\n", Reason.TOOL_FAILED, "66: no such thing"),
        ("not a program", Reason.TOOL_FAILED, "tool"),
    ],
)
def test_a_tool_that_fails_is_a_reason(tmp_path, script, reason, words):
    tool = tmp_path / "tool"
    tool.write_text(script)
    tool.chmod(0o755)
    with pytest.raises(SourceError) as caught:
        run_tool([str(tool)], 0.2 if reason is Reason.TIMEOUT else 5.0)
    assert caught.value.reason is reason
    assert words in caught.value.detail


def test_a_tool_that_is_not_there_or_not_to_be_run_is_a_reason(tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    for path, reason in ((tmp_path / "none", Reason.MISSING), (tmp_path, Reason.PERMISSION)):
        with pytest.raises(SourceError) as caught:
            run_tool([str(path)], 1.0)
        assert caught.value.reason is reason


def test_a_tool_that_hangs_is_killed(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    tool.chmod(0o755)
    with pytest.raises(SourceError):
        run_tool([str(tool)], 0.5)
    pid = (tmp_path / "pid").read_text().strip()
    assert subprocess.run(["ps", "-p", pid], stdout=subprocess.DEVNULL).returncode == 1
