from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.errors import ConfigError
from swarm_exporter.launcher.machine import Gpu, Machine
from swarm_exporter.launcher.plan import Plan, make_plan, node_env, read_training
from swarm_exporter.launcher.profile import Batch, Need, Profile, Tuning, load_profile
from swarm_exporter.launcher.settings import HIGH, LOW, PLANNED_VARIABLES

GIB = 2**30
CODEZERO = load_profile("codezero", Path())
HIVEMIND = load_profile("hivemind", Path())
CUSTOM = load_profile("custom", Path())


def mac(gib: float, **more) -> Machine:
    facts = {
        "platform": "darwin",
        "total_memory": int(gib * GIB),
        "available_memory": int(gib * GIB),
        "performance_cores": 4,
        "efficiency_cores": 6,
        "logical_cpus": 10,
        "unified_memory": True,
        "gpus": (),
        "disk_free": 500 * GIB,
        "pressure": "normal",
    }
    return Machine(**{**facts, **more})


def linux(gib: float, **more) -> Machine:
    facts = {"platform": "linux", "efficiency_cores": 0, "unified_memory": False}
    return mac(gib, **{**facts, "performance_cores": 16, **more})


def gpu(total: float | None, free: float | None = None) -> Gpu:
    free = total if free is None else free
    sizes = [None if size is None else int(size * GIB) for size in (total, free)]
    return Gpu(name="NVIDIA RTX", total_memory=sizes[0], free_memory=sizes[1])


def plan(machine: Machine, profile: Profile = CODEZERO, **facts) -> Plan:
    given = {
        "nodes": None,
        "measured": None,
        "reserve": None,
        "explicit": {},
        "training": None,
    }
    return make_plan(machine, profile, **{**given, **facts})


# What people run, and what such machines are known to bear.
@pytest.mark.parametrize(
    ("machine", "fit", "fit_untuned", "limit"),
    [
        (mac(8), 0, 0, "memory"),
        (mac(16), 2, 1, "memory"),
        (mac(24), 3, 2, "memory"),
        (mac(32), 4, 2, "memory"),
        (mac(64), 4, 4, "cores"),
        (mac(64, performance_cores=10), 8, 5, "memory"),
        # Linux counts without what the firmware and the kernel take.
        (linux(7.6), 0, 0, "memory"),
        (linux(15.5), 2, 1, "memory"),
        (linux(31.2), 4, 2, "memory"),
        (linux(125, performance_cores=None), 17, 11, "memory"),
        (linux(125, performance_cores=1), 1, 1, "cores"),
        (linux(125, disk_free=50 * GIB), 3, 3, "disk"),
        (linux(125, disk_free=None), 16, 11, "cores"),
        (linux(125, gpus=(gpu(24),)), 3, 2, "gpu_memory"),
        (linux(125, gpus=(gpu(24), gpu(12))), 4, 3, "gpu_memory"),
        (linux(125, gpus=(gpu(24), gpu(None))), 16, 11, "cores"),
        (linux(15.5, gpus=(gpu(24),)), 2, 1, "memory"),
        (linux(125, gpus=(gpu(4),)), 0, 0, "gpu_memory"),
    ],
)
def test_how_many_nodes_fit(machine, fit, fit_untuned, limit):
    found = plan(machine)
    assert (found.fit, found.fit_untuned, found.limit) == (fit, fit_untuned, limit)


@pytest.mark.parametrize(
    ("gib", "measured", "fit"),
    [(16, 8, 1), (24, 8, 2), (32, 8, 3), (32, 6.5, 4), (16, 12, 1), (24, 9.6, 2), (8, 5, 1)],
)
def test_a_running_node_tells_better_than_the_profile(gib, measured, fit):
    found = plan(mac(gib), measured=int(measured * GIB))
    assert (found.fit, found.fit_untuned) == (fit, fit)
    assert found.node_memory == int(measured * GIB)
    assert found.node_memory_source == "measured on a running node"


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (
            mac(16),
            "Memory is the limit: of 16.0 GiB, 14.0 GiB are for nodes, and one takes 6.5 GiB.",
        ),
        (
            mac(64),
            "Cores are the limit: each node needs a performance core of its own, and there are 4.",
        ),
        (
            linux(64, performance_cores=1),
            "Cores are the limit: each node needs a core of its own, and there is 1.",
        ),
        (
            linux(125, disk_free=30 * GIB),
            "The disk is the limit: 30.0 GiB are free where the nodes' folders are, and each new "
            "node takes 14.0 GiB.",
        ),
        (
            linux(125, gpus=(gpu(24),)),
            "GPU memory is the limit: 21.6 GiB are for nodes, and one takes 6.5 GiB of one GPU.",
        ),
    ],
)
def test_the_reason_is_one_sentence(machine, reason):
    assert plan(machine).reason == reason


