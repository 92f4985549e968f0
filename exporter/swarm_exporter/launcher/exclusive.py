"""One command at a time may change what a supervisord runs."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.files import SupervisorFiles

#: How long the second waits for the first.
LOCK_SECONDS = 60.0
_LOOK_SECONDS = 0.1


@contextlib.contextmanager
def exclusive(files: SupervisorFiles) -> Iterator[None]:
    """Hold the folder's lock; the folder is made. Raises SwarmExporterError where it is held."""
    files.prepare()
    deadline = time.monotonic() + LOCK_SECONDS
    with files.lock.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SwarmExporterError(
                        "another swarm-exporter command is at work here; try again when it has "
                        "ended"
                    ) from None
                time.sleep(_LOOK_SECONDS)
        yield
