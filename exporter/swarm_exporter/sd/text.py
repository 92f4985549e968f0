"""A list of hosts as plain text, a machine a line: `mini-1=192.168.1.11:10331 owner=anna`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from swarm_exporter.errors import ConfigError
from swarm_exporter.sd.machine import Machine, make_machine


def read_text(text: str, file: str, default_port: int) -> Iterator[Machine]:
    """Yield each line's machine; one without a name is called as its host.

    Raises ConfigError that names file, line and fix.
    """
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{file}:{number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            raise ConfigError(f"{where}: a quote is not closed; close it, or remove it") from None
        if not words:
            continue
        first, *rest = words
        name, equals, address = first.partition("=")
        if not equals:
            name, address = "", first
        elif not name:
            raise ConfigError(f"{where}: a name must stand before the =, as mini-1=host:port")
        yield make_machine(where, name, address, _labels(where, rest), default_port)


def _labels(where: str, words: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(
                f'{where}: "{word[:80]}" is no label; write key=value, '
                "and one machine a line as name=host:port"
            )
        if key in labels:
            raise ConfigError(f"{where}: {key} is given twice; remove one")
        labels[key] = value
    return labels
