"""Which cores of a Mac are fast and which save energy: ioreg's `cluster-type`, and sysctl.

`hw.perflevelN` (xnu) tells the tiers, the fastest first; which cores are of a tier stands in the
I/O registry alone. Their order is no guide: the slow ones come first, on an Ultra in between too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from swarm_exporter.host import ioreg
from swarm_exporter.host.ioreg import Entry
from swarm_exporter.host.tool import Run
from swarm_exporter.sources.errors import SourceError

_ARGUMENTS = ("-r", "-d", "1", "-k", "cluster-type")
#: Letters of `cluster-type`, the fastest first.
_BY_SPEED = "PME"
#: What the letters mean where the system has no names for its tiers.
_NAMES = {"P": "performance", "M": "performance", "E": "efficiency"}
_MOST_TIERS = 8
_LONGEST_NAME = 32
_MOST_CPUS = 4096


def darwin_clusters(
    run: Run, sysctl: Callable[[str], str | None], sysctl_int: Callable[[str], int | None]
) -> Mapping[int, str]:
    """Return the tier of each logical CPU, such as "performance".

    Empty where it is not known, a failure of ioreg among it: ask again later.
    """
    try:
        letters = cluster_letters(ioreg.ask(run, *_ARGUMENTS))
    except SourceError:
        return {}
    names = cluster_names(set(letters.values()), tier_names(sysctl, sysctl_int))
    return {cpu: names[letter] for cpu, letter in letters.items() if letter in names}


def cluster_letters(found: Iterable[Entry]) -> dict[int, str]:
    """Return the letter of the cluster of each logical CPU; one told in two ways is left out."""
    letters: dict[int, set[str]] = {}
    for entry in ioreg.walk(found):
        letter = _letter(entry.get("cluster-type"))
        cpu = _index(entry.get("logical-cpu-id"))
        if cpu is None:
            cpu = _index(entry.get("cpu-id"))
        if letter and cpu is not None:
            letters.setdefault(cpu, set()).add(letter)
    return {cpu: told.pop() for cpu, told in sorted(letters.items()) if len(told) == 1}


def tier_names(
    sysctl: Callable[[str], str | None], sysctl_int: Callable[[str], int | None]
) -> tuple[str, ...]:
    """Return the system's names of its tiers in lower case, the fastest first."""
    count = min(sysctl_int("hw.nperflevels") or 0, _MOST_TIERS)
    told = [sysctl(f"hw.perflevel{tier}.name") for tier in range(count)]
    names = [name.strip().lower()[:_LONGEST_NAME] for name in told if name]
    return tuple(names) if len(names) == count and all(names) else ()


def cluster_names(letters: Collection[str], tiers: Sequence[str]) -> dict[str, str]:
    """Return the name of each letter: M1 to M4 have P and E, some M5 have P ("super") and M."""
    ordered = [letter for letter in _BY_SPEED if letter in letters]
    if len(ordered) == len(letters) == len(tiers):
        return dict(zip(ordered, tiers, strict=True))
    names = {letter: _NAMES[letter] for letter in ordered}
    if "P" in names and "M" in names:
        names["P"] = "super"
    return names


def _letter(value: object) -> str:
    if isinstance(value, bytes):
        value = value.rstrip(b"\0").decode("ascii", "replace")
    return value if isinstance(value, str) and len(value) == 1 and value.isalpha() else ""


def _index(value: object) -> int | None:
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little") if value else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _MOST_CPUS else None
