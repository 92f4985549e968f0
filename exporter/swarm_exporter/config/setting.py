"""One value of the configuration, and where it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from swarm_exporter.errors import ConfigError

T = TypeVar("T")


class Setting(msgspec.Struct, frozen=True):
    """One value as it was given, and where: a file's line and key, a variable or a flag."""

    value: object
    where: str
    error: type[ConfigError]
    #: What relative paths are relative to.
    base: Path
    from_file: bool = False

    def parse(self, parser: Callable[[object], T]) -> T:
        """Return the value read by `parser`. Raises ConfigError with the place and the fix."""
        try:
            return parser(self.value)
        except ValueError as problem:
            raise self.refused(str(problem)) from None

    def refused(self, problem: str) -> ConfigError:
        """Return the error that says what is wrong with the value."""
        return self.error(f"{self.where}: {problem}")
