"""The readers of this machine, each read once in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable

from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.durations import format_duration
from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.reasons import ACTION, MEANING, Reason
from swarm_exporter.sources.errors import SourceError

GROUP = Group("collectors")
_LONGEST_WORD = 300


class Reading:
    """One collector at work; what it has come to is there once it has ended."""

    def __init__(self, collector: Collector, look: Look) -> None:
        """Begin to read, unless the collector is switched off."""
        self.collector = collector
        self._look = look
        self._present: bool | None = None
        self._outcome: Found | Exception | None = None
        self._begun = time.monotonic()
        self._seconds = 0.0
        self._thread: threading.Thread | None = None
        if look.config.collects(collector.name, collector.on_by_default):
            # A read that hangs in the kernel must not keep the program from ending.
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()

    def checks(self, deadline: float) -> list[Check]:
        """Wait until it has ended, at most to `deadline` (monotonic); return what it came to."""
        name, about = self.collector.name, self.collector.about
        if self._thread is None:
            return [GROUP.absent(name, f"switched off: {about}", f"--collector.{name}")]
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._thread.is_alive():
            waited = format_duration(time.monotonic() - self._begun)
            return [
                GROUP.failure(
                    name,
                    f"has not ended after {waited}: {about}",
                    f"switch it off with --no-collector.{name}, and report it",
                )
            ]
        outcome = self._outcome
        if isinstance(outcome, Exception):
            return [_failed(name, outcome)]
        if outcome is None:
            return [GROUP.absent(name, f"this machine has none: {about}")]
        took = format_duration(self._seconds)
        return [
            GROUP.good(name, f"{outcome.summary or about}, read in {took}"),
            *_defects(name, outcome.defects),
        ]

    def _read(self) -> None:
        collector = self.collector
        try:
            if collector.is_present():
                began = time.monotonic()
                found = collector.read(self._look)
                self._seconds = time.monotonic() - began
                self._outcome = found
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            self._outcome = error
        finally:
            # What it has started (child processes) ends with it.
            try:
                collector.close()
            except Exception as error:  # noqa: BLE001
                self._outcome = error


def check_collectors(collectors: Iterable[Collector], look: Look, timeout: float) -> list[Check]:
    """Read every collector once, all at the same time; none is waited for beyond `timeout`."""
    readings = [Reading(collector, look) for collector in collectors]
    deadline = time.monotonic() + timeout
    return [check for reading in readings for check in reading.checks(deadline)]


def _failed(name: str, error: Exception) -> Check:
    if not isinstance(error, SourceError):
        said = f"{type(error).__name__}: {error}"[:_LONGEST_WORD]
        what = f"{MEANING[Reason.INTERNAL]} ({said})"
        return GROUP.failure(name, what, ACTION[Reason.INTERNAL])
    what = f"{MEANING[error.reason]} ({error.detail})"
    fix = ACTION[error.reason].replace("--no-collector.NAME", f"--no-collector.{name}")
    if error.reason is Reason.NOT_READY:
        return GROUP.warning(name, what, "ask again")
    return GROUP.failure(name, what, fix)


def _defects(name: str, defects: Iterable[Reason]) -> list[Check]:
    return [
        GROUP.warning(
            name,
            f"{MEANING[reason]}{f' ({count} values)' if count > 1 else ''}",
            ACTION[reason].replace("--no-collector.NAME", f"--no-collector.{name}"),
        )
        for reason, count in Counter(defects).items()
    ]
