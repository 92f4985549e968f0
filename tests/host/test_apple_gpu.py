from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioreg_support import Ioreg, accelerator, client, xml
from support import make_config, make_node
from swarm_exporter.host.apple_gpu import AppleGpuCollector, Client, ClientTimes, growth
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.gpu_facts import AppleGpus, Gpu, NodeGpu
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

SECOND = 10**9


def look(config=None, **pids: tuple[int, ...]) -> Look:
    members = {
        node: tuple(Member(pid, start=1.0, root=pid == own[0]) for pid in own)
        for node, own in pids.items()
    }
    return Look(config or make_config(), now=0.0, monotonic=0.0, members=lambda: members)


class Mac:
    """A collector with an ioreg that is told what to say."""

    def __init__(self, sysctls: dict[str, int] | None = None) -> None:
        self.run = Ioreg()
        self.collector = AppleGpuCollector(self.run, (sysctls or {}).get, "darwin")

    def read(self, *accelerators, config=None, **pids: tuple[int, ...]) -> AppleGpus:
        return self.found(*accelerators, config=config, **pids).facts

    def found(self, *accelerators, config=None, **pids: tuple[int, ...]):
        self.run.answer = xml(*accelerators)
        return self.collector.read(look(config, **pids))

    def seconds(self, *accelerators, **pids: tuple[int, ...]) -> dict[str, float | None]:
        facts = self.read(*accelerators, **pids)
        return {share.node: share.seconds for share in facts.nodes}


def test_one_run_of_ioreg_tells_the_machine_and_its_clients():
    mac = Mac()
    facts = mac.read(accelerator(client(7, 12, 3 * SECOND)), one=(12,))
    assert mac.run.commands == [
        ("/usr/sbin/ioreg", "-a", "-r", "-l", "-w", "0", "-c", "IOAccelerator")
    ]
    assert facts == AppleGpus(
        gpus=(
            Gpu(
                gpu="gpu0",
                vendor="apple",
                model="Apple M4",
                cores=10,
                utilization=0.63,
                memory={"in_use": 2_500_000_000, "allocated": 7_000_000_000},
                recoveries=2,
            ),
        ),
        nodes=(NodeGpu(node="one", gpu="gpu0", seconds=3.0),),
    )


def test_a_machine_without_accelerator_is_no_fault():
    found = Mac().found(one=(12,))
    assert (found.facts, found.defects, found.summary) == (AppleGpus(), (), "no GPU")


def test_several_accelerators_are_named_in_their_order_and_counted_apart():
    found = Mac().found(
        accelerator(client(7, 12, SECOND), number=1),
        accelerator(client(8, 12, 2 * SECOND), number=2, **{"Device Utilization %": 5}),
        one=(12,),
    )
    assert [(gpu.gpu, gpu.utilization) for gpu in found.facts.gpus] == [
        ("gpu0", 0.63),
        ("gpu1", 0.05),
    ]
    assert [(share.gpu, share.seconds) for share in found.facts.nodes] == [
        ("gpu0", 1.0),
        ("gpu1", 2.0),
    ]
    assert found.summary == "Apple M4, 10 cores, Apple M4, 10 cores"


@pytest.mark.parametrize(
    ("percent", "share"),
    [(0, 0.0), (100, 1.0), (101.0, 1.0), (12.5, 0.125)],
)
def test_utilization_is_a_share_of_at_most_all(percent, share):
    found = Mac().found(accelerator(**{"Device Utilization %": percent}))
    assert found.facts.gpus[0].utilization == share
    assert found.defects == ()


@pytest.mark.parametrize(
    "impossible", [-1, 5_000, 2**64 - 3, float("nan"), float("inf"), True, "63", b"?"]
)
@pytest.mark.parametrize(
    "key",
    ["Device Utilization %", "In use system memory", "Alloc system memory", "recoveryCount"],
)
def test_an_impossible_figure_costs_itself_alone(key, impossible):
    if impossible == 5_000 and key != "Device Utilization %":
        impossible = 2**60
    found = Mac().found(accelerator(**{key: impossible}))
    assert found.defects == (Reason.INVALID_VALUE,)
    (gpu,) = found.facts.gpus
    figures = [gpu.utilization, gpu.recoveries, *gpu.memory.values()]
    assert len([figure for figure in figures if figure is not None]) == 3


