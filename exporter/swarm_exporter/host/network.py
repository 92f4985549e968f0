"""Collector `network`: bytes, errors and drops of the interfaces that reach out of this machine.

Counters as psutil reads them from /proc/net/dev and, on macOS, from sysctl's NET_RT_IFLIST2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec
import psutil

from swarm_exporter.host.attempts import refusal
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.rising import RisingCounters
from swarm_exporter.model import HostFacts

MOST_INTERFACES = 32
#: What carries over other interfaces, or never leaves the machine. An interface of Linux with a
#: device below it counts whatever its name is.
_VIRTUAL = re.compile(
    r"lo\d*$|veth|docker|podman|br-|cni|flannel|cali|kube|vxlan|virbr|vnet|vmnet|vmenet"
    r"|tun|tap|utun|wg|tailscale|zt|ipsec|awdl|llw|ap\d|anpi|bridge|gif|stf|sit|gre|ip6|erspan"
    r"|ifb|dummy|lxc|lxd"
)


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """What one interface carried since the machine was started; it never falls."""

    received: int
    sent: int
    receive_errors: int
    transmit_errors: int
    receive_drops: int
    #: None where the platform does not count them.
    transmit_drops: int | None = None


class Interfaces(HostFacts, frozen=True, kw_only=True):
    """The interfaces by name."""

    interfaces: Mapping[str, Interface]


ReadInterfaces = Callable[[], Mapping[str, Interface]]


class MachineNetwork(Collector):
    """Reads all interfaces, and keeps those that count."""

    name = "network"
    about = "bytes, errors and drops by network interface (/proc/net/dev, NET_RT_IFLIST2)"

    def __init__(
        self,
        read: ReadInterfaces | None = None,
        has_device: Callable[[str], bool] | None = None,
    ) -> None:
        """Read by these, by default as this platform does."""
        self._read = read or read_interfaces
        self._has_device = has_device or has_device_here
        self._counters: RisingCounters[tuple[str, str]] = RisingCounters()

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError where the system tells no interfaces."""
        try:
            found = self._read()
        except (OSError, RuntimeError) as error:
            raise refusal(error, "network interfaces") from None
        names = choose(found, {name for name in found if self._has_device(name)})
        self._counters.add(
            {
                (name, what): figure
                for name in names
                for what, figure in msgspec.structs.asdict(found[name]).items()
                if figure is not None
            }
        )
        return Found(
            Interfaces(interfaces={name: self._total(name, found[name]) for name in names}),
            (),
            ", ".join(names),
        )

    def _total(self, name: str, now: Interface) -> Interface:
        known = (what for what, figure in msgspec.structs.asdict(now).items() if figure is not None)
        totals = self._counters.totals
        return msgspec.structs.replace(now, **{what: int(totals[name, what]) for what in known})


def choose(names: Collection[str], with_device: Collection[str]) -> list[str]:
    """Return the names of those that count, those with a device first, and not too many."""
    found = [name for name in names if name in with_device or not _VIRTUAL.match(name)]
    return sorted(found, key=lambda name: (name not in with_device, name))[:MOST_INTERFACES]


def read_interfaces(platform: str = sys.platform) -> dict[str, Interface]:
    """Return what every interface carried. Raises OSError."""
    darwin = platform == "darwin"
    # A Mac counts in 32 bits: psutil goes on where that begins anew.
    found = psutil.net_io_counters(pernic=True, nowrap=darwin)
    return {
        name: Interface(
            received=told.bytes_recv,
            sent=told.bytes_sent,
            receive_errors=told.errin,
            transmit_errors=told.errout,
            receive_drops=told.dropin,
            # There psutil says 0, whatever is dropped.
            transmit_drops=None if darwin else told.dropout,
        )
        for name, told in found.items()
    }


def has_device_here(name: str, root: Path = Path("/")) -> bool:
    """Tell whether an interface of Linux has hardware, or what a hypervisor makes of it."""
    return (root / "sys/class/net" / name / "device").exists()
