"""Small files in which Linux tells of itself: proc(5) and sysfs(5)."""

from __future__ import annotations

import errno
from pathlib import Path

from swarm_exporter.host.attempts import refusal
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: What a kernel answers that was built, or started, without it.
_LACKING = {errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP, errno.ENODEV, errno.ENXIO}


def read_kernel_file(path: Path, most: int = -1) -> bytes | None:
    """Return a file's content, or its first `most` bytes; None where this kernel lacks it.

    Raises SourceError: permission or unreadable.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(most)
    except OSError as error:
        if error.errno in _LACKING:
            return None
        raise refusal(error, str(path)) from None


def require_kernel_file(path: Path) -> bytes:
    """Return a file's content. Raises SourceError, `missing` where this kernel lacks it."""
    content = read_kernel_file(path)
    if content is None:
        raise SourceError(Reason.MISSING, f"{path} is not there")
    return content
