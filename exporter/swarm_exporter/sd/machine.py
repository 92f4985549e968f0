"""One machine as Prometheus is to scrape it: what its name, address and labels may be.

Facts: Prometheus' data model and file_sd_config (2.42 to 3); RFC 1123 for names of hosts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

import msgspec

from swarm_exporter.errors import ConfigError
from swarm_exporter.metrics import CATALOGUE

DEFAULT_PORT = 10331
#: The label that names a machine; Prometheus' configuration makes `instance` of it.
MACHINE = "machine"
_LONGEST_NAME = 128
_LONGEST_VALUE = 1024
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HOST_PART = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: Labels that Prometheus reads before it scrapes, and what they may be.
_SCRAPE_LABELS = {
    "__scheme__": re.compile(r"https?"),
    "__metrics_path__": re.compile(r"/[!-~]*"),
}
#: Labels that somebody else sets, by what happens to a person's own.
_TAKEN = {
    MACHINE: "the machine's name stands before the address",
    "instance": "Prometheus makes it of the machine's name",
    "job": "Prometheus sets it, and the rules look for it",
    "alertname": "alerts have it",
    "alertstate": "alerts have it",
    "severity": "alerts have it",
    "scope": "alerts have it",
}
#: Labels of the exporter's own series; a target's would rename those to exported_….
_EXPORTED = frozenset(label for metric in CATALOGUE for label in metric.labels)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """One exporter of one machine."""

    name: str
    #: `host:port`, in the one form that each address has: lower case, IPv6 in brackets.
    address: str
    #: A person's own labels, and those that say how to scrape.
    labels: Mapping[str, str] = {}
    #: File and line, for messages.
    where: str

    @property
    def scheme(self) -> str:
        """Return http or https."""
        return self.labels.get("__scheme__", "http")


def make_machine(
    where: str, name: str, address: str, labels: Mapping[str, str], default_port: int
) -> Machine:
    """Return the machine, its parts checked. Raises ConfigError with `where` and the fix."""
    try:
        whole = parse_address(address, default_port)
        return Machine(
            name=_name(name or whole.rpartition(":")[0].strip("[]")),
            address=whole,
            labels={key: _value(key, value) for key, value in labels.items()},
            where=where,
        )
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def parse_address(text: str, default_port: int | None) -> str:
    """Return `host:port`; without a default the port must be there. Raises ValueError."""
    if "@" in text:
        # Not repeated: what stands there is a password.
        raise ValueError(
            "the address holds a user or password; write host:port, and the password into "
            "Prometheus' password_file"
        )
    if "://" in text or "/" in text:
        raise ValueError(
            f'"{text[:_LONGEST_NAME]}" is an address of a page; write host:port, '
            "and __scheme__=https where it is needed"
        )
    host, port = _split(text)
    if port is None:
        if default_port is None:
            raise ValueError(f'"{text}" has no port; write {text}:{DEFAULT_PORT}')
        number = default_port
    elif port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= 65_535:
        number = int(port)
    else:
        raise ValueError(f'"{port[:20]}" is no port; write 1 to 65535, as {DEFAULT_PORT}')
    return f"{_host(host)}:{number}"


def refuse_twins(machines: Iterable[Machine]) -> None:
    """Raise ConfigError where two machines have one name, or one address and path."""
    names: dict[str, Machine] = {}
    addresses: dict[tuple[str, str], Machine] = {}
    for machine in machines:
        first = names.setdefault(machine.name, machine)
        if first is not machine:
            raise ConfigError(
                f'{machine.where}: "{machine.name}" is the name of the machine in {first.where} '
                "as well; give each a name of its own"
            )
        path = machine.labels.get("__metrics_path__", "/metrics")
        first = addresses.setdefault((machine.address, path), machine)
        if first is not machine:
            raise ConfigError(
                f"{machine.where}: {machine.address} is also scraped as "
                f'"{first.name}" in {first.where}; remove one'
            )


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f'"{text[:_LONGEST_NAME]}" is no address; write [2001:db8::1]:10331')
        return f"[{host}]", rest[1:] if rest else None
    if text.count(":") > 1:
        raise ValueError(
            f'"{text[:_LONGEST_NAME]}" may be an IPv6 address with or without a port; '
            "write it in brackets, as [2001:db8::1]:10331"
        )
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _host(host: str) -> str:
    if host.startswith("["):
        try:
            six = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError(f'"{host[:_LONGEST_NAME]}" is no IPv6 address') from None
        if six.scope_id is not None:
            raise ValueError(
                f'"{host}" is valid on one network interface only; write an address that '
                "Prometheus can reach without %"
            )
        _refuse_anywhere(six)
        return f"[{six.compressed}]"
    parts = host.lower().removesuffix(".").split(".")
    if parts[-1].isdecimal():
        try:
            four = ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f'"{host[:_LONGEST_NAME]}" is no IPv4 address') from None
        _refuse_anywhere(four)
        return four.compressed
    if len(host) > 253 or not all(_HOST_PART.fullmatch(part) for part in parts):
        hint = "" if host.isascii() else "; write a name with foreign letters as xn--…"
        raise ValueError(f'"{host[:_LONGEST_NAME]}" is no name of a host{hint}')
    return ".".join(parts)


def _refuse_anywhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_unspecified or address.is_multicast:
        raise ValueError(
            f"{address} is no address of one machine; write the one that it is reached at"
        )


def _name(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a machine's name must be 1 to {_LONGEST_NAME} printable characters")
    return name


def _value(key: str, value: str) -> str:
    allowed = _SCRAPE_LABELS.get(key)
    if allowed is not None:
        if not allowed.fullmatch(value):
            wanted = "http or https" if key == "__scheme__" else "a path that begins with /"
            raise ValueError(f"{key} must be {wanted}")
        return value
    if not _LABEL.fullmatch(key):
        raise ValueError(
            f'"{key[:_LONGEST_NAME]}" is no name of a label; write letters, digits and _'
        )
    if key.startswith("__"):
        raise ValueError(f"{key}: labels with __ are Prometheus' own; write it without")
    if key.startswith("ansible_"):
        raise ValueError(
            f"{key} belongs into an Ansible inventory; put its hosts below a line [swarm]"
        )
    taken = _TAKEN.get(key)
    if taken is None and key in _EXPORTED:
        taken = "the exporter's own series have it"
    if taken is not None:
        raise ValueError(f"the label {key} is taken: {taken}; name yours my_{key}")
    if len(value) > _LONGEST_VALUE or not value.isprintable():
        raise ValueError(
            f"the value of {key} must be printable, and of {_LONGEST_VALUE} characters at most"
        )
    return value
