"""Where in an answer's JSON the figures stand: as it is written in a file, and resolved."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError
from swarm_exporter.json_path import EachOfObject, Path, parse_path


class FileMapping(msgspec.Struct, forbid_unknown_fields=True):
    """`mapping` in a file: a path (json_path.py) for each field; "" for one that is not there."""

    list: str | None = None
    id: str | None = None
    nickname: str | None = None
    reward: str | None = None
    score: str | None = None
    participation: str | None = None
    online: str | None = None
    reward_at: str | None = None
    score_at: str | None = None
    total: str | None = None
    round: str | None = None
    stage: str | None = None
    rank: str | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """Where each field stands; None where an answer does not have it.

    `list` and `total` begin at the answer's root. All others begin at one row of the list, or at
    the root where there is no list.
    """

    list: Path | None = None
    id: Path | None = None
    nickname: Path | None = None
    reward: Path | None = None
    score: Path | None = None
    participation: Path | None = None
    online: Path | None = None
    reward_at: Path | None = None
    score_at: Path | None = None
    total: Path | None = None
    round: Path | None = None
    stage: Path | None = None
    rank: Path | None = None

    @property
    def keyed(self) -> bool:
        """True where the rows are values of an object, so that each has a name."""
        return self.list is not None and any(isinstance(s, EachOfObject) for s in self.list.steps)

    def given(self) -> dict[str, Path]:
        """Return the fields that have a path."""
        return {name: path for name, path in msgspec.structs.asdict(self).items() if path}


#: Fields that `Mapping` reads from the root even where there is a list.
OF_ROOT = ("list", "total")
FIELDS = Mapping.__struct_fields__


def resolve_mapping(
    file: FileMapping, key: str, document: Document, default: Mapping, known: tuple[str, ...]
) -> Mapping:
    """Return `default` with what the file says instead; `known` are the fields that have a use.

    Raises ConfigError with line, key and position.
    """
    given: dict[str, Path | None] = {}
    for name in FIELDS:
        value = getattr(file, name)
        if value is None:
            continue
        where = document.where(f"{key}.{name}")
        written = Setting(value, where, ConfigError, document.path.parent, from_file=True)
        if name not in known:
            raise written.refused("has no use here; known are " + ", ".join(known))
        given[name] = written.parse(_reader(name)) if value else None
    mapping = msgspec.structs.replace(default, **given)
    for name, path in mapping.given().items():
        if path.key and not mapping.keyed:
            raise document.error(f"{key}.{name}", "@key needs a list with * in it")
    if mapping.id is None and mapping.keyed:
        mapping = msgspec.structs.replace(mapping, id=parse_path("@key"))
    return mapping


def _reader(name: str) -> Callable[[object], Path]:
    def read(value: object) -> Path:
        path = parse_path(str(value))
        if name == "list":
            if path.key:
                raise ValueError("must lead to a list, not to a name")
            # A list is meant for each of its rows, whether that is written or not.
            return path if path.ends_in_each else parse_path(f"{path.text}[]")
        if path.several:
            raise ValueError(f'"{path.text}": must lead to one value; [] and * belong into `list`')
        if path.key and name in OF_ROOT:
            raise ValueError("@key has no meaning here")
        return path

    return read
