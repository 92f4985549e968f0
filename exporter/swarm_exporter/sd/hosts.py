"""A file with hosts -> machines, whatever form it has."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from swarm_exporter.errors import ConfigError
from swarm_exporter.launcher.private_files import cause, read_bounded
from swarm_exporter.sd.inventory import machines_of
from swarm_exporter.sd.inventory_ini import SECTION, read_ini
from swarm_exporter.sd.inventory_yaml import read_yaml
from swarm_exporter.sd.machine import Machine, refuse_twins
from swarm_exporter.sd.text import read_text

#: Room for 100,000 machines.
LARGEST_BYTES = 16 * 1024 * 1024


class Form(str, Enum):
    """How a file says which hosts there are."""

    TEXT = "text"
    INI = "ini"
    YAML = "yaml"


def read_hosts(
    path: Path, *, form: Form | None, group: str, default_port: int
) -> tuple[Machine, ...]:
    """Return the machines of a file; without a form, by its name and content.

    Raises ConfigError that names file, line and fix.
    """
    text = read_file(path)
    form = form or _form(path, text)
    if form is Form.TEXT:
        machines = tuple(read_text(text, str(path), default_port))
    else:
        inventory = (read_ini if form is Form.INI else read_yaml)(text, str(path))
        machines = tuple(machines_of(inventory, group, default_port))
    if not machines:
        # An empty target file would take all machines from the boards, and no alert would say so.
        raise ConfigError(f"{path}: names no machine; write one a line, as mini-1=host:10331")
    refuse_twins(machines)
    return machines


def read_file(path: Path) -> str:
    """Return a file's text. Raises ConfigError that says what is wrong with the file."""
    try:
        content = read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: {cause(error)}; give a file with hosts") from None
    if content is None:
        raise ConfigError(f"{path}: there is no such file; give one with hosts")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def _form(path: Path, text: str) -> Form:
    if path.suffix in (".yml", ".yaml"):
        return Form.YAML
    if any(SECTION.fullmatch(line.strip()) for line in text.splitlines()):
        return Form.INI
    return Form.TEXT
