from __future__ import annotations

import pytest

from ioreg_support import Ioreg, xml
from swarm_exporter.host.cpu_clusters_darwin import (
    cluster_letters,
    cluster_names,
    darwin_clusters,
    tier_names,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


def cpu(number: int, letter: str, key: str = "logical-cpu-id") -> dict[str, object]:
    """A core as the registry has it: numbers in bytes or whole, the letter with its zero."""
    value = number if key == "logical-cpu-id" else number.to_bytes(4, "little")
    return {
        "cluster-type": letter.encode() + b"\0",
        key: value,
        "name": f"cpu{number}".encode() + b"\0",
        "device_type": b"cpu\0",
    }


def tiers(*names: str):
    """The two readers of sysctl on a machine with these tiers."""
    texts = {f"hw.perflevel{tier}.name": name for tier, name in enumerate(names)}
    return texts.get, {"hw.nperflevels": len(names)}.get if names else {}.get


def clusters(cpus, *names: str):
    run = Ioreg(xml(*cpus))
    found = darwin_clusters(run, *tiers(*names))
    assert run.commands == [("/usr/sbin/ioreg", "-a", "-r", "-d", "1", "-k", "cluster-type")]
    return found


@pytest.mark.parametrize("key", ["logical-cpu-id", "cpu-id"])
def test_the_slow_cores_of_a_base_m4_come_first(key):
    found = clusters(
        [cpu(n, "E" if n < 6 else "P", key) for n in range(10)], "Performance", "Efficiency"
    )
    assert found == {n: "efficiency" if n < 6 else "performance" for n in range(10)}


def test_cores_of_an_ultra_are_interleaved_and_told_in_any_order():
    letters = "EEPPEEPP"
    cpus = [cpu(n, letter) for n, letter in enumerate(letters)]
    cpus = [dict(sorted(entry.items(), reverse=n % 2 == 1)) for n, entry in enumerate(cpus)][::-1]
    assert cluster_letters(cpus) == dict(enumerate(letters))
    assert list(cluster_letters(cpus)) == list(range(8))


@pytest.mark.parametrize(
    ("letters", "names", "meaning"),
    [
        ("EP", ("Performance", "Efficiency"), {"E": "efficiency", "P": "performance"}),
        ("MP", ("Super", "Performance"), {"M": "performance", "P": "super"}),
        ("EP", ("Super", "Efficiency"), {"E": "efficiency", "P": "super"}),
        ("EP", (), {"E": "efficiency", "P": "performance"}),
        ("MP", (), {"M": "performance", "P": "super"}),
        ("EMP", ("Super", "Performance"), {"E": "efficiency", "M": "performance", "P": "super"}),
        ("P", ("Performance",), {"P": "performance"}),
        ("EX", ("Performance", "Efficiency"), {"E": "efficiency"}),
    ],
)
def test_letters_are_the_system_s_tiers_by_their_speed(letters, names, meaning):
    assert cluster_names(set(letters), tier_names(*tiers(*names))) == meaning


def test_the_tiers_are_named_in_lower_case_or_not_at_all():
    assert tier_names(*tiers("Super", "Performance")) == ("super", "performance")
    assert tier_names(*tiers("Super", " ")) == ()
    assert tier_names({}.get, {"hw.nperflevels": 2}.get) == ()
    assert tier_names({}.get, {}.get) == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"cluster-type": b"E\0"},
        {"cluster-type": b"E\0", "cpu-id": b""},
        {"cluster-type": b"E\0", "cpu-id": "one"},
        {"cluster-type": b"E\0", "logical-cpu-id": True},
        {"cluster-type": b"E\0", "logical-cpu-id": -1},
        {"cluster-type": b"E\0", "cpu-id": b"\xff" * 8},
        {"cluster-type": b"\xff\0", "logical-cpu-id": 1},
        {"cluster-type": b"EP\0", "logical-cpu-id": 1},
        {"cluster-type": 5, "logical-cpu-id": 1},
        {"logical-cpu-id": 1},
    ],
)
def test_an_object_that_is_no_core_is_left_out(odd):
    assert cluster_letters([odd, cpu(0, "P")]) == {0: "P"}


def test_the_logical_number_comes_before_the_one_of_the_device_tree():
    assert cluster_letters([{**cpu(9, "E"), "cpu-id": b"\x02\0\0\0"}]) == {9: "E"}


def test_a_letter_as_text_is_read_too():
    assert cluster_letters([{"cluster-type": "E", "logical-cpu-id": 3}]) == {3: "E"}


def test_a_core_that_is_told_in_two_ways_is_not_known():
    assert cluster_letters([cpu(0, "E"), cpu(0, "P"), cpu(1, "P"), cpu(1, "P")]) == {1: "P"}


def test_where_nothing_matches_or_ioreg_fails_nothing_is_known():
    def hang(command, timeout):
        raise SourceError(Reason.TIMEOUT, "ioreg had not ended")

    assert clusters([]) == {}
    assert darwin_clusters(hang, *tiers("Performance", "Efficiency")) == {}
    assert darwin_clusters(Ioreg(b"<plist>"), *tiers()) == {}