def test_a_tenth_but_at_least_two_gib_stay_with_the_machine():
    assert (plan(mac(8)).reserve, plan(mac(16)).reserve) == (2 * GIB, 2 * GIB)
    assert plan(mac(64)).reserve == pytest.approx(6.4 * GIB, abs=1)
    assert plan(mac(64)).reserve_reason.startswith("a tenth")


def test_a_configured_reserve_counts():
    found = plan(mac(24), reserve=10 * GIB)
    assert (found.fit, found.reserve, found.reserve_reason) == (2, 10 * GIB, "as configured")
    assert plan(mac(24), reserve=0).fit == 3
    assert plan(mac(24), reserve=40 * GIB).fit == 0


def test_folders_that_are_set_up_need_no_more_disk():
    machine = linux(125, disk_free=15 * GIB)
    assert plan(machine).fit == 1
    assert plan(machine, existing=3).fit == 4


def test_asking_for_what_fits_and_for_more():
    assert plan(mac(24), nodes=2).fits
    assert plan(mac(24), nodes=2).advice == ""
    found = plan(mac(24), nodes=5)
    assert not found.fits
    assert found.nodes == 5, "the settings are for what was asked"
    assert found.advice.startswith("Start 3 instead, or use a machine with more memory: else the")
    assert "swap" in found.advice


def test_a_mac_of_8_gb_bears_none_well():
    found = plan(mac(8))
    assert (found.fit, found.nodes) == (0, 1)
    assert found.advice.startswith("None fits well: the machine would swap, rounds would take many")
    assert "Killed: 9" in found.advice
    assert not plan(mac(8), nodes=1).fits


def test_one_node_alone_is_not_tuned_and_needs_what_upstream_needs():
    found = plan(mac(16), nodes=1)
    assert found.training == {}
    assert found.node_memory == 10 * GIB
    assert "as upstream comes" in found.node_memory_source
    assert plan(mac(11)).fit == 0


def test_without_tuning_the_figure_of_upstream_counts():
    assert plan(mac(32), CUSTOM).fit == 3, "8 GiB a node"
    assert plan(mac(32), msgspec.structs.replace(CODEZERO, tuning=None)).fit == 2


@pytest.mark.parametrize(
    ("nodes", "high", "low", "threads"),
    [
        (1, "0.85", "0.68", "4"),
        (2, "0.42", "0.34", "2"),
        (3, "0.28", "0.22", "1"),
        (4, "0.21", "0.17", "1"),
        (8, "0.10", "0.08", "1"),
        (100, "0.008500", "0.006800", "1"),
    ],
)
def test_the_variables_of_each_node_on_a_mac(nodes, high, low, threads):
    found = plan(mac(64), nodes=nodes)
    assert len(found.settings) == nodes
    for number in range(1, nodes + 1):
        assert node_env(found, number) == {
            "OMP_NUM_THREADS": threads,
            "VECLIB_MAXIMUM_THREADS": threads,
            HIGH: high,
            LOW: low,
        }


def test_there_is_no_node_beyond_the_last():
    for number in (0, 3, -1):
        with pytest.raises(IndexError, match="the plan is for 2 nodes"):
            node_env(plan(mac(16), nodes=2), number)


def test_linux_has_no_settings_of_a_mac():
    assert node_env(plan(linux(64), nodes=3), 3) == {"OMP_NUM_THREADS": "5"}


def test_cores_that_are_unknown_set_no_threads():
    assert node_env(plan(linux(64, performance_cores=None), nodes=3), 1) == {}


