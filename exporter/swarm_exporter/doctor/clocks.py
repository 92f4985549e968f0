"""The local clock against those of the swarm APIs and of the disk that holds the state."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from swarm_exporter.addresses import redact_url
from swarm_exporter.doctor.addresses import Answer
from swarm_exporter.doctor.check import Check, Group, existing
from swarm_exporter.durations import format_duration

GROUP = Group("clocks")
#: A larger difference makes ages and rates wrong that span two machines, seconds.
MOST_SKEW = 30.0
_FIX = {
    "darwin": "sudo sntp -sS time.apple.com, and System Settings > General > Date & Time",
    "linux": "sudo timedatectl set-ntp true",
}


def check_clocks(
    answers: Iterable[Answer],
    folder: Path,
    time: Callable[[], float],
    platform: str = sys.platform,
    written_at: Callable[[Path], float | None] | None = None,
) -> list[Check]:
    """Return the checks; a file that is written in `folder` tells what time its disk has."""
    fix = _FIX.get(platform, "set the clock")
    checks = [
        _compared(redact_url(answer.api), answer.ahead, fix)
        for answer in answers
        if answer.ahead is not None
    ]
    if not checks:
        checks.append(GROUP.absent("swarm APIs", "none has told the time"))
    written = (written_at or _written_at)(folder)
    if written is None:
        return [*checks, GROUP.absent("state folder", "nothing can be written there")]
    other = "set the clock of the machine that has this disk, or give another --state-dir"
    return [*checks, _compared("disk of the state folder", time() - written, other)]


def _compared(subject: str, ahead: float, fix: str) -> Check:
    if abs(ahead) <= MOST_SKEW:
        return GROUP.good(subject, "agrees with the local clock")
    word = "ahead of it" if ahead > 0 else "behind it"
    what = f"the local clock is {format_duration(abs(ahead))} {word}"
    return GROUP.warning(subject, what, fix)


def _written_at(folder: Path) -> float | None:
    """Return the time of a file that was just written, Unix seconds by the disk's own clock."""
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"doctor")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