@pytest.mark.parametrize(
    "key",
    ["Device Utilization %", "In use system memory", "Alloc system memory", "recoveryCount"],
)
def test_a_renamed_key_costs_its_figure_alone(key):
    found = Mac().found(accelerator(**{key: None, f"New {key}": 5}))
    assert found.defects == ()
    (gpu,) = found.facts.gpus
    figures = [gpu.utilization, gpu.recoveries, *gpu.memory.values()]
    assert len([figure for figure in figures if figure is not None]) == 3


@pytest.mark.parametrize("statistics", [None, {}, "odd", {"New Utilization": 5}])
def test_where_no_statistic_is_known_the_form_is_new(statistics):
    entry = {**accelerator(), "PerformanceStatistics": statistics}
    if statistics is None:
        del entry["PerformanceStatistics"]
    found = Mac().found(entry)
    assert found.defects == (Reason.MALFORMED,)
    (gpu,) = found.facts.gpus
    assert (gpu.model, gpu.utilization, gpu.memory, gpu.recoveries) == ("Apple M4", None, {}, None)


def test_an_accelerator_without_name_and_cores_is_still_read():
    entry = accelerator()
    del entry["model"], entry["gpu-core-count"], entry["IOClass"]
    found = Mac().found(entry)
    (gpu,) = found.facts.gpus
    assert (gpu.model, gpu.cores, gpu.vendor, gpu.utilization) == ("", None, "", 0.63)
    assert found.summary == "gpu0"


def test_a_model_in_bytes_is_read():
    assert Mac().read({**accelerator(), "model": b"Apple M1\0"}).gpus[0].model == "Apple M1"


def test_a_truncated_answer_is_malformed():
    mac = Mac()
    mac.run.answer = xml(accelerator())[:-30]
    with pytest.raises(SourceError) as caught:
        mac.collector.read(look())
    assert caught.value.reason is Reason.MALFORMED


def test_it_is_for_macs_and_asked_no_more_often_than_each_ten_seconds():
    assert AppleGpuCollector(platform="darwin").is_present()
    assert not AppleGpuCollector(platform="linux").is_present()
    assert AppleGpuCollector.shortest_interval == 10


@pytest.mark.parametrize(
    ("sysctls", "limit"),
    [
        ({"iogpu.wired_limit_mb": 12_288}, 12_884_901_888),
        ({"iogpu.wired_limit_mb": 0}, None),
        ({"iogpu.wired_limit_mb": -1}, None),
        ({}, None),
        ({"debug.iogpu.wired_limit": 1024}, 1_073_741_824),
        ({"iogpu.wired_limit_mb": 0, "debug.iogpu.wired_limit": 1024}, None),
    ],
)
def test_the_wired_limit_is_told_where_a_person_has_set_it(sysctls, limit):
    assert Mac(sysctls).read(accelerator()).wired_limit == limit


def test_a_refused_sysctl_costs_the_limit_alone():
    def refuse(name):
        raise SourceError(Reason.PERMISSION, name)

    found = AppleGpuCollector(Ioreg(xml(accelerator())), refuse, "darwin").read(look())
    assert found.defects == (Reason.PERMISSION,)
    assert found.facts.gpus
    assert found.facts.wired_limit is None


def test_a_node_s_time_is_that_of_all_clients_of_all_its_processes():
    clients = [
        client(1, 12, 1000 * SECOND, 500 * SECOND, name="python3.11"),
        client(2, 13, 7 * SECOND, name="a, odd, name"),
        client(3, 20, 50 * SECOND),
        client(4, 443, 9 * SECOND, name="WindowServer"),
    ]
    seconds = Mac().seconds(accelerator(*clients), one=(12, 13), two=(20,))
    assert seconds == {"one": 1507.0, "two": 50.0}