def test_a_trainer_without_pytorch_gets_no_variables():
    other = msgspec.structs.replace(CODEZERO, torch=False)
    found = plan(mac(64), other, nodes=2, explicit={HIGH: "0.0"})
    assert node_env(found, 1) == {}
    assert found.warnings == ()
    assert plan(linux(125, gpus=(gpu(4),)), other).fit == 16


def visible(machine: Machine, nodes: int, **facts) -> list[str | None]:
    found = plan(machine, nodes=nodes, **facts)
    return [node_env(found, n).get("CUDA_VISIBLE_DEVICES") for n in range(1, nodes + 1)]


def test_nodes_are_spread_over_gpus_by_free_memory():
    machine = linux(125, gpus=(gpu(24, 6), gpu(24, 23)))
    assert visible(machine, 3) == ["1", "1", "1"]
    assert visible(machine, 4) == ["1", "1", "1", "0"]
    assert visible(linux(125, gpus=(gpu(24), gpu(24))), 4) == ["0", "1", "0", "1"]
    assert visible(linux(125, gpus=(gpu(None), gpu(None))), 3) == ["0", "1", "0"]
    assert visible(linux(125), 2) == [None, None]


def test_gpus_are_numbered_as_nvidia_smi_does():
    machine = linux(125, gpus=(gpu(24), gpu(24)))
    assert node_env(plan(machine, nodes=2), 1)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    other = {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    assert visible(machine, 2, explicit=other) == [None, None], "the numbers would mislead"


@pytest.mark.parametrize(
    ("own", "fit"),
    [("1", 1), ("0,1", 4), ("-1", 16), ("", 16), ("0,7,1", 3), ("GPU-5a2c", 4)],
)
def test_gpus_that_a_person_has_chosen(own, fit):
    machine = linux(125, gpus=(gpu(24), gpu(13)))
    explicit = {"CUDA_VISIBLE_DEVICES": own}
    found = plan(machine, explicit=explicit)
    assert found.fit == fit
    assert visible(machine, 2, explicit=explicit) == [None, None]
    assert found.settings[0].own == explicit


def test_a_large_gpu_may_get_a_larger_model():
    assert "GPU of 40 GiB or more" in plan(linux(250, gpus=(gpu(80),))).warnings[0]
    assert plan(linux(250, gpus=(gpu(24),))).warnings == ()


def test_what_a_person_has_set_wins_and_is_shown():
    explicit = {"OMP_NUM_THREADS": "3", "HOME": "/home/me"}
    found = plan(mac(16), nodes=2, explicit=explicit)
    assert "OMP_NUM_THREADS" not in node_env(found, 1)
    assert found.settings[1].own == {"OMP_NUM_THREADS": "3"}
    assert node_env(found, 1)["VECLIB_MAXIMUM_THREADS"] == "2"


def test_what_a_profile_sets_wins():
    own = msgspec.structs.replace(CODEZERO, env={"OMP_NUM_THREADS": "6"})
    assert "OMP_NUM_THREADS" not in node_env(plan(mac(16), own, nodes=2), 1)


@pytest.mark.parametrize(
    ("explicit", "planned"),
    [
        ({HIGH: "0.3"}, {LOW: "0.24"}),
        ({HIGH: "0.0"}, {LOW: "0.34"}),
        ({LOW: "0.2"}, {HIGH: "0.42"}),
        ({LOW: "0.45"}, {HIGH: "0.45"}),
        ({HIGH: "0.3", LOW: "0.2"}, {}),
        ({HIGH: "much"}, {}),
    ],
)
def test_one_ratio_of_a_person_gets_another_that_pytorch_takes(explicit, planned):
    env = node_env(plan(mac(16), nodes=2, explicit=explicit), 1)
    assert {name: env[name] for name in (HIGH, LOW) if name in env} == planned


@pytest.mark.parametrize(
    ("explicit", "words"),
    [
        ({HIGH: "0.0"}, "takes every limit from the GPU memory of 2 nodes: the Mac swaps until"),
        ({HIGH: "0.7"}, "lets 2 nodes take 1.4 times the GPU memory that macOS recommends"),
        ({LOW: "0.6"}, "lets 2 nodes take 1.2 times the GPU memory that macOS recommends"),
        ({HIGH: "0.4", LOW: "0.5"}, "PyTorch ends with"),
        ({HIGH: "nan"}, "is no number"),
    ],
)
def test_dangerous_ratios_are_warned_of(explicit, words):
    (warning,) = plan(mac(16), nodes=2, explicit=explicit).warnings
    assert words in warning
    assert plan(linux(16), nodes=2, explicit=explicit).warnings == ()


@pytest.mark.parametrize("explicit", [{}, {HIGH: "0.5"}, {HIGH: "0.4", LOW: "0.3"}])
def test_safe_ratios_are_not_warned_of(explicit):
    assert plan(mac(16), nodes=2, explicit=explicit).warnings == ()


def test_one_node_without_a_limit_is_its_owners_choice():
    assert plan(mac(16), nodes=1, explicit={HIGH: "0.0"}).warnings == ()


def test_memory_that_other_programs_hold_is_warned_of():
    machine = mac(16, available_memory=5 * GIB, pressure="critical")
    short, held = plan(machine).warnings
    assert "pressure: critical" in short
    assert held.startswith("only 5.0 GiB of memory are available now, and what is planned takes 13")
    assert len(plan(machine, measured=6 * GIB).warnings) == 1, "running nodes hold it themselves"
    assert plan(machine).fit == 2, "the machine itself has room"


SIZE, STEPS, GENERATIONS = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_generations",
)


