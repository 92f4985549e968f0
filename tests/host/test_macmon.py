from __future__ import annotations

import json
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import ROOT, eventually, make_config, make_node
from swarm_exporter.host import macmon as module
from swarm_exporter.host.collector import Look
from swarm_exporter.host.macmon import (
    MacmonPipe,
    Sample,
    darwin_tiers,
    named_tiers,
    parse_sample,
    usual_places,
)
from swarm_exporter.host.thermals import Macmon
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

DATA = ROOT / "tests" / "data" / "host" / "macmon"
#: A line of macmon 0.8 on an M4.
NEW = (DATA / "pipe-0.8.ndjson").read_bytes().splitlines()[0]
LATER = (DATA / "pipe-0.8.ndjson").read_bytes().splitlines()[1]


def changed(**more) -> Sample:
    """The sample of a line of which some values are others, or are away (...)."""
    document = {**json.loads(NEW), **more}
    line = json.dumps({key: value for key, value in document.items() if value is not ...})
    sample = parse_sample(line.encode())
    assert sample is not None
    return sample


def test_a_line_of_the_newest_version_is_read_whole():
    assert parse_sample(NEW) == Sample(
        Macmon(
            temperatures={"cpu": 71.25, "gpu": 66.5},
            fans={"fan0": 2150.0},
            power_watts={
                "cpu": 9.5,
                "gpu": 11.25,
                "ane": 0.0,
                "dram": 1.75,
                "gpu_sram": 0.5,
                "soc": 20.75,
                "system": 33.5,
            },
            cpu_frequency_hertz={"efficiency": 2_592e6, "performance": 4_128e6},
            cpu_active_ratio={"efficiency": 0.625, "performance": 0.875},
            gpu_frequency_hertz=1_470e6,
            gpu_active_ratio=0.96875,
        ),
        0,
    )


@pytest.mark.parametrize("version", ["0.4", "0.7"])
def test_earlier_versions_tell_no_active_shares_and_no_fans(version):
    for line in (DATA / f"pipe-{version}.ndjson").read_bytes().splitlines():
        sample = parse_sample(line)
        assert sample.defects == 0
        assert sample.facts.cpu_active_ratio == {}
        assert sample.facts.gpu_active_ratio is None
        assert sample.facts.fans == {}
        assert sample.facts.cpu_frequency_hertz.keys() == {"efficiency", "performance"}
        assert sample.facts.gpu_frequency_hertz == 444e6
        assert sample.facts.power_watts.keys() >= {"cpu", "gpu", "dram", "soc", "system"}


def test_on_an_m5_the_tiers_have_other_names():
    facts = parse_sample(NEW, ("performance", "super")).facts
    assert facts.cpu_frequency_hertz == {"performance": 2_592e6, "super": 4_128e6}
    assert facts.cpu_active_ratio == {"performance": 0.625, "super": 0.875}


def test_a_zero_that_says_unreadable_is_left_out():
    facts = changed(sys_power=0.0, ram_power=0, ecpu_freq_mhz=0, ecpu_usage=[0, 0.0]).facts
    assert facts.power_watts.keys() == {"cpu", "gpu", "ane", "gpu_sram", "soc"}
    assert facts.cpu_frequency_hertz.keys() == {"performance"}
    facts = changed(cpu_power=0.0, gpu_power=0.0, temp={"cpu_temp_avg": 0.0, "gpu_temp_avg": 40})
    assert facts.facts.power_watts.keys() == {"gpu", "ane", "dram", "gpu_sram", "system"}
    assert facts.facts.temperatures == {"gpu": 40.0}
    assert facts.defects == 0


def test_null_and_absent_are_left_out_and_no_defect():
    sample = changed(sys_power=None, temp={"cpu_temp_avg": None}, gpu_freq_mhz=..., gpu_usage=...)
    assert sample.defects == 0
    assert "system" not in sample.facts.power_watts
    assert sample.facts.temperatures == {}
    assert sample.facts.gpu_frequency_hertz is None
    for absent in ("temp", "fans"):
        assert changed(**{absent: ...}).defects == changed(**{absent: None}).defects == 0


@pytest.mark.parametrize(
    ("wrong", "lost"),
    [
        ({"cpu_power": "9"}, "power_watts"),
        ({"gpu_power": -1}, "power_watts"),
        ({"gpu_power": 1e30}, "power_watts"),
        ({"ane_power": True}, "power_watts"),
        ({"temp": {"cpu_temp_avg": 900, "gpu_temp_avg": 66.5}}, "temperatures"),
        ({"fans": [{"name": "fan0", "rpm": "fast"}]}, "fans"),
        ({"fans": [{"rpm": 1}]}, "fans"),
        ({"fans": [7]}, "fans"),
        ({"ecpu_active_ratio": 62.5}, "cpu_active_ratio"),
        ({"gpu_freq_mhz": 1e9, "gpu_usage": None}, "gpu_frequency_hertz"),
    ],
)
def test_an_impossible_value_costs_itself_alone(wrong, lost):
    whole = parse_sample(NEW).facts
    sample = changed(**wrong)
    assert sample.defects == 1
    for field in Macmon.__struct_fields__:
        assert (getattr(sample.facts, field) != getattr(whole, field)) is (field == lost)


