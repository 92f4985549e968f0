"""The kernel of macOS, asked through its C library with ctypes; nothing needs sudo.

Structures and constants as in xnu (bsd/sys/resource.h, osfmk/kern/ledger.h), equal in macOS 13 to
26. `ledger` is exported by libSystem but in no public header: it is looked up, and checked before
it is trusted. The library is injected, so that byte images of the structures test all of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec

_LIBRARY = "/usr/lib/libSystem.B.dylib"
#: Commands of ledger(): rows of one process, and the names of the rows.
_LEDGER_ENTRY_INFO = 1
_LEDGER_TEMPLATE_INFO = 2
#: The kernel cuts the number of rows to those that it has (68 in macOS 26).
_MOST_ROWS = 256
_RUSAGE_INFO_V4 = 4
_RUSAGE_INFO_V6 = 6
#: How far the ledger's own word for a footprint may be from proc_pid_rusage's.
_AGREEMENT = 0.1
_NANOSECONDS = 1e9
_THERMAL_KEY = b"com.apple.system.thermalpressurelevel"
_LONGEST_SYSCTL = 256


class LedgerEntry(ctypes.Structure):
    """struct ledger_entry_info."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("balance", "credit", "debit", "limit", "refill_period", "last_refill")
    ]


class LedgerTemplate(ctypes.Structure):
    """struct ledger_template_info."""

    _fields_ = [(name, ctypes.c_char * 32) for name in ("name", "group", "units")]


class RusageInfo(ctypes.Structure):
    """struct rusage_info_v6; that of V4 ends before `user_ptime`."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("user_time", "system_time", "pkg_idle_wkups", "interrupt_wkups", "pageins"),
                *("wired_size", "resident_size", "phys_footprint"),
                *("proc_start_abstime", "proc_exit_abstime"),
                *("child_user_time", "child_system_time", "child_pkg_idle_wkups"),
                *("child_interrupt_wkups", "child_pageins", "child_elapsed_abstime"),
                *("diskio_bytesread", "diskio_byteswritten"),
                *("cpu_time_qos_default", "cpu_time_qos_maintenance", "cpu_time_qos_background"),
                *("cpu_time_qos_utility", "cpu_time_qos_legacy", "cpu_time_qos_user_initiated"),
                "cpu_time_qos_user_interactive",
                *("billed_system_time", "serviced_system_time", "logical_writes"),
                "lifetime_max_phys_footprint",
                *("instructions", "cycles", "billed_energy", "serviced_energy"),
                *("interval_max_phys_footprint", "runnable_time", "flags"),
                *("user_ptime", "system_ptime", "pinstructions", "pcycles"),
                *("energy_nj", "penergy_nj"),
            )
        ),
        ("later", ctypes.c_uint64 * 14),
    ]


class Timebase(ctypes.Structure):
    """struct mach_timebase_info."""

    _fields_ = [("numer", ctypes.c_uint32), ("denom", ctypes.c_uint32)]


class SwapUsage(ctypes.Structure):
    """struct xsw_usage."""

    _fields_ = [
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("page_size", ctypes.c_uint32),
        ("encrypted", ctypes.c_uint32),
    ]


class ProcessUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What proc_pid_rusage says of one process: seconds, bytes, joules."""

    cpu: float
    #: On performance cores; None before macOS 13.
    performance_cpu: float | None
    #: Of children that have ended and been waited for.
    reaped_cpu: float
    resident: int
    #: What Activity Monitor shows as memory.
    footprint: int
    #: The largest that it ever was.
    peak_footprint: int
    disk_read: int
    disk_written: int
    #: Of the processor alone; None before macOS 13.
    energy: float | None


