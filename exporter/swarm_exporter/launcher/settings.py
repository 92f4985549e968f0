"""The settings that let several trainers share a machine: threads, GPU memory, training keys.

Facts from PyTorch 2.x (its MPS allocator), OpenMP, Apple's vecLib, CUDA and TRL's configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from swarm_exporter.launcher.machine import Gpu, Machine
from swarm_exporter.launcher.profile import Batch, Profile, Tuning

Scalar = int | float | str | bool

HIGH = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
LOW = "PYTORCH_MPS_LOW_WATERMARK_RATIO"
_THREADS = ("OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
#: nvidia-smi counts GPUs in this order, CUDA by default in another.
_PCI_ORDER = "PCI_BUS_ID"
#: Every variable that a plan may set; a person's own value of one wins.
PLANNED_VARIABLES = (*_THREADS, HIGH, LOW, _ORDER, _VISIBLE)

#: So many hundredths of what macOS recommends for the GPU are shared among the nodes. PyTorch
#: checks each process on its own, and nothing checks the sum.
_MPS_HUNDREDTHS = 85
#: Above this part of its limit PyTorch gives cached buffers back.
_LOW_OF_HIGH = 0.8
#: With more nodes than this, two decimals would round a limit down to 0.0, which is no limit.
_MOST_FOR_TWO_DECIMALS = 85


def thread_settings(machine: Machine, nodes: int) -> dict[str, str]:
    """Return how many threads each of `nodes` trainers may use, empty where cores are unknown."""
    if machine.performance_cores is None:
        return {}
    threads = str(max(1, machine.performance_cores // nodes))
    names = _THREADS if machine.platform == "darwin" else _THREADS[:1]
    return dict.fromkeys(names, threads)


def mps_ratios(nodes: int) -> tuple[str, str]:
    """Return the high and the low watermark ratio of each of `nodes` trainers on one Mac."""
    decimals = 2 if nodes <= _MOST_FOR_TWO_DECIMALS else 6
    step = 10**decimals
    high = _MPS_HUNDREDTHS * step // (100 * nodes)
    low = round(high * _LOW_OF_HIGH)
    return f"{high / step:.{decimals}f}", f"{low / step:.{decimals}f}"


def mps_settings(nodes: int, own: Mapping[str, str]) -> dict[str, str]:
    """Return the watermark ratios that a person has not set; PyTorch refuses LOW above HIGH."""
    high, low = mps_ratios(nodes)
    own_high, own_low = ratio(own.get(HIGH)), ratio(own.get(LOW))
    if HIGH in own:
        if LOW in own or own_high is None:
            return {}
        return {LOW: low if own_high == 0.0 else f"{own_high * _LOW_OF_HIGH:.4g}"}
    if LOW in own:
        raised = own_low is not None and own_low > float(high)
        return {HIGH: own[LOW] if raised else high}
    return {HIGH: high, LOW: low}


def mps_warnings(nodes: int, own: Mapping[str, str]) -> list[str]:
    """Return what is dangerous in the ratios that a person has set, a sentence each."""
    high, _ = mps_ratios(nodes)
    warnings = [
        f'{name}="{own[name]}" is no number, so PyTorch may take it for no limit; remove it'
        for name in (HIGH, LOW)
        if name in own and ratio(own[name]) is None
    ]
    own_high, own_low = ratio(own.get(HIGH)), ratio(own.get(LOW))
    if own_high == 0.0 and nodes > 1:
        warnings.append(
            f"{HIGH}=0.0 takes every limit from the GPU memory of {nodes} nodes: the Mac swaps "
            f"until it freezes or its watchdog restarts it; remove it, or set {high}"
        )
    in_force = own_high if HIGH in own else own_low
    if in_force is not None and in_force * nodes > 1:
        name = HIGH if HIGH in own else LOW
        warnings.append(
            f"{name}={own[name]} lets {nodes} nodes take {in_force * nodes:.2g} times the GPU "
            f"memory that macOS recommends, for PyTorch checks each node alone: the Mac swaps, "
            f"then GPU commands fail; remove it, or set {HIGH} to at most {high}"
        )
    if own_high and own_low is not None and own_low > own_high:
        warnings.append(
            f"{LOW}={own[LOW]} is above {HIGH}={own[HIGH]}: PyTorch ends with "
            f'"invalid low watermark ratio"; lower {LOW}'
        )
    return warnings


def ratio(text: str | None) -> float | None:
    """Return a ratio as PyTorch reads it, None where it is no number."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0.0 else None


def usable_gpus(machine: Machine, own: Mapping[str, str]) -> dict[int, Gpu]:
    """Return the GPUs that nodes may use, by number, as far as a person's own setting tells."""
    gpus = dict(enumerate(machine.gpus))
    if _VISIBLE not in own:
        return gpus
    chosen = [part.strip() for part in own[_VISIBLE].split(",") if part.strip()]
    if not all(part.lstrip("-").isdigit() for part in chosen):
        return gpus
    # CUDA ignores everything behind the first number that is no GPU; -1 is the usual one.
    kept: dict[int, Gpu] = {}
    for part in chosen:
        if int(part) not in gpus:
            break
        kept[int(part)] = gpus[int(part)]
    return kept


def gpu_settings(
    gpus: Mapping[int, Gpu], nodes: int, need: int, own: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return for each node the GPU with the most memory left, nodes before it counted."""
    if not gpus or _VISIBLE in own or own.get(_ORDER, _PCI_ORDER) != _PCI_ORDER:
        return [{} for _ in range(nodes)]
    left = {number: gpu.free_memory or gpu.total_memory or 0 for number, gpu in gpus.items()}
    settings = []
    for _ in range(nodes):
        chosen = max(left, key=lambda number: (left[number], -number))
        left[chosen] -= max(1, need)
        settings.append({_ORDER: _PCI_ORDER, _VISIBLE: str(chosen)})
    return settings


def training_settings(tuning: Tuning, present: Mapping[str, object] | None) -> dict[str, Scalar]:
    """Return the training keys of a node that shares the machine; its effective batch stays.

    `present` are the values in the node's file, None where there is no file yet.
    """
    known = present or {}
    settings: dict[str, Scalar] = {
        key: value for key, value in tuning.keys.items() if not _saves_more(known.get(key), value)
    }
    if tuning.batch is not None:
        settings |= _smaller_batch(tuning.batch, {**known, **settings})
    return settings


def tuned_keys(profile: Profile) -> Sequence[str]:
    """Return the keys, as dotted paths, that a plan reads or sets in the profile's file."""
    if profile.tuning is None:
        return ()
    keys = list(profile.tuning.keys)
    batch = profile.tuning.batch
    if batch is not None:
        keys += [key for key in (batch.size, batch.accumulation, batch.multiple_of) if key]
    return keys


def _saves_more(present: object, tuned: Scalar) -> bool:
    """Tell whether a person has already set a number below the tuned one."""
    numbers = _is_number(present) and _is_number(tuned)
    return numbers and present < tuned  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _smaller_batch(batch: Batch, values: Mapping[str, object]) -> dict[str, Scalar]:
    """Return the smallest batch with as much accumulation as keeps their product."""
    size, accumulation = _count(values, batch.size), _count(values, batch.accumulation)
    multiple = _count(values, batch.multiple_of) if batch.multiple_of else 1
    if size is None or accumulation is None or multiple is None:
        return {}
    effective = size * accumulation
    # Whatever divides the effective batch and is a multiple is at least the multiple itself.
    if multiple > size or effective % multiple != 0:
        return {}
    return {batch.size: multiple, batch.accumulation: effective // multiple}


def _count(values: Mapping[str, object], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
