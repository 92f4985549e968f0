"""The kernel of macOS through byte images of its structures."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import pytest

from darwin_libc import FakeLibc, Process
from swarm_exporter.host.darwin import (
    Darwin,
    LedgerEntry,
    LedgerTemplate,
    ProcessUsage,
    RusageInfo,
    SwapUsage,
)

GIB = 2**30
NAMES = ["cpu_time", "tkm_shared", "phys_footprint", "graphics_footprint",
         "graphics_footprint_compressed", "swapins"]  # fmt: skip
#: Ticks of 125/3 nanoseconds.
SECOND = 24_000_000


def test_the_structures_have_the_sizes_and_places_of_the_kernels():
    assert ctypes.sizeof(LedgerEntry) == 48
    assert ctypes.sizeof(LedgerTemplate) == 96
    assert ctypes.sizeof(RusageInfo) == 464
    assert ctypes.sizeof(SwapUsage) == 32
    assert RusageInfo.phys_footprint.offset == 72
    assert RusageInfo.lifetime_max_phys_footprint.offset == 240
    assert RusageInfo.user_ptime.offset == 304
    assert RusageInfo.energy_nj.offset == 336


FIGURES = {
    "user_time": 90 * SECOND,
    "system_time": 10 * SECOND,
    "user_ptime": 70 * SECOND,
    "system_ptime": 5 * SECOND,
    "child_user_time": 3 * SECOND,
    "child_system_time": 1 * SECOND,
    "resident_size": 13 * 2**20,
    "phys_footprint": 5 * GIB,
    "lifetime_max_phys_footprint": 9 * GIB,
    "diskio_bytesread": 4096,
    "diskio_byteswritten": 8192,
    "energy_nj": 2_500_000_000,
}


def test_a_process_is_told_in_seconds_bytes_and_joules():
    usage = Darwin(FakeLibc({7: Process(**FIGURES)})).rusage(7)
    assert usage == ProcessUsage(
        cpu=pytest.approx(100.0),
        performance_cpu=pytest.approx(75.0),
        reaped_cpu=pytest.approx(4.0),
        resident=13 * 2**20,
        footprint=5 * GIB,
        peak_footprint=9 * GIB,
        disk_read=4096,
        disk_written=8192,
        energy=2.5,
    )


def test_before_macos_13_there_are_no_tiers_and_no_energy():
    darwin = Darwin(FakeLibc({7: Process(**FIGURES)}, flavors=(4,)))
    for _ in range(2):
        usage = darwin.rusage(7)
        assert (usage.performance_cpu, usage.energy) == (None, None)
        assert (usage.cpu, usage.footprint) == (pytest.approx(100.0), 5 * GIB)


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ESRCH, ProcessLookupError), (errno.EPERM, PermissionError), (errno.EIO, OSError)],
)
def test_what_the_kernel_refuses_is_an_error_of_its_kind(number, error):
    darwin = Darwin(FakeLibc({7: Process(fails=number)}))
    for ask in (darwin.rusage, darwin.ledger):
        with pytest.raises(error) as caught:
            ask(7)
        assert caught.value.errno == number


@pytest.mark.parametrize(
    ("timebase", "frequency", "seconds"),
    [
        ((125, 3), 24_000_000, 1.0),
        # An x86 process under Rosetta is told 1/1.
        ((1, 1), 24_000_000, 1.0),
        # An Intel Mac: ticks are nanoseconds, and there is no such state.
        ((1, 1), None, 0.024),
        ((1000, 24), 24_000_000, 1.0),
    ],
)
def test_ticks_are_as_long_as_the_kernel_says(timebase, frequency, seconds):
    sysctls = {b"hw.tbfrequency": struct.pack("<q", frequency)} if frequency else {}
    libc = FakeLibc({7: Process(user_time=SECOND)}, timebase=timebase, sysctls=sysctls)
    assert Darwin(libc).rusage(7).cpu == pytest.approx(seconds)


@pytest.mark.parametrize("timebase", [(0, 0), (0, 3), (125, 0)])
def test_ticks_of_no_known_length_are_an_error_and_no_zero(timebase):
    libc = FakeLibc(
        {7: Process(user_time=SECOND)},
        timebase=timebase,
        sysctls={b"hw.tbfrequency": struct.pack("<q", 24_000_000)},
    )
    with pytest.raises(OSError, match="length of a tick"):
        Darwin(libc).rusage(7)


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1], [*NAMES, *(f"new_{n}" for n in range(90))]])
def test_ledgers_are_found_by_their_names_wherever_they_stand(names):
    balances = {"graphics_footprint": 3 * GIB, "phys_footprint": 5 * GIB, "tkm_shared": -4096}
    ledger = Darwin(FakeLibc({7: Process(balances)}, names=names)).ledger(7)
    assert ledger["graphics_footprint"] == 3 * GIB
    assert ledger["phys_footprint"] == 5 * GIB
    assert ledger["tkm_shared"] == -4096
    assert set(ledger) == set(names)


def test_more_rows_than_there_is_room_for_are_cut_and_not_written():
    names = [f"name_{n}" for n in range(400)]
    assert len(Darwin(FakeLibc({7: Process()}, names=names)).ledger(7)) == 256


def test_names_that_cannot_be_had_are_an_error():
    with pytest.raises(OSError, match="names of the ledgers"):
        Darwin(FakeLibc({7: Process()}, template_fails=errno.EINVAL)).ledger(7)


@pytest.mark.parametrize(
    ("ledger", "footprint", "more", "trusted"),
    [
        ({"phys_footprint": 100}, 100, {"names": NAMES}, True),
        ({"phys_footprint": 108}, 100, {"names": NAMES}, True),
        ({"phys_footprint": 150}, 100, {"names": NAMES}, False),
        ({"phys_footprint": 100}, 100, {"names": ["phys_footprint"]}, False),
        ({"phys_footprint": 100}, 100, {"names": ["graphics_footprint"]}, False),
        ({"phys_footprint": 100}, 100, {"names": NAMES, "ledger": False}, False),
        ({"phys_footprint": 100}, 100, {"names": NAMES, "template_fails": errno.EPERM}, False),
    ],
)
def test_ledgers_are_trusted_where_they_agree_with_what_is_known(ledger, footprint, more, trusted):
    own = Process(ledger, phys_footprint=footprint)
    assert Darwin(FakeLibc({os.getpid(): own}, **more)).trusts_ledger() is trusted


def test_kernel_states_are_read_by_name():
    sysctls = {
        b"hw.model": b"Mac16,10\0",
        b"kern.memorystatus_level": struct.pack("<i", 57),
        b"hw.memsize": struct.pack("<q", 16 * GIB),
        b"vm.swapusage": struct.pack("<QQQIi", 3 * GIB, 1 * GIB, 2 * GIB, 16384, 1),
    }
    darwin = Darwin(FakeLibc(sysctls=sysctls))
    assert darwin.sysctl("hw.model") == b"Mac16,10\0"
    assert darwin.sysctl_int("kern.memorystatus_level") == 57
    assert darwin.sysctl_int("hw.memsize") == 16 * GIB
    assert darwin.sysctl_int("hw.model") is None
    assert darwin.sysctl("hw.unknown") is None
    assert darwin.swap() == (3 * GIB, 2 * GIB)
    assert Darwin(FakeLibc()).swap() is None


@pytest.mark.parametrize(("state", "level"), [(0, 0), (2, 2), (4, 4), (5, None), (None, None)])
def test_the_thermal_pressure_is_one_of_five_levels(state, level):
    libc = FakeLibc(thermal=state)
    darwin = Darwin(libc)
    assert darwin.thermal_pressure() == darwin.thermal_pressure() == level
    if state is not None:
        assert libc.calls.count("notify_register_check") == 1


def test_a_registration_that_is_lost_is_given_back_and_made_anew():
    libc = FakeLibc(thermal=3)
    darwin = Darwin(libc)
    assert darwin.thermal_pressure() == 3
    libc.token = None
    assert [darwin.thermal_pressure() for _ in range(3)] == [None, 3, 3]
    assert libc.calls == ["notify_register_check", "notify_cancel 31", "notify_register_check"]
