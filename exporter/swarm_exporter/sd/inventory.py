"""What both forms of an Ansible inventory say: groups of hosts, and three variables of each.

`ansible_host` is the address, `swarm_exporter_port` the port (Ansible's own is that of SSH), and
`swarm_exporter_labels` a person's labels. Facts: Ansible's inventory guide (core 2.19).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping

import msgspec

from swarm_exporter.errors import ConfigError
from swarm_exporter.sd.machine import Machine, make_machine

ADDRESS = "ansible_host"
PORT = "swarm_exporter_port"
LABELS = "swarm_exporter_labels"
#: Not read beyond these: the rest may be encrypted, and is nobody's business here.
VARIABLES = (ADDRESS, PORT, LABELS)
_RANGE = re.compile(r"\[(\w+):(\w+)(?::(\d+))?\]")
_MOST_HOSTS = 100_000


class Value(msgspec.Struct, frozen=True):
    """The value of a variable, and where it was given."""

    value: object
    where: str


Variables = Mapping[str, Value]


class Group(msgspec.Struct):
    """One group: its own hosts in their order, the groups below it, and its variables."""

    hosts: dict[str, str] = {}
    children: list[str] = []
    variables: dict[str, Value] = {}


class Inventory(msgspec.Struct):
    """All groups by name, and the variables of single hosts."""

    file: str
    groups: dict[str, Group] = {}
    hosts: dict[str, dict[str, Value]] = {}

    def group(self, name: str) -> Group:
        """Return a group, which is there from now on."""
        return self.groups.setdefault(name, Group())

    def add_host(self, group: str, pattern: str, where: str) -> list[str]:
        """Add each host that `pattern` stands for to a group; return their names."""
        names = list(expand(pattern, where))
        for name in names:
            self.group(group).hosts.setdefault(name, where)
            self.hosts.setdefault(name, {})
        return names


def machines_of(inventory: Inventory, group: str, default_port: int) -> Iterator[Machine]:
    """Yield the machines of a group and of all groups below it.

    Raises ConfigError that names file, line and fix.
    """
    if group not in inventory.groups:
        known = ", ".join(sorted(inventory.groups)) or "none"
        raise ConfigError(
            f"{inventory.file}: has no group {group} (there are: {known}); "
            "name the machines' group with --group"
        )
    hosts = _hosts_below(inventory, group)
    everywhere = inventory.groups.get("all", Group()).variables
    for name, (where, of_groups) in hosts.items():
        yield _machine(
            name, where, {**everywhere, **of_groups, **inventory.hosts[name]}, default_port
        )


def expand(pattern: str, where: str) -> Iterator[str]:
    """Yield the names that `mini-[01:30].lan` or `rack-[a:c]` stands for."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    first, last, step = found[1], found[2], int(found[3] or 1)
    letters = string.ascii_letters
    if first.isdecimal() and last.isdecimal() and len(first) <= 6 and len(last) <= 6:
        width = len(first) if first.startswith("0") else 0
        values = [str(n).zfill(width) for n in range(int(first), int(last) + 1, step or 1)]
    elif len(first) == len(last) == 1 and first in letters and last in letters:
        values = list(letters[letters.index(first) : letters.index(last) + 1 : step or 1])
    else:
        values = []
    if not values or step == 0 or len(values) > _MOST_HOSTS:
        raise ConfigError(f"{where}: {found[0]} is no range; write [01:30] or [a:f]")
    for value in values:
        rest = pattern[found.end() :]
        for tail in expand(rest, where):
            yield f"{pattern[: found.start()]}{value}{tail}"


def _hosts_below(inventory: Inventory, top: str) -> dict[str, tuple[str, dict[str, Value]]]:
    """Return each host below a group: where it stands, and what its groups say of it."""
    found: dict[str, tuple[str, dict[str, Value]]] = {}

    def descend(name: str, above: Variables, path: tuple[str, ...]) -> None:
        group = inventory.groups.get(name)
        if group is None or name in path:
            return
        # What stands nearer to the host counts.
        variables = {**above, **group.variables}
        for host, where in group.hosts.items():
            before = found.get(host, (where, {}))[1]
            found[host] = (where, {**before, **variables})
        for child in group.children:
            descend(child, variables, (*path, name))

    descend(top, {}, ())
    return found


def _machine(name: str, where: str, variables: Variables, default_port: int) -> Machine:
    given = variables.get(ADDRESS)
    host = given.value if given is not None else name
    at = given.where if given is not None else where
    if not isinstance(host, str) or "{{" in host:
        raise ConfigError(
            f"{at}: {ADDRESS} must be a plain name or address; let Ansible fill it in: "
            "ansible-inventory --list --yaml"
        )
    # Ansible writes an IPv6 address without brackets, and never a port of ours behind it.
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    port = variables.get(PORT)
    if port is not None:
        host = f"{host}:{_port(port)}"
    labels = variables.get(LABELS)
    return make_machine(at, name, host, _labels(labels) if labels is not None else {}, default_port)


def _port(given: Value) -> str:
    if isinstance(given.value, bool) or not isinstance(given.value, int | str):
        raise ConfigError(f"{given.where}: {PORT} must be a number from 1 to 65535")
    return str(given.value)


def _labels(given: Value) -> dict[str, str]:
    if not isinstance(given.value, dict):
        raise ConfigError(f"{given.where}: {LABELS} must be keys with values, as {{owner: anna}}")
    labels = {}
    for key, value in given.value.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ConfigError(f"{given.where}: {LABELS}.{key} must be text; put it in quotes")
        labels[str(key)] = str(value)
    return labels
