"""A C library of macOS in Python: it serves byte images of the kernel's structures.

The images are packed by hand from the documented layouts, not by the program's own structures.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping

#: Words of struct rusage_info_v6 by their place after the 16 bytes of the uuid.
RUSAGE_WORDS = {
    "user_time": 0,
    "system_time": 1,
    "resident_size": 6,
    "phys_footprint": 7,
    "child_user_time": 10,
    "child_system_time": 11,
    "diskio_bytesread": 16,
    "diskio_byteswritten": 17,
    "lifetime_max_phys_footprint": 28,
    "user_ptime": 36,
    "system_ptime": 37,
    "energy_nj": 40,
}
RUSAGE_BYTES = {4: 296, 6: 464}


def rusage_image(flavor: int, **words: int) -> bytes:
    numbers = [0] * ((RUSAGE_BYTES[flavor] - 16) // 8)
    for name, value in words.items():
        if RUSAGE_WORDS[name] < len(numbers):
            numbers[RUSAGE_WORDS[name]] = value
    return b"\xaa" * 16 + struct.pack(f"<{len(numbers)}Q", *numbers)


def template_image(names: list[str]) -> bytes:
    return b"".join(struct.pack("<32s32s32s", n.encode(), b"physmem", b"bytes") for n in names)


def entries_image(balances: list[int]) -> bytes:
    # Credit, debit, limit and refills are other numbers than the balance.
    return b"".join(struct.pack("<6q", balance, 7, 8, -1, 9, 10) for balance in balances)


class Process:
    def __init__(
        self, ledger: Mapping[str, int] | None = None, fails: int = 0, **rusage: int
    ) -> None:
        self.ledger = dict(ledger or {})
        self.rusage = rusage
        #: An errno that every call about it ends with.
        self.fails = fails


class FakeLibc:
    """What tests give `Darwin`; attributes say what kind of Mac it is."""

    def __init__(self, processes: Mapping[int, Process] | None = None, **more) -> None:
        self.processes = dict(processes or {})
        self.names = more.get("names", ["cpu_time", "phys_footprint", "graphics_footprint"])
        self.flavors = more.get("flavors", (4, 6))
        self.timebase = more.get("timebase", (125, 3))
        self.sysctls: dict[bytes, bytes] = more.get("sysctls", {})
        self.thermal: int | None = more.get("thermal", 0)
        self.template_fails = more.get("template_fails", 0)
        #: The newest registration for notifications; None once the daemon has forgotten it.
        self.token: int | None = 30
        self.calls: list[str] = []
        if more.get("ledger", True):
            self.ledger = _Ledger(self)

    def proc_pid_rusage(self, pid, flavor, usage) -> int:
        self.calls.append("proc_pid_rusage")
        process = self.processes.get(pid.value)
        if process is None:
            return fail(errno.ESRCH)
        if process.fails:
            return fail(process.fails)
        if flavor.value not in self.flavors:
            return fail(errno.EINVAL)
        image = rusage_image(flavor.value, **process.rusage)
        ctypes.memmove(usage, image, len(image))
        return 0

    def mach_timebase_info(self, base) -> int:
        ctypes.memmove(base, struct.pack("<II", *self.timebase), 8)
        return 0

    def sysctlbyname(self, name, value, size, new, new_size) -> int:
        found = self.sysctls.get(name)
        if found is None:
            return fail(errno.ENOENT)
        assert len(found) <= size._obj.value
        ctypes.memmove(value, found, len(found))
        size._obj.value = len(found)
        return 0

    def notify_register_check(self, key, token) -> int:
        self.calls.append("notify_register_check")
        assert key == b"com.apple.system.thermalpressurelevel"
        if self.thermal is None:
            return 9
        self.token = 30 + self.calls.count("notify_register_check")
        token._obj.value = self.token
        return 0

    def notify_get_state(self, token, level) -> int:
        if token.value != self.token:
            return 2
        level._obj.value = self.thermal
        return 0

    def notify_cancel(self, token) -> int:
        self.calls.append(f"notify_cancel {token.value}")
        return 0


class _Ledger:
    """The system call; a function object that ctypes lets be given `argtypes`."""

    def __init__(self, libc: FakeLibc) -> None:
        self._libc = libc
        self.argtypes = None

    def __call__(self, command: int, first: int, second: int, third: int | None) -> int:
        assert len(self.argtypes) == 4
        if command == 2:
            if self._libc.template_fails:
                return fail(self._libc.template_fails)
            return _give(first, second, template_image(self._libc.names), 96)
        assert command == 1
        process = self._libc.processes.get(first)
        if process is None:
            return fail(errno.ESRCH)
        if process.fails:
            return fail(process.fails)
        balances = [process.ledger.get(name, 0) for name in self._libc.names]
        return _give(second, third, entries_image(balances), 48)


def _give(where: int, count_at: int, image: bytes, size: int) -> int:
    room = ctypes.c_int.from_address(count_at).value
    rows = min(room, len(image) // size)
    ctypes.memmove(where, image, rows * size)
    ctypes.c_int.from_address(count_at).value = rows
    return 0


def fail(number: int) -> int:
    ctypes.set_errno(number)
    return -1
