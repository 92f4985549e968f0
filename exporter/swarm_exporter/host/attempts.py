"""Values that are read one by one, so that a failure costs its own value alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

P = ParamSpec("P")
T = TypeVar("T")


class Attempts:
    """The failures of one reading."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self.failures: list[SourceError] = []

    def of(self, read: Callable[P, T], *args: P.args, **more: P.kwargs) -> T | None:
        """Return what `read` returns; where it fails, remember why and return None."""
        try:
            return read(*args, **more)
        except SourceError as error:
            self.failures.append(error)
        except (OSError, RuntimeError) as error:
            self.failures.append(refusal(error, "a value of the system"))
        return None

    def fail(self, reason: Reason, detail: str) -> None:
        """Remember that a value is lost."""
        self.failures.append(SourceError(reason, detail))

    def defects(self) -> tuple[Reason, ...]:
        """Return why values are lost, one entry each."""
        return tuple(failure.reason for failure in self.failures)

    def check(self, *found: object) -> None:
        """Raise the first failure where nothing at all was found."""
        if any(value is not None for value in found):
            return
        if self.failures:
            raise self.failures[0]
        raise SourceError(Reason.MISSING, "this system tells nothing of it")


def refusal(error: OSError | RuntimeError, what: str) -> SourceError:
    """Return the failure that an error of the operating system is.

    psutil raises RuntimeError where a call of Mach fails.
    """
    reason = Reason.PERMISSION if isinstance(error, PermissionError) else Reason.UNREADABLE
    number = error.errno if isinstance(error, OSError) else None
    words = os.strerror(number).lower() if number else "it cannot be read"
    return SourceError(reason, f"{what}: {words}")