def test_a_share_that_is_rounded_over_1_is_1():
    assert changed(gpu_active_ratio=1.0000001).facts.gpu_active_ratio == 1.0


def test_a_fan_that_stands_still_is_a_figure():
    assert changed(fans=[{"name": "fan0", "rpm": 0, "max_rpm": 4900}]).facts.fans == {"fan0": 0.0}


def test_fans_and_their_names_are_bounded():
    many = [{"name": f"{number:-<500}", "rpm": number} for number in range(1000)]
    fans = changed(fans=many).facts.fans
    assert len(fans) == 16
    assert max(map(len, fans)) == 32


@pytest.mark.parametrize(
    "line",
    [b"", b"{", NEW[:-40], b"[1]", b"null", b"7", b"\xff{}", b"[" * 60_000, b'{"cpu_power": NaN}'],
)
def test_what_is_no_sample_is_none(line):
    assert parse_sample(line) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(NEW))), _JSON))
def test_whatever_the_values_are_figures_stay_within_their_bounds(values):
    sample = parse_sample(json.dumps(values).encode())
    if sample is None:  # A number that no JSON of 64 bits can hold.
        return
    facts = sample.facts
    assert all(0 <= watts <= 10_000 for watts in facts.power_watts.values())
    assert all(0 < celsius <= 150 for celsius in facts.temperatures.values())
    assert all(0 <= ratio <= 1 for ratio in facts.cpu_active_ratio.values())
    assert all(0 < hertz <= 2e10 for hertz in facts.cpu_frequency_hertz.values())


@pytest.mark.parametrize(
    ("names", "tiers"),
    [
        (("Efficiency", "Performance"), ("efficiency", "performance")),
        (("Performance", "Super"), ("performance", "super")),
        (("", ""), ("efficiency", "performance")),
        ((), ("efficiency", "performance")),
        (("Performance", "Performance"), ("efficiency", "performance")),
        (("Tiny", "Huge"), ("efficiency", "performance")),
    ],
)
def test_only_names_that_are_known_become_labels(names, tiers):
    assert named_tiers(names) == tiers


def test_elsewhere_than_on_a_mac_there_is_no_macmon(monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "linux")
    assert usual_places() == ()
    assert darwin_tiers() == ("efficiency", "performance")
    assert not MacmonPipe().is_present()


def test_on_a_mac_it_is_looked_for_where_package_managers_put_it(monkeypatch, tmp_path):
    own = tmp_path / "macmon"
    own.touch(mode=0o755)
    monkeypatch.setattr(module.sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "/nonexistent")
    rest = ["/opt/homebrew/bin/macmon", "/usr/local/bin/macmon", "/opt/local/bin/macmon"]
    assert list(map(str, usual_places())) == rest
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(map(str, usual_places())) == [str(own), *rest]


class Running:
    """The collector with a script as macmon, its clock and its pauses in the test's hand."""

    def __init__(self, folder: Path, script: str, **how) -> None:
        self.program = folder / "macmon"
        self.go = folder / "go"
        head = f"""#!{sys.executable} -Bu
import os, sys, time

def say(line):
    os.write(1, line + b"\\n")

def wait(name):
    while not os.path.exists({str(folder)!r} + "/" + name):
        time.sleep(0.005)

NEW, LATER = {NEW!r}, {LATER!r}
"""
        self.program.write_text(head + textwrap.dedent(script))
        self.program.chmod(0o755)
        self.now = 1000.0
        self.paused = threading.Semaphore(0)
        config = make_config(make_node(), timeout=how.pop("timeout", 40.0))
        self.look = Look(config=config, now=0.0, monotonic=0.0, members=dict)
        self.macmon = MacmonPipe(
            lambda: (folder / "absent", folder, self.program),
            lambda: ("efficiency", "performance"),
            interval=how.pop("interval", 10.0),
            monotonic=lambda: self.now,
            pause=self._pause,
            **how,
        )

    def _pause(self, over: threading.Event, seconds: float) -> bool:
        self.paused.release()
        return over.wait(0.005)

    def read(self):
        return self.macmon.read(self.look)

    def refusal(self) -> tuple[Reason, str]:
        with pytest.raises(SourceError) as caught:
            self.read()
        return caught.value.reason, caught.value.detail


