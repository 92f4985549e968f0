from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.host.vm_stat import VmStat, parse_vm_stat, read_vm_stat
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

HEADER = "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
PAGE = 16384
ROWS = {
    "Pages free": 5_001,
    "Pages active": 280_002,
    "Pages inactive": 270_003,
    "Pages speculative": 904,
    "Pages throttled": 0,
    "Pages wired down": 210_005,
    "Pages purgeable": 106,
    '"Translation faults"': 16_000_000_007,
    "Pages copy-on-write": 1_300_000_008,
    "Pages zero filled": 12_000_000_009,
    "Pages reactivated": 1_800_000_010,
    "Pages purged": 420_000_011,
    "File-backed pages": 240_012,
    "Anonymous pages": 320_013,
    "Pages stored in compressor": 2_900_014,
    "Pages occupied by compressor": 710_015,
    "Decompressions": 1_800_000_016,
    "Compressions": 2_200_000_017,
    "Pageins": 430_000_018,
    "Pageouts": 4_300_019,
    "Swapins": 53_000_020,
    "Swapouts": 73_000_021,
}
#: macOS 27 on an M5 adds rows for tagged memory.
TAGGED = {
    "Pages tagged": 150_000,
    "Pages tag-storage holding tags": 17_000,
    "Bytes of compressed tags": 5_300_000,
    "Tagged compressions": 3_100_000,
}


def text(rows: dict[str, int], width: int = 51, header: str = HEADER) -> bytes:
    lines = [f"{name + ':':<{width - len(str(n)) - 1}}{n}.\n" for name, n in rows.items()]
    return (header + "".join(lines)).encode()


@pytest.mark.parametrize("width", [46, 51, 60])
@pytest.mark.parametrize("rows", [ROWS, ROWS | TAGGED, dict(reversed(ROWS.items()))])
def test_every_figure_is_read_in_bytes_whatever_the_width_and_order(width, rows):
    assert parse_vm_stat(text(rows, width)) == VmStat(
        page_size=PAGE,
        free=5_001 * PAGE,
        active=280_002 * PAGE,
        inactive=270_003 * PAGE,
        speculative=904 * PAGE,
        wired=210_005 * PAGE,
        purgeable=106 * PAGE,
        compressed=710_015 * PAGE,
        stored_in_compressor=2_900_014 * PAGE,
        file_backed=240_012 * PAGE,
        anonymous=320_013 * PAGE,
        pageins=430_000_018 * PAGE,
        pageouts=4_300_019 * PAGE,
        swapins=53_000_020 * PAGE,
        swapouts=73_000_021 * PAGE,
        compressions=2_200_000_017,
        decompressions=1_800_000_016,
    )


def test_the_size_of_a_page_is_the_header_s():
    small = text(ROWS, header=HEADER.replace("16384", "4096"))
    assert parse_vm_stat(small).free == 5_001 * 4096


def test_a_row_that_is_missing_or_renamed_costs_its_figure_alone():
    rows = {name: n for name, n in ROWS.items() if name != "Swapins"}
    found = parse_vm_stat(text(rows))
    assert found.swapins is None
    assert found.swapouts == 73_000_021 * PAGE


@pytest.mark.parametrize("wrapped", [2**64 - 2, 2**32 - 2])
def test_a_difference_that_fell_below_zero_is_not_known(wrapped):
    found = parse_vm_stat(text(ROWS | {"Pages free": wrapped}))
    assert found.free is None
    assert found.active == 280_002 * PAGE


def test_lines_that_are_none_of_the_tool_s_are_passed_over():
    odd = text(ROWS).replace(b"Pages active", b"a line without figure\n: 5.\nx: 5\nPages active")
    assert parse_vm_stat(odd) == parse_vm_stat(text(ROWS))


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"\xff\xfe",
        HEADER.encode(),
        text({"Tagged compressions": 5}),
        text(ROWS, header=""),
        text(ROWS, header=HEADER.replace("16384", "0")),
    ],
)
def test_an_answer_of_another_form_is_malformed(output):
    with pytest.raises(SourceError) as caught:
        parse_vm_stat(output)
    assert caught.value.reason is Reason.MALFORMED


@given(st.integers(0, len(text(ROWS))))
def test_a_cut_answer_gives_true_figures_or_none(length):
    whole = parse_vm_stat(text(ROWS))
    try:
        cut = parse_vm_stat(text(ROWS)[:length])
    except SourceError:
        return
    for field in VmStat.__struct_fields__:
        assert getattr(cut, field) in (None, getattr(whole, field))


@given(st.binary(max_size=300))
def test_noise_is_malformed_and_nothing_else(noise):
    with pytest.raises(SourceError, match="malformed"):
        parse_vm_stat(noise)


def test_the_tool_is_run_by_its_whole_path():
    asked = []

    def run(command, timeout):
        asked.append(tuple(command))
        return text(ROWS)

    assert read_vm_stat(run) == parse_vm_stat(text(ROWS))
    assert asked == [("/usr/bin/vm_stat",)]