def test_clients_are_found_however_deep_they_are():
    nested = {"IORegistryEntryChildren": [client(1, 12, SECOND)]}
    assert Mac().seconds(accelerator(nested), one=(12,)) == {"one": 1.0}


def test_time_goes_on_and_stays_when_a_client_closes():
    mac = Mac()
    first, second = client(1, 12, 5 * SECOND), client(2, 12, 3 * SECOND)
    assert mac.seconds(accelerator(first, second), one=(12,)) == {"one": 8.0}
    grown = client(1, 12, 6 * SECOND)
    assert mac.seconds(accelerator(grown), one=(12,)) == {"one": 9.0}
    assert mac.seconds(accelerator(grown, second), one=(12,)) == {"one": 9.0}


def test_the_time_of_a_node_that_stopped_stays_and_goes_on_with_its_next_process():
    mac = Mac()
    other = client(9, 443, SECOND)
    assert mac.seconds(accelerator(other, client(1, 12, 5 * SECOND)), one=(12,)) == {"one": 5.0}
    assert mac.seconds(accelerator(other)) == {}
    node = make_config(make_node("one"))
    assert mac.read(accelerator(other), config=node).nodes[0].seconds == 5.0
    assert mac.seconds(accelerator(client(2, 30, SECOND)), one=(30,)) == {"one": 6.0}


def test_a_node_without_client_has_used_nothing_where_figures_are_seen_at_all():
    assert Mac().seconds(accelerator(client(1, 443, 5)), one=(12,)) == {"one": 0.0}
    assert Mac().seconds(accelerator(client(1, 443)), one=(12,)) == {}
    assert Mac().seconds(accelerator(), one=(12,)) == {}


def test_a_renamed_key_of_the_clients_leaves_their_time_unknown():
    renamed = {**client(1, 12), "AppUsage": [{"newGPUTime": 5}, "odd"]}
    found = Mac().found(accelerator(renamed), one=(12,))
    assert found.facts.nodes == ()
    assert found.facts.gpus[0].utilization == 0.63


@pytest.mark.parametrize(
    "odd",
    [
        {"IOUserClientCreator": "pid 0, invalid"},
        {"IOUserClientCreator": "python3.11"},
        {"IOUserClientCreator": "pid 12"},
        {"IOUserClientCreator": 12},
        {"IOUserClientCreator": "pid 99999999999999999999, x"},
        {"AppUsage": "odd"},
        {"IORegistryEntryID": "odd"},
    ],
)
def test_a_client_without_process_id_or_usage_counts_for_nobody(odd):
    lost = {**client(1, 12, 5 * SECOND), **odd}
    found = Mac().found(accelerator(lost, client(2, 12, SECOND)), one=(12,))
    assert [share.seconds for share in found.facts.nodes] == [1.0]
    assert found.defects == ()


def test_a_wrapped_figure_is_left_out_and_reported_once_for_each_client_of_a_node():
    wrapped = client(1, 12, 2**64 - 116, 4 * SECOND)
    stranger = client(2, 443, -116)
    mac = Mac()
    found = mac.found(accelerator(wrapped, stranger), one=(12,))
    assert [share.seconds for share in found.facts.nodes] == [4.0]
    assert found.defects == (Reason.INVALID_VALUE,)


def test_a_figure_that_was_hidden_for_a_while_does_not_count_twice():
    mac = Mac()
    whole = accelerator(client(1, 12, 9 * SECOND, 4 * SECOND))
    assert mac.seconds(whole, one=(12,)) == {"one": 13.0}
    assert mac.seconds(accelerator(client(1, 12, -1, 4 * SECOND)), one=(12,)) == {"one": 13.0}
    assert mac.seconds(accelerator(client(1, 12, -1)), one=(12,)) == {"one": 13.0}
    assert mac.seconds(accelerator(client(1, 12)), one=(12,)) == {"one": 13.0}
    assert mac.seconds(whole, one=(12,)) == {"one": 13.0}