@pytest.mark.parametrize(
    ("size", "steps", "generations", "wanted"),
    [
        (4, 2, 2, (2, 4)),
        (8, 1, 4, (4, 2)),
        (2, 4, 2, (2, 4)),
        (4, 4, 3, None),
        (2, 4, 4, None),
        (4, None, 2, None),
        ("${batch}", 4, 2, None),
        (True, 4, 2, None),
        (4, 0, 2, None),
    ],
)
def test_the_smallest_batch_with_the_same_product(size, steps, generations, wanted):
    present = {SIZE: size, STEPS: steps, GENERATIONS: generations}
    training = plan(mac(16), HIVEMIND, nodes=2, training=present).training
    assert (training.get(SIZE), training.get(STEPS)) == (wanted or (None, None))


def test_an_unknown_batch_stays():
    training = plan(mac(16), HIVEMIND, nodes=2).training
    assert training == {"gradient_checkpointing": True, "max_completion_length": 512}


def test_a_key_that_saves_even_more_stays():
    present = {"max_completion_length": 256, "gradient_checkpointing": False}
    found = plan(mac(16), HIVEMIND, nodes=2, training=present)
    assert found.training == {"gradient_checkpointing": True}
    assert found.training_present == {"gradient_checkpointing": False}


def test_training_values_are_read_from_a_nodes_folder(tmp_path):
    assert read_training(tmp_path, CODEZERO) is None
    assert read_training(tmp_path, CUSTOM) is None
    file = tmp_path / CODEZERO.tuning.file
    file.parent.mkdir(parents=True)
    file.write_text("training:\n  num_generations: 4\n  seed: 42\nother: ${oc.env:HOME}\n")
    assert read_training(tmp_path, CODEZERO) == {"training.num_generations": 4}
    file.write_text("training: none\n")
    assert read_training(tmp_path, CODEZERO) == {}
    file.write_text("training: [\n")
    with pytest.raises(ConfigError, match=r"code-gen-swarm\.yaml:2: not valid YAML"):
        read_training(tmp_path, CODEZERO)


def test_values_of_a_batch_are_read_as_they_stand(tmp_path):
    file = tmp_path / HIVEMIND.tuning.file
    file.parent.mkdir(parents=True)
    file.write_text(f"{SIZE}: 4\n{STEPS}: 2\n{GENERATIONS}: 2\nlearning_rate: 5.0e-7\n")
    present = read_training(tmp_path, HIVEMIND)
    training = plan(mac(16), HIVEMIND, nodes=2, training=present).training
    assert (training[SIZE], training[STEPS]) == (2, 4)


