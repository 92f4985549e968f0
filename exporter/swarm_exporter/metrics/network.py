"""What this machine's network interfaces carried."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.host.network import MOST_INTERFACES, Interface, Interfaces
from swarm_exporter.metrics.catalogue import (
    BOTH,
    LINUX,
    Kind,
    Labels,
    Metric,
    Reader,
    label_value,
    of_host,
)

_INTERFACE = ("interface",)


def _of_interface(read: Callable[[Interface], float | None]) -> Reader:
    def samples(facts: Interfaces) -> Iterable[tuple[Labels, float | None]]:
        for name, one in facts.interfaces.items():
            yield {"interface": label_value(name)}, read(one)

    return of_host(Interfaces, samples)


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_host_network_receive_bytes_total",
        Kind.COUNTER,
        "Bytes that the interface received since the machine was started.",
        _INTERFACE,
        _of_interface(lambda one: one.received),
        f"At most {MOST_INTERFACES} interfaces, without loopback, tunnels and those of containers "
        "and virtual machines, which would be counted twice.",
        BOTH,
    ),
    Metric(
        "swarm_host_network_transmit_bytes_total",
        Kind.COUNTER,
        "Bytes that the interface sent.",
        _INTERFACE,
        _of_interface(lambda one: one.sent),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_network_receive_errors_total",
        Kind.COUNTER,
        "Packets that came in damaged.",
        _INTERFACE,
        _of_interface(lambda one: one.receive_errors),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_network_transmit_errors_total",
        Kind.COUNTER,
        "Packets that could not be sent.",
        _INTERFACE,
        _of_interface(lambda one: one.transmit_errors),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_network_receive_drops_total",
        Kind.COUNTER,
        "Packets that came in and were dropped for want of room or interest.",
        _INTERFACE,
        _of_interface(lambda one: one.receive_drops),
        "",
        BOTH,
    ),
    Metric(
        "swarm_host_network_transmit_drops_total",
        Kind.COUNTER,
        "Packets that were to be sent and were dropped.",
        _INTERFACE,
        _of_interface(lambda one: one.transmit_drops),
        "",
        LINUX,
    ),
)