def test_processes_that_are_not_seen_as_the_node_s_for_a_while_do_not_count_twice():
    mac = Mac()
    mac.seconds(accelerator(client(1, 12, 9 * SECOND)), one=(12,))
    mac.seconds(accelerator(client(1, 12, 10 * SECOND)))
    assert mac.seconds(accelerator(client(1, 12, 11 * SECOND)), one=(12,)) == {"one": 11.0}


def test_an_id_of_another_process_and_a_figure_that_fell_count_as_new():
    mac = Mac()
    assert mac.seconds(accelerator(client(1, 12, 9 * SECOND)), one=(12, 13)) == {"one": 9.0}
    assert mac.seconds(accelerator(client(1, 13, 10 * SECOND)), one=(12, 13)) == {"one": 19.0}
    assert mac.seconds(accelerator(client(1, 13, 2 * SECOND)), one=(12, 13)) == {"one": 21.0}


@pytest.mark.parametrize(
    ("before", "now", "grown", "gone"),
    [
        ((), (5, 3), 8, ()),
        ((5,), (7,), 2, ()),
        ((1000, 500), (1000,), 0, (500,)),
        ((1000, 500), (600,), 100, (1000,)),
        ((9, 7), (8, 10), 2, ()),
        ((9,), (2,), 2, (9,)),
    ],
)
def test_uses_of_a_client_go_on_from_what_they_were(before, now, grown, gone):
    assert growth(before, now) == (grown, gone)


FIGURES = st.lists(st.integers(0, 10**6), max_size=4)


@given(FIGURES, FIGURES)
def test_growth_is_what_no_assignment_of_old_figures_to_new_ones_could_make_smaller(before, now):
    grown, gone = growth(before, now)
    assert max(0, sum(now) - sum(before)) <= grown <= sum(now)
    assert sum(now) - grown == sum(before) - sum(gone)
    if not before or not now or max(now) < min(before):
        assert grown == sum(now)


READINGS = st.lists(
    st.dictionaries(st.integers(1, 4), st.integers(1, 10**12), max_size=4), max_size=12
)


@given(READINGS)
def test_a_node_s_time_never_falls_and_is_the_sum_of_what_its_clients_grew(readings):
    """Clients come, go, return and fall as they like; the process lives on."""
    times, last, expected, before = ClientTimes(), {}, 0, 0.0
    for reading in readings:
        clients = [Client(number, 12, (used,)) for number, used in reading.items()]
        times.add("gpu0", clients, {12: "one"})
        times.forget(clients, {12})
        for number, used in reading.items():
            known = last.get(number, 0)
            expected += used - known if used >= known else used
            last[number] = used
        now = times.seconds().get(("one", "gpu0"), 0.0)
        assert now >= before
        assert now == expected / SECOND
        before = now


@given(
    st.lists(
        st.dictionaries(
            st.tuples(st.integers(1, 3), st.sampled_from([12, 13, 443])),
            st.lists(st.integers(-5, 2**64 - 1), max_size=3),
            max_size=5,
        ),
        max_size=8,
    ),
    st.lists(st.sets(st.sampled_from([12, 13])), min_size=8, max_size=8),
)
def test_through_the_whole_collector_no_node_s_time_ever_falls(readings, alive):
    mac, before = Mac(), {}
    config = make_config(make_node("one"))
    for reading, pids in zip(readings, alive, strict=False):
        clients = [client(number, pid, *times) for (number, pid), times in reading.items()]
        known = {"one": tuple(pids)} if pids else {}
        facts = mac.read(accelerator(*clients), config=config, **known)
        now = {share.node: share.seconds for share in facts.nodes}
        assert all(now[node] >= seconds for node, seconds in before.items())
        before = now


def test_clients_are_forgotten_with_their_process():
    times = ClientTimes()
    for pid in range(1, 50):
        clients = [Client(pid, pid, (5,))]
        times.add("gpu0", clients, {pid: "one"})
        times.forget(clients, {pid})
    assert times.seconds() == {("one", "gpu0"): 245 / SECOND}
    assert len(times._counted) == 1
