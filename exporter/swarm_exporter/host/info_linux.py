"""What a Linux machine is: uname(2), /proc/cpuinfo, and what firmware says (DMI, device tree)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from swarm_exporter.host.kernel_file import read_kernel_file
from swarm_exporter.host.load import MachineInfo
from swarm_exporter.sources.errors import SourceError

_MODELS = ("sys/class/dmi/id/product_name", "proc/device-tree/model")
#: What makers of boards leave in the place of a name.
_NO_NAMES = {"", "system product name", "to be filled by o.e.m.", "default string", "none"}
_CHIP = re.compile(r"^model name[ \t]*:[ \t]*(.+)$", re.MULTILINE)
#: The first processor is enough: the kernel writes a kilobyte or two of each.
_ENOUGH = 8192


def linux_info(root: Path) -> MachineInfo:
    """Return what this machine is; `root` holds /proc and /sys."""
    kernel = os.uname()
    chip = _CHIP.search(_text(root / "proc/cpuinfo"))
    return MachineInfo(
        system=kernel.sysname,
        release=kernel.release,
        machine=kernel.machine,
        model=_model(root),
        chip=" ".join(chip[1].split()) if chip else "",
    )


def _model(root: Path) -> str:
    for place in _MODELS:
        name = _text(root / place).strip("\0 \n")
        if name.lower() not in _NO_NAMES:
            return name
    return ""


def _text(path: Path) -> str:
    try:
        return (read_kernel_file(path, _ENOUGH) or b"").decode("utf-8", "replace")
    except SourceError:
        return ""