@pytest.fixture
def running(tmp_path):
    made = []

    def make(script: str, **how) -> Running:
        made.append(Running(tmp_path, script, **how))
        return made[-1]

    yield make
    for one in made:
        one.macmon.close()


def test_the_first_reading_waits_for_the_first_sample_and_later_ones_have_the_newest(running):
    one = running(
        """
        assert sys.argv[1:] == ["-i", "10000", "pipe"]
        say(NEW)
        wait("go")
        say(LATER)
        time.sleep(600)
        """
    )
    assert one.macmon.is_present()
    found = one.read()
    assert (found.facts, found.defects, found.summary) == (parse_sample(NEW).facts, (), "33.5 W")
    assert one.read().facts == found.facts
    one.go.touch()
    later = parse_sample(LATER).facts
    eventually(lambda: one.read().facts == later, "the later sample")


def test_without_a_sample_it_is_not_ready_and_later_stale(running):
    one = running("time.sleep(600)", timeout=0.1)
    assert one.refusal() == (Reason.NOT_READY, "macmon has just been started")
    one.now += 30
    assert one.refusal()[0] is Reason.NOT_READY
    one.now += 1
    assert one.refusal() == (Reason.STALE, "macmon has told nothing for 31 s")


def test_a_sample_grows_old(running):
    one = running("say(NEW)\ntime.sleep(600)")
    one.read()
    one.now += 30
    one.read()
    one.now += 1
    assert one.refusal() == (Reason.STALE, "macmon has told nothing for 31 s")


def test_one_that_dies_at_once_says_why_and_does_not_keep_the_reader_waiting(running):
    one = running("print('Error: no SMC', file=sys.stderr)\nsys.exit(2)")
    assert one.refusal() == (Reason.TOOL_FAILED, "macmon ended with 2: Error: no SMC")


def test_a_death_costs_a_defect_while_the_sample_is_fresh_and_the_source_later(running):
    one = running("say(NEW)\nwait('go')\nos._exit(7)")
    one.read()
    one.go.touch()
    assert one.paused.acquire(timeout=20)
    (one.program).unlink()
    found = eventually(lambda: (f := one.read()).defects and f, "the death")
    assert set(found.defects) == {Reason.TOOL_FAILED}
    assert found.facts == parse_sample(NEW).facts
    one.now += 31
    reason, words = one.refusal()
    assert reason is Reason.TOOL_FAILED
    assert words.startswith("macmon ")


def test_one_that_comes_back_is_read_again(running):
    one = running(
        """
        if os.path.exists(sys.argv[0] + ".again"):
            say(LATER)
            time.sleep(600)
        open(sys.argv[0] + ".again", "w").close()
        sys.exit(1)
        """
    )
    eventually(lambda: _reads(one) == parse_sample(LATER).facts, "the second one's sample")


def _reads(one: Running) -> Macmon | None:
    try:
        return one.read().facts
    except SourceError as error:
        assert error.reason is Reason.TOOL_FAILED
        return None


def test_lines_that_are_no_samples_are_counted_and_skipped(running):
    one = running(
        """
        say(b"macmon 0.9 says hello")
        say(b"x" * 70_000)
        say(NEW[:100])
        say(NEW)
        time.sleep(600)
        """
    )
    found = one.read()
    assert found.facts == parse_sample(NEW).facts
    assert found.defects == (Reason.MALFORMED,) * 3
    assert one.read().defects == ()


def test_nothing_but_nonsense_is_malformed(running):
    one = running("while True: say(b'hello'), time.sleep(0.01)", timeout=4.0)
    assert one.refusal() == (Reason.MALFORMED, "macmon prints lines that are not its JSON")


def test_a_flood_of_nonsense_counts_within_bounds(running):
    one = running("say(b'\\n' * 50_000)\nsay(NEW)\ntime.sleep(600)")
    assert one.read().defects == (Reason.MALFORMED,) * 100


def test_closing_frees_who_waits_and_reading_starts_it_again(running):
    one = running("wait('go')\nsay(NEW)\ntime.sleep(600)")
    said: list[tuple[Reason, str]] = []
    reader = threading.Thread(target=lambda: said.append(one.refusal()))
    reader.start()
    eventually(lambda: one.macmon._stream is not None and one.macmon._stream._run, "the start")
    one.macmon.close()
    reader.join(20)
    assert said == [(Reason.NOT_READY, "macmon has just been started")]
    one.go.touch()
    assert one.read().facts == parse_sample(NEW).facts


def test_one_that_was_removed_is_missing(running):
    one = running("say(NEW)")
    one.program.unlink()
    assert not one.macmon.is_present()
    assert one.refusal() == (Reason.MISSING, "macmon is not installed any more")


def test_what_may_not_be_run_is_no_macmon(running):
    one = running("say(NEW)")
    one.program.chmod(0o644)
    assert not one.macmon.is_present()
