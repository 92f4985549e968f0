"""The outcome of one check, as it is printed, counted and recorded."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import msgspec


class Outcome(str, Enum):
    """How a check ended."""

    OK = "ok"
    #: It works, and something about it is worth a look.
    WARNING = "warning"
    #: It is broken: the fix says what to do.
    FAILURE = "failure"
    #: There is nothing to check, which is no fault.
    ABSENT = "absent"


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    group: str
    #: What was looked at: a tool, a node, an address.
    subject: str
    outcome: Outcome
    #: What was found, in words for a person and without secrets.
    what: str
    #: What to do about it; empty where there is nothing to do.
    fix: str = ""


class Group:
    """Makes the checks of one group."""

    def __init__(self, name: str) -> None:
        """Name the group."""
        self.name = name

    def good(self, subject: str, what: str) -> Check:
        """Return that something works."""
        return Check(self.name, subject, Outcome.OK, what)

    def warning(self, subject: str, what: str, fix: str = "") -> Check:
        """Return that something works but is worth a look."""
        return Check(self.name, subject, Outcome.WARNING, what, fix)

    def failure(self, subject: str, what: str, fix: str) -> Check:
        """Return that something is broken."""
        return Check(self.name, subject, Outcome.FAILURE, what, fix)

    def absent(self, subject: str, what: str, fix: str = "") -> Check:
        """Return that there is nothing to check."""
        return Check(self.name, subject, Outcome.ABSENT, what, fix)

    def private(self, subject: str, path: Path, what: str) -> Check:
        """Return whether a file or folder that is there is for its owner alone."""
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & 0o077:
            return self.good(subject, f"{what}, mode {mode:04o}")
        wanted = "700" if path.is_dir() else "600"
        return self.warning(
            subject,
            f"{what}, but others may look into it (mode {mode:04o})",
            f"chmod {wanted} '{path}'",
        )


def is_broken(checks: Iterable[Check]) -> bool:
    """Tell whether any check is a failure."""
    return any(check.outcome is Outcome.FAILURE for check in checks)


def existing(path: Path) -> Path | None:
    """Return `path` where it is there, else the nearest folder above it that is."""
    return next((place for place in (path, *path.parents) if place.exists()), None)
