"""How many nodes fit on a machine, what limits them, and the settings that each is given.

Facts in, plan out. What a node needs comes from its profile, or from a node that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from swarm_exporter.config.yaml_file import Document
from swarm_exporter.launcher.capacity import Limit, gib, need_of, reserve_of, room_for
from swarm_exporter.launcher.machine import Gpu, Machine
from swarm_exporter.launcher.profile import Profile
from swarm_exporter.launcher.settings import (
    PLANNED_VARIABLES,
    Scalar,
    gpu_settings,
    mps_settings,
    mps_warnings,
    thread_settings,
    training_settings,
    tuned_keys,
    usable_gpus,
)

#: RL Swarm v0.5 and v0.6 choose larger models where a GPU has so much memory.
_LARGE_GPU = 40 * 2**30
#: What becomes of nodes that do not fit.
_CONSEQUENCE = {
    Limit.MEMORY: "the machine would swap, rounds would take many times as long, and the system "
    "may end nodes (Killed: 9)",
    Limit.GPU_MEMORY: "trainers would end because the GPU is out of memory",
    Limit.CORES: "trainers would wait for each other and miss rounds",
    Limit.DISK: "the disk would be full before the nodes are set up, or within a month",
}
#: What helps.
_REMEDY = {
    Limit.MEMORY: "use a machine with more memory",
    Limit.GPU_MEMORY: "use a GPU with more memory, or none (CUDA_VISIBLE_DEVICES=-1)",
    Limit.CORES: "use a machine with more cores",
    Limit.DISK: "free space on that disk, or name another with --folder",
}


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The variables that one node is started with."""

    #: 1 for the first node.
    number: int
    #: What the plan sets.
    env: dict[str, str]
    #: What the person, or the profile, has set of the same variables: it wins.
    own: dict[str, str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one machine and one profile. Sizes in bytes, texts for people."""

    machine: Machine
    #: The profile's title.
    profile: str
    #: How many nodes fit, tuned where the profile can tune.
    fit: int
    #: How many fit as upstream comes.
    fit_untuned: int
    limit: Limit
    #: Why no more than `fit` do, one sentence.
    reason: str
    #: How many were asked for; None where nobody did.
    asked: int | None
    #: Whether those fit; true where none were asked for.
    fits: bool
    #: What to do where they do not fit, or where none does; else empty.
    advice: str
    #: How many nodes everything below is for.
    nodes: int
    #: What one of them takes.
    node_memory: int
    #: Where that figure comes from.
    node_memory_source: str
    #: Memory that is left to the machine.
    reserve: int
    reserve_reason: str
    settings: tuple[NodeSettings, ...]
    #: YAML file, below each node's folder, of the training keys; empty where there is none.
    training_file: str
    #: Dotted key -> the value that each node's file is to have.
    training: dict[str, Scalar]
    #: Dotted key -> the value that the first node's file has, as far as it is known.
    training_present: dict[str, Scalar]
    warnings: tuple[str, ...]


def make_plan(
    machine: Machine,
    profile: Profile,
    *,
    nodes: int | None,
    measured: int | None,
    reserve: int | None,
    explicit: Mapping[str, str],
    training: Mapping[str, object] | None,
    existing: int = 0,
) -> Plan:
    """Return the plan for `nodes` nodes, or for as many as fit.

    `measured` are the bytes of a running node, None before there is one. `reserve` are the bytes
    to leave to the machine, None for the plan's own figure. `explicit` are the variables that the
    person has set. `training` are the present values of the profile's training keys. `existing`
    nodes are set up already and need no more disk.
    """
    given = profile.env | dict(explicit)
    own = {name: given[name] for name in PLANNED_VARIABLES if name in given}
    gpus = usable_gpus(machine, own) if profile.torch else {}
    kept, kept_reason = reserve_of(machine, reserve)
    plain, tuned = (need_of(profile, measured, tuned=tuned) for tuned in (False, True))
    alone, shared = (
        room_for(machine, gpus.values(), need, reserve=kept, existing=existing)
        for need in (plain, tuned)
    )
    # One node alone is not tuned: it has to fit as upstream comes.
    room = shared if shared.nodes > 1 else alone
    fit = shared.nodes if shared.nodes > 1 else min(1, alone.nodes)
    count = nodes if nodes is not None else max(1, fit)
    need = tuned if count > 1 else plain
    tuning = profile.tuning if count > 1 else None
    values = training_settings(tuning, training) if tuning is not None else {}
    return Plan(
        machine=machine,
        profile=profile.title,
        fit=fit,
        fit_untuned=alone.nodes,
        limit=room.limit,
        reason=room.reason,
        asked=nodes,
        fits=nodes is None or nodes <= fit,
        advice=_advice(fit, nodes, room.limit),
        nodes=count,
        node_memory=need.memory,
        node_memory_source=_source(measured, tuned=tuning is not None),
        reserve=kept,
        reserve_reason=kept_reason,
        settings=_settings(machine, profile, gpus, count, need.gpu_memory, own),
        training_file=profile.tuning.file if profile.tuning is not None else "",
        training=values,
        training_present=_present(training, values),
        warnings=(
            *_shortages(machine, count * need.memory, measured),
            *_large_gpus(gpus, profile),
            *(mps_warnings(count, own) if _uses_mps(machine, profile) else ()),
        ),
    )


def node_env(plan: Plan, number: int) -> dict[str, str]:
    """Return the variables that the plan sets for node `number`, 1 for the first.

    What the person or the profile has set is not among them. Raises IndexError where the plan has
    no such node.
    """
    if not 1 <= number <= len(plan.settings):
        raise IndexError(f"the plan is for {len(plan.settings)} nodes, not for node {number}")
    return dict(plan.settings[number - 1].env)


def read_training(folder: Path, profile: Profile) -> dict[str, object] | None:
    """Return the values of the profile's training keys in a node's folder, by dotted key.

    A key that the file lacks is left out. None where there is no such file. Raises ConfigError
    where it cannot be read.
    """
    if profile.tuning is None:
        return None
    path = folder / profile.tuning.file
    if not path.is_file():
        return None
    return _training(Document(path, str(path)).content, profile)


def training_values(text: str | None, profile: Profile) -> dict[str, object] | None:
    """Return the same of a file's text; None where there is no file, or no YAML in it."""
    if text is None:
        return None
    try:
        return _training(yaml.safe_load(text), profile)
    except yaml.YAMLError:
        return None


def _training(content: object, profile: Profile) -> dict[str, object]:
    found = {}
    for key in tuned_keys(profile):
        value = content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found[key] = value
    return found


def _source(measured: int | None, *, tuned: bool) -> str:
    if measured is not None:
        return "measured on a running node"
    how = "with the training keys below" if tuned else "as upstream comes"
    return f"the profile's figure {how}, until a node has run for a while and is measured"


def _advice(fit: int, nodes: int | None, limit: Limit) -> str:
    if nodes is not None and nodes > fit > 0:
        return f"Start {fit} instead, or {_REMEDY[limit]}: else {_CONSEQUENCE[limit]}."
    if fit == 0:
        return f"None fits well: {_CONSEQUENCE[limit]}; {_REMEDY[limit]}."
    return ""


def _settings(
    machine: Machine,
    profile: Profile,
    gpus: Mapping[int, Gpu],
    nodes: int,
    gpu_need: int,
    own: Mapping[str, str],
) -> tuple[NodeSettings, ...]:
    common: dict[str, str] = {}
    if profile.torch:
        common |= thread_settings(machine, nodes)
    if _uses_mps(machine, profile):
        common |= mps_settings(nodes, own)
    planned = {name: value for name, value in common.items() if name not in own}
    return tuple(
        NodeSettings(number=number, env=planned | gpu, own=dict(own))
        for number, gpu in enumerate(gpu_settings(gpus, nodes, gpu_need, own), 1)
    )


def _uses_mps(machine: Machine, profile: Profile) -> bool:
    return machine.platform == "darwin" and profile.torch


def _present(
    training: Mapping[str, object] | None, values: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    present = {key: (training or {}).get(key) for key in values}
    return {key: value for key, value in present.items() if isinstance(value, Scalar)}


def _shortages(machine: Machine, needed: int, measured: int | None) -> list[str]:
    """Return what other programs leave no room for. Beside running nodes nobody can tell."""
    warnings = []
    if machine.pressure in ("warning", "critical"):
        warnings.append(
            f"the machine is short of memory now (pressure: {machine.pressure}); end other "
            "programs before you start nodes"
        )
    if measured is None and machine.available_memory < needed <= machine.total_memory:
        warnings.append(
            f"only {gib(machine.available_memory)} of memory are available now, and what is "
            f"planned takes {gib(needed)}; end other programs before you start nodes"
        )
    return warnings


def _large_gpus(gpus: Mapping[int, Gpu], profile: Profile) -> list[str]:
    large = any((gpu.total_memory or 0) >= _LARGE_GPU for gpu in gpus.values())
    if not large or not profile.repository:
        return []
    return [
        "the figure for GPU memory is of small models; on a GPU of 40 GiB or more RL Swarm may "
        "choose a larger one, so start one node and measure, or name the model"
    ]
