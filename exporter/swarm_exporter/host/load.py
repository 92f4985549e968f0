"""Collector `load`: how much waits to run, since when the machine runs, and what it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: The kernel works the start out from the wall clock: what moves it less is the clock's doing.
_STEADY_SECONDS = 10.0


class MachineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine is. What is not known is empty."""

    #: "macOS" or "Linux".
    system: str
    #: The version of macOS, or of the Linux kernel.
    release: str
    #: Instruction set, such as arm64.
    machine: str
    #: The maker's name of the computer, such as Mac16,10.
    model: str
    #: The processor's name, such as Apple M4.
    chip: str


class Load(HostFacts, frozen=True, kw_only=True):
    """One reading."""

    #: Mean number of processes that ran or waited, over 1, 5 and 15 minutes.
    averages: tuple[float, float, float] | None
    #: Unix seconds; steady while the wall clock is set by a little.
    boot_time: float | None
    info: MachineInfo | None


class LoadAverage(Collector):
    """Asks the kernel; what does not change is asked once."""

    name = "load"
    about = "load averages, start of the machine, its model and chip"

    def __init__(
        self,
        describe: Callable[[], MachineInfo] | None = None,
        averages: Callable[[], tuple[float, float, float]] = os.getloadavg,
        boot_time: Callable[[], float] = psutil.boot_time,
    ) -> None:
        """Read by these, by default as this platform does."""
        self._describe = describe or platform_info
        self._averages = averages
        self._ask_boot_time = boot_time
        self._boot_time: float | None = None
        self._info: MachineInfo | None = None

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where nothing can be read."""
        attempts = Attempts()
        if self._info is None:
            self._info = attempts.of(self._describe)
        facts = Load(
            averages=attempts.of(self._averages),
            boot_time=attempts.of(self._steady_boot_time),
            info=self._info,
        )
        attempts.check(facts.averages, facts.boot_time, facts.info)
        return Found(facts, attempts.defects(), _words(self._info))

    def _steady_boot_time(self) -> float:
        try:
            told = self._ask_boot_time()
        except RuntimeError:  # psutil, where /proc/stat has no such line.
            raise SourceError(Reason.MALFORMED, "the start of the machine is not told") from None
        if self._boot_time is None or abs(told - self._boot_time) > _STEADY_SECONDS:
            self._boot_time = told
        return self._boot_time


def platform_info() -> MachineInfo:
    """Return what this machine is. Raises SourceError."""
    if sys.platform == "darwin":
        from swarm_exporter.host.info_darwin import darwin_info
        from swarm_exporter.host.sysctl_darwin import sysctl_of_this_mac

        return darwin_info(sysctl_of_this_mac())
    from swarm_exporter.host.info_linux import linux_info

    return linux_info(Path("/"))


def _words(info: MachineInfo | None) -> str:
    if info is None:
        return ""
    return ", ".join(
        word for word in (info.model, info.chip, f"{info.system} {info.release}") if word
    )
