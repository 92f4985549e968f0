"""An Ansible inventory in INI form: `[swarm]`, `[swarm:vars]`, `[swarm:children]`, ranges."""

from __future__ import annotations

import ast
import re
import shlex

from swarm_exporter.errors import ConfigError
from swarm_exporter.sd.inventory import VARIABLES, Inventory, Value

SECTION = re.compile(r"\[(?P<name>[\w.-]+)(?::(?P<kind>vars|children|hosts))?\]\s*(?:[#;].*)?")


def read_ini(text: str, file: str) -> Inventory:
    """Return the inventory. Raises ConfigError that names file, line and fix."""
    inventory = Inventory(file=file)
    group, kind = "ungrouped", "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        where, line = f"{file}:{number}", raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        section = SECTION.fullmatch(line)
        if section is not None:
            group, kind = section["name"], section["kind"] or "hosts"
            inventory.group(group)
        elif kind == "children":
            child = line.split("#")[0].strip()
            inventory.group(child)
            inventory.group(group).children.append(child)
        elif kind == "vars":
            key, _, value = line.partition("=")
            if key.strip() in VARIABLES:
                inventory.group(group).variables[key.strip()] = Value(_literal(value), where)
        else:
            _host(inventory, group, line, where)
    return inventory


def _host(inventory: Inventory, group: str, line: str, where: str) -> None:
    try:
        pattern, *words = shlex.split(line, comments=True)
    except ValueError:
        raise ConfigError(f"{where}: a quote is not closed; close it, or remove it") from None
    # host:2222 names the port of SSH; in brackets are ranges and IPv6 addresses.
    if re.fullmatch(r"[^:]*:\d+", re.sub(r"\[[^\]]*\]", "", pattern)):
        pattern = pattern.rpartition(":")[0]
    names = inventory.add_host(group, pattern, where)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f'{where}: "{word[:80]}" is no variable; write key=value')
        if key in VARIABLES:
            for name in names:
                inventory.hosts[name][key] = Value(_literal(value), where)


def _literal(text: str) -> object:
    """Read a value as Ansible does: a Python literal where it is one, else text."""
    text = text.strip()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    # An address such as 10.5 is no number.
    return text if isinstance(value, float) else value
