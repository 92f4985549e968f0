"""Values that the kernel of macOS knows by name: sysctlbyname(3)."""

from __future__ import annotations

import sys
from typing import Protocol

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


class Sysctl(Protocol):
    """Asks for a value; what the kernel does not know is None."""

    def sysctl(self, name: str) -> bytes | None:
        """Return a value as the kernel holds it."""

    def sysctl_int(self, name: str) -> int | None:
        """Return a whole number."""


def sysctl_of_this_mac() -> Sysctl:
    """Return what asks the kernel of this machine. Raises SourceError where it is no Mac."""
    if sys.platform == "darwin":
        from swarm_exporter.host.darwin import Darwin

        return Darwin()
    raise SourceError(Reason.MISSING, "this is no Mac")


def sysctl_text(sysctl: Sysctl, name: str) -> str | None:
    """Return a text; None where the kernel does not know it."""
    value = sysctl.sysctl(name)
    return None if value is None else value.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