class Darwin:
    """The system calls that are used, each returning plain values.

    They raise ProcessLookupError where the process is gone, PermissionError where it may not be
    read, and OSError otherwise.
    """

    def __init__(self, libc: Any = None) -> None:  # noqa: ANN401 - any C library
        """Ask through `libc`, by default this machine's own."""
        self._given = libc
        self._names: list[str] | None = None
        self._seconds_per_tick: float | None = None
        self._flavor = _RUSAGE_INFO_V6
        self._thermal_token: ctypes.c_int | None = None

    # --- processes -----------------------------------------------------------------------------

    def rusage(self, pid: int) -> ProcessUsage:
        """Return what one process of this user has used (macOS 10.15 and later)."""
        usage = RusageInfo()
        failed = self._libc.proc_pid_rusage(
            ctypes.c_int(pid), ctypes.c_int(self._flavor), ctypes.byref(usage)
        )
        if failed and ctypes.get_errno() == errno.EINVAL and self._flavor != _RUSAGE_INFO_V4:
            self._flavor = _RUSAGE_INFO_V4
            return self.rusage(pid)
        if failed:
            raise _last_error(f"proc_pid_rusage of {pid}")
        tick = self._tick()
        newest = self._flavor == _RUSAGE_INFO_V6
        return ProcessUsage(
            cpu=(usage.user_time + usage.system_time) * tick,
            performance_cpu=(usage.user_ptime + usage.system_ptime) * tick if newest else None,
            reaped_cpu=(usage.child_user_time + usage.child_system_time) * tick,
            resident=usage.resident_size,
            footprint=usage.phys_footprint,
            peak_footprint=usage.lifetime_max_phys_footprint,
            disk_read=usage.diskio_bytesread,
            disk_written=usage.diskio_byteswritten,
            energy=usage.energy_nj / _NANOSECONDS if newest else None,
        )

    def ledger(self, pid: int) -> dict[str, int]:
        """Return the balance of each of a process' ledgers by name, bytes; some are negative.

        Any user may ask for any process, unless sandboxed.
        """
        names = self._ledger_names()
        rows = (LedgerEntry * _MOST_ROWS)()
        count = ctypes.c_int(_MOST_ROWS)
        where = ctypes.addressof(rows), ctypes.addressof(count)
        if self._call_ledger(_LEDGER_ENTRY_INFO, pid, *where):
            raise _last_error(f"ledger of {pid}")
        known = min(count.value, len(names))
        return {names[i]: rows[i].balance for i in range(known)}

    def trusts_ledger(self) -> bool:
        """Tell whether the ledgers are there and agree with what else is known of this process."""
        if getattr(self._libc, "ledger", None) is None:
            return False
        try:
            said = self.ledger(os.getpid())
            known = self.rusage(os.getpid()).footprint
        except OSError:
            return False
        footprint = said.get("phys_footprint")
        if footprint is None or "graphics_footprint" not in said:
            return False
        return abs(footprint - known) <= _AGREEMENT * max(known, 1)

    def _ledger_names(self) -> list[str]:
        if self._names is None:
            rows = (LedgerTemplate * _MOST_ROWS)()
            count = ctypes.c_int(_MOST_ROWS)
            # The order of the arguments is not that of the other command.
            where = ctypes.addressof(rows), ctypes.addressof(count)
            if self._call_ledger(_LEDGER_TEMPLATE_INFO, *where, None):
                raise _last_error("names of the ledgers")
            known = min(count.value, _MOST_ROWS)
            self._names = [rows[i].name.decode("ascii", "replace") for i in range(known)]
        return self._names

    def _call_ledger(self, command: int, *arguments: int | None) -> int:
        call = self._libc.ledger
        call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        return int(call(command, *arguments))

    def _tick(self) -> float:
        """Return the seconds of one tick of Mach's clock."""
        if self._seconds_per_tick is None:
            base = Timebase()
            failed = self._libc.mach_timebase_info(ctypes.byref(base))
            if failed or not base.numer or not base.denom:
                # Without it every time would be zero.
                raise OSError(errno.EIO, "mach_timebase_info told no length of a tick")
            seconds = base.numer / base.denom / _NANOSECONDS
            # An x86 process on Apple Silicon is told 1/1, but its ticks are those of the chip.
            frequency = self.sysctl_int("hw.tbfrequency")
            if base.numer == base.denom and frequency:
                seconds = 1 / frequency
            self._seconds_per_tick = seconds
        return self._seconds_per_tick

    # --- machine -------------------------------------------------------------------------------

    def sysctl(self, name: str) -> bytes | None:
        """Return a kernel state by its name, without starting a program; None where unknown."""
        value = ctypes.create_string_buffer(_LONGEST_SYSCTL)
        size = ctypes.c_size_t(len(value))
        failed = self._libc.sysctlbyname(
            name.encode(), value, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
        return None if failed else value.raw[: size.value]

    def sysctl_int(self, name: str) -> int | None:
        """Return the same of a number."""
        value = self.sysctl(name)
        if value is None or len(value) not in (4, 8):
            return None
        return int.from_bytes(value, "little", signed=True)

    def swap(self) -> tuple[int, int] | None:
        """Return total and used bytes of swap (vm.swapusage)."""
        value = self.sysctl("vm.swapusage")
        if value is None or len(value) < ctypes.sizeof(SwapUsage):
            return None
        usage = SwapUsage.from_buffer_copy(value)
        return usage.total, usage.used

    def thermal_pressure(self) -> int | None:
        """Return how hot the system says it is, 0 (nominal) to 4; None where it does not tell."""
        call = self._libc
        if self._thermal_token is None:
            token = ctypes.c_int()
            if call.notify_register_check(_THERMAL_KEY, ctypes.byref(token)):
                return None
            self._thermal_token = token
        level = ctypes.c_uint64()
        if call.notify_get_state(self._thermal_token, ctypes.byref(level)):
            # Registered anew at the next reading: this one may never tell again.
            call.notify_cancel(self._thermal_token)
            self._thermal_token = None
            return None
        return level.value if level.value <= 4 else None

    @property
    def _libc(self) -> Any:  # noqa: ANN401 - any C library
        library = self._given if self._given is not None else _system_library()
        for wrap in _wraps:
            library = wrap(library)
        return library


_wraps: list[Callable[[Any], Any]] = []


@contextmanager
def watching_calls(wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Call the library through what `wrap` makes of it, whoever asks and in whatever thread."""
    _wraps.append(wrap)
    try:
        yield
    finally:
        _wraps.remove(wrap)


@cache
def _system_library() -> ctypes.CDLL:
    return ctypes.CDLL(_LIBRARY, use_errno=True)


def _last_error(what: str) -> OSError:
    """Return the error that the last call left; its type tells a lost process and a refusal."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
