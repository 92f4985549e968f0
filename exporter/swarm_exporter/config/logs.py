"""The `log` part of a node's configuration: as it is written in a file, and resolved."""

from __future__ import annotations

from pathlib import Path

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError


class FileTrainingLog(msgspec.Struct, forbid_unknown_fields=True):
    """`log` of one node in a file."""

    file: str | None = None
    patterns: str | None = None


class TrainingLog(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node's training log is looked for, and what is looked for in it."""

    #: The node's working folder: the logs that upstream writes below it.
    folder: Path | None = None
    #: One log instead of those.
    file: Path | None = None
    #: A person's own patterns, in the form of sources/log_patterns.yaml.
    patterns: Path | None = None


def resolve_training_log(
    file: FileTrainingLog | None, folder: Path | None, key: str, document: Document | None
) -> TrainingLog | None:
    """Return what one node's logs are; `key` is where the file says it (`nodes[0].log`).

    None where neither a folder nor a log is known. Raises ConfigError with line and key.
    """
    given: dict[str, Path] = {}
    for name in ("file", "patterns"):
        text = getattr(file, name, None)
        if text is not None and document is not None:
            given[name] = _path(text, f"{key}.{name}", document)
    if folder is None and "file" not in given:
        return None
    return TrainingLog(folder=folder, **given)


def _path(text: str, key: str, document: Document) -> Path:
    base = document.path.parent
    setting = Setting(text, document.where(key), ConfigError, base, from_file=True)
    return setting.parse(lambda value: values.path(str(value), base))