def test_a_plan_is_json_of_plain_numbers_and_texts():
    found = plan(linux(64, gpus=(gpu(24),)), nodes=2)
    encoded = msgspec.json.decode(msgspec.json.encode(found))
    assert encoded["limit"] == "gpu_memory"
    assert encoded["machine"]["total_memory"] == 64 * GIB
    assert encoded["settings"][1]["env"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


sizes = st.integers(1, 2**40)
gpus = st.lists(
    st.builds(
        Gpu,
        name=st.just("NVIDIA"),
        total_memory=st.none() | st.integers(1, 2**38),
        free_memory=st.none() | st.integers(0, 2**38),
    ),
    max_size=4,
).map(tuple)
machines = st.builds(
    Machine,
    platform=st.sampled_from(["darwin", "linux"]),
    total_memory=sizes,
    available_memory=sizes,
    performance_cores=st.none() | st.integers(1, 200),
    efficiency_cores=st.integers(0, 16),
    logical_cpus=st.none() | st.integers(1, 400),
    unified_memory=st.booleans(),
    gpus=gpus,
    disk_free=st.none() | st.integers(0, 2**42),
    pressure=st.sampled_from([None, "normal", "warning", "critical"]),
)
needs = st.builds(
    lambda *gib: Need(*(f"{size}GiB" for size in gib)),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 40),
)
profiles = st.builds(
    lambda base, need: msgspec.structs.replace(base, need=need),
    st.sampled_from([CODEZERO, HIVEMIND, CUSTOM]),
    needs,
)
explicits = st.dictionaries(
    st.sampled_from(PLANNED_VARIABLES),
    st.sampled_from(["", "0", "0.0", "0.5", "1.7", "-1", "1,0", "nan", "x"]),
)
asked = st.none() | st.integers(1, 300)


@given(machines, profiles, asked, explicits, st.none() | sizes, st.none() | sizes)
def test_laws_of_every_plan(machine, profile, nodes, explicit, measured, reserve):
    found = plan(
        machine, profile, nodes=nodes, explicit=explicit, measured=measured, reserve=reserve
    )
    assert found.fits == (nodes is None or nodes <= found.fit)
    assert found.fit >= found.fit_untuned or found.fit_untuned > 1
    assert found.fit <= (machine.performance_cores or found.fit)
    if found.fit > 0:
        fitting = plan(
            machine, profile, nodes=found.fit, explicit=explicit, measured=measured, reserve=reserve
        )
        assert fitting.fit * fitting.node_memory <= machine.total_memory
    for node in found.settings:
        assert not set(node.env) & set(explicit), "what a person has set is never overridden"
        assert node.own == explicit
        both = {**node.env, **explicit}
        assert HIGH not in node.env or LOW in both
        if HIGH in node.env and LOW in node.env:
            assert 0 < float(both[LOW]) <= float(both[HIGH])
            assert found.nodes * float(both[HIGH]) <= 0.9
        if "OMP_NUM_THREADS" in node.env:
            assert int(node.env["OMP_NUM_THREADS"]) >= 1
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


@given(machines, profiles, st.integers(0, 2**40), st.none() | sizes)
def test_less_memory_never_makes_room_for_more(machine, profile, less, measured):
    smaller = msgspec.structs.replace(machine, total_memory=max(0, machine.total_memory - less))
    before, after = (plan(m, profile, measured=measured) for m in (machine, smaller))
    assert after.fit <= before.fit
    assert after.fit_untuned <= before.fit_untuned


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 16), st.integers(2, 8))
def test_the_effective_batch_never_changes(size, steps, multiple, nodes):
    tuning = Tuning(file="train.yaml", batch=Batch("size", "steps", "multiple"))
    profile = Profile(title="any", tuning=tuning)
    present = {"size": size, "steps": steps, "multiple": multiple}
    training = plan(mac(64), profile, nodes=nodes, training=present).training
    values = {**present, **training}
    assert values["size"] * values["steps"] == size * steps
    assert values["size"] <= size
    if training:
        assert values["size"] % multiple == 0
    else:
        fitting = [s for s in range(1, size + 1) if s % multiple == 0 and size * steps % s == 0]
        assert fitting == []
