"""What a reader of this machine is: one file each, a blocking `read` in a thread of its own.

The frame around it (sources/host.py) adds thread, timeout, backoff, status and logging. Nothing
here knows of Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason


class Member(msgspec.Struct, frozen=True):
    """One process of a node's tree, at the newest look at the process table."""

    pid: int
    #: Tells a process from a later one with the same pid: the kernel's own start time, in its unit.
    start: float
    #: Whether the node's tree begins with it; a node has one root, or none that is known.
    root: bool = False


#: The processes of each node that runs, by the node's name.
Members = Mapping[str, tuple[Member, ...]]


class Look(msgspec.Struct, frozen=True):
    """What one reading may use."""

    config: Config
    #: Unix seconds.
    now: float
    #: Seconds of a clock that never jumps.
    monotonic: float
    #: Return the processes of every node; one pass over the process table serves all collectors.
    members: Callable[[], Members]


class Found(msgspec.Struct, frozen=True):
    """What a reading found, and the defects that cost single values."""

    facts: HostFacts
    defects: tuple[Reason, ...] = ()
    #: What was found, in a few words for the log of the first success.
    summary: str = ""


class Collector:
    """A reader of this machine. It may keep what counters need between readings."""

    #: The `source` label, and the name in --collector.NAME.
    name: ClassVar[str]
    #: What it reads and where from, in a few words for `--help` and `doctor`.
    about: ClassVar[str]
    #: Whether it reads unless it is switched off.
    on_by_default: ClassVar[bool] = True
    #: It is not asked more often than so, seconds.
    shortest_interval: ClassVar[float] = 0.0

    def is_present(self) -> bool:
        """Tell whether this machine has what it reads; quick, and asked at start and reload.

        What the platform lacks is no error: such a collector has no series at all.
        """
        return True

    def read(self, look: Look) -> Found:
        """Read once; it may block. Raises SourceError with a reason where there is nothing."""
        raise NotImplementedError

    def record(self, look: Look) -> Mapping[str, bytes]:  # noqa: ARG002 - for those that have
        """Return, by a file's name, raw readings that `doctor --record` keeps.

        What programs print and what the C library of macOS answers is kept without this.
        """
        return {}

    def close(self) -> None:
        """Give back what was taken (child processes, handles); it may be read again after."""
