"""Counters of Linux's memory management: /proc/vmstat (proc(5))."""

from __future__ import annotations

from pathlib import Path

from swarm_exporter.host.kernel_file import require_kernel_file


def read_vmstat(root: Path, *names: str) -> dict[str, int]:
    """Return these counters since the start of the machine; one that is not there is left out.

    Raises SourceError.
    """
    return parse_vmstat(require_kernel_file(root / "proc/vmstat"), *names)


def parse_vmstat(content: bytes, *names: str) -> dict[str, int]:
    """Read these counters."""
    found = {}
    for name in names:
        # There are two hundred rows, so only these are looked for.
        _, row, rest = (b"\n" + content).partition(f"\n{name} ".encode())
        figure = rest.split(b"\n", 1)[0]
        if row and figure.isdigit():
            found[name] = int(figure)
    return found
