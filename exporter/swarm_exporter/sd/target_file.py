"""The file that Prometheus' file_sd reads: written from machines, and checked.

Facts: file_sd_config of Prometheus 2.42 to 3. A file that it cannot read keeps the targets before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from swarm_exporter.errors import ConfigError, SwarmExporterError
from swarm_exporter.launcher.private_files import cause, read_bounded, write_private
from swarm_exporter.sd.hosts import LARGEST_BYTES, read_file
from swarm_exporter.sd.machine import MACHINE, Machine, make_machine, parse_address, refuse_twins

_SPACE = " \t\r\n"


def target_file(machines: Iterable[Machine]) -> bytes:
    """Return the file, a machine a line, so that a difference of two is that of machines."""
    lines = [
        json.dumps(
            {
                "targets": [machine.address],
                "labels": {MACHINE: machine.name, **dict(sorted(machine.labels.items()))},
            },
            ensure_ascii=False,
        )
        for machine in machines
    ]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def write_target_file(path: Path, content: bytes) -> bool:
    """Write the file whole or not at all; return False where it was just this already.

    Prometheus, which may be another user, can read it. Raises SwarmExporterError.
    """
    try:
        if read_bounded(path, LARGEST_BYTES) == content:
            return False
        if not path.parent.is_dir():
            raise SwarmExporterError(
                f"{path}: there is no folder {path.parent}; make it readable for Prometheus first"
            )
        write_private(path, content, 0o644)
    except OSError as error:
        raise SwarmExporterError(
            f"{path} cannot be written ({cause(error)}); give another with --output"
        ) from None
    return True


def check_target_file(path: Path) -> tuple[Machine, ...]:
    """Return the machines of a file that Prometheus reads, or is to read.

    Raises ConfigError that names file, line and fix.
    """
    machines = tuple(
        machine
        for line, entry in _entries(read_file(path), str(path))
        for machine in _machines(entry, f"{path}:{line}")
    )
    refuse_twins(machines)
    return machines


def _entries(text: str, file: str) -> Iterator[tuple[int, Any]]:
    """Yield each entry of the list with its line."""
    decoder = json.JSONDecoder(object_pairs_hook=_keys_once)
    at, line, counted = _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise ConfigError(f"{file}: must be a list in JSON; `swarm-exporter sd` writes it")
    at = _skip(text, at + 1)
    following = text[at : at + 1] != "]"
    while following:
        line, counted = line + text.count("\n", counted, at), at
        try:
            entry, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file}:{error.lineno}: not valid JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file}:{line}: {error}") from None
        yield line, entry
        at = _skip(text, at)
        following = text[at : at + 1] == ","
        at = _skip(text, at + 1) if following else at
    if text[at : at + 1] != "]" or _skip(text, at + 1) != len(text):
        line += text.count("\n", counted, at)
        raise ConfigError(f"{file}:{line}: not valid JSON: a comma or the list's end is missing")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key is given twice; remove one")
    return keys


def _machines(entry: object, where: str) -> Iterator[Machine]:
    if not isinstance(entry, dict) or not isinstance(entry.get("targets"), list):
        raise ConfigError(f'{where}: must be {{"targets": ["host:port"], "labels": {{…}}}}')
    unknown = entry.keys() - {"targets", "labels"}
    if unknown:
        raise ConfigError(f"{where}: unknown key {min(unknown)}; there are targets and labels")
    labels = entry.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
        raise ConfigError(f'{where}: labels must be text; put numbers in quotes, as "1"')
    own = {key: value for key, value in labels.items() if key != MACHINE}
    name = labels.get(MACHINE, "")
    if name and len(entry["targets"]) > 1:
        raise ConfigError(f'{where}: two targets are called "{name}"; give each an entry')
    for target in entry["targets"]:
        if not isinstance(target, str):
            raise ConfigError(f'{where}: a target must be text, as "host:10331"')
        try:
            # Where there is no port Prometheus takes that of the scheme, not the exporter's.
            address = parse_address(target, None)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
        yield make_machine(where, name or address, address, own, 0)
