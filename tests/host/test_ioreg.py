from __future__ import annotations

import stat
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioreg_support import Ioreg, accelerator, client, xml
from swarm_exporter.host import ioreg
from swarm_exporter.host.tool import run_tool
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


def test_the_tool_is_asked_by_its_whole_path_for_a_property_list():
    run = Ioreg(xml(accelerator()))
    (entry,) = ioreg.ask(run, "-r", "-c", "IOAccelerator")
    assert run.commands == [("/usr/sbin/ioreg", "-a", "-r", "-c", "IOAccelerator")]
    assert entry["model"] == "Apple M4"


@pytest.mark.parametrize("nothing", [b"", b"\n", xml(), b"<plist><array/></plist>"])
def test_no_match_is_no_object_and_no_fault(nothing):
    assert ioreg.entries(nothing) == ()


def test_a_lone_object_is_read_as_a_list_of_one():
    assert ioreg.entries(b"<plist><dict><key>a</key><real>1.5</real></dict></plist>") == (
        {"a": 1.5},
    )


def test_control_characters_that_the_serialiser_lets_through_do_not_cost_the_answer():
    dirty = xml(accelerator(client(7, 12, name="odd name"))).replace(
        b"odd name", b"odd\x1b\x00name"
    )
    (found,) = ioreg.entries(dirty)
    assert found["IORegistryEntryChildren"][0]["IOUserClientCreator"] == "pid 12, oddname"


@pytest.mark.parametrize(
    "broken",
    [
        xml(accelerator())[:-40],
        b"<plist><array><dict>",
        b'"PerformanceStatistics" = {"Device Utilization %"=74}',
        b"<plist><integer>5</integer></plist>",
        b"<plist><array><string>a</string></array></plist>",
        b"<plist><dict><string>no key</string></dict></plist>",
        b"<plist><dict><key>a</key><integer>secret</integer></dict></plist>",
        b"<plist><dict><key>a</key><date>yesterday</date></dict></plist>",
        b"<plist><dict><key>a</key></dict></plist>",
        b"<plist></plist>",
        b"bplist00\xff\xff",
    ],
)
def test_what_is_no_whole_property_list_of_objects_is_malformed(broken):
    with pytest.raises(SourceError) as caught:
        ioreg.entries(broken)
    assert caught.value.reason is Reason.MALFORMED
    assert "secret" not in caught.value.detail


@given(st.integers(0, len(xml(accelerator(client(1, 2, 3)))) - 10))
def test_no_truncation_is_taken_for_an_answer(length):
    whole = xml(accelerator(client(1, 2, 3)))
    if not whole[:length].strip():
        assert ioreg.entries(whole[:length]) == ()
        return
    with pytest.raises(SourceError, match="malformed"):
        ioreg.entries(whole[:length])


def test_objects_come_in_the_registry_s_order_each_before_what_is_below_it():
    tree = {
        "n": 1,
        "IORegistryEntryChildren": [
            {"n": 2, "IORegistryEntryChildren": [{"n": 3}, "odd"]},
            {"n": 4, "IORegistryEntryChildren": "odd"},
        ],
    }
    assert [entry["n"] for entry in ioreg.walk([tree, {"n": 5}])] == [1, 2, 3, 4, 5]


def test_a_tool_that_hangs_is_killed_at_its_time_and_reported(tmp_path, monkeypatch):
    tool = tmp_path / "ioreg"
    tool.write_text("#!/bin/sh\nexec sleep 600\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(ioreg, "_IOREG", str(tool))
    monkeypatch.setattr(ioreg, "_TIMEOUT", 0.2)
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        ioreg.ask(run_tool, "-r")
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.detail == "ioreg had not ended after 0.2 s"
    assert time.monotonic() - began < 30


def test_a_real_program_s_answer_is_read(tmp_path, monkeypatch):
    answer = tmp_path / "answer"
    answer.write_bytes(xml(accelerator()))
    tool = tmp_path / "ioreg"
    tool.write_text(f'#!/bin/sh\ntest "$*" = "-a -r -l" && exec cat {answer}\n')
    tool.chmod(0o755)
    monkeypatch.setattr(ioreg, "_IOREG", str(tool))
    assert len(ioreg.ask(run_tool, "-r", "-l")) == 1
