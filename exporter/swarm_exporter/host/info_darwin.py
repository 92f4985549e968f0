"""What a Mac is: sysctl's hw.model, machdep.cpu.brand_string and kern.osproductversion."""

from __future__ import annotations

import os

from swarm_exporter.host.load import MachineInfo
from swarm_exporter.host.sysctl_darwin import Sysctl, sysctl_text


def darwin_info(sysctl: Sysctl) -> MachineInfo:
    """Return what this Mac is; what the kernel does not tell is empty."""
    return MachineInfo(
        system="macOS",
        release=sysctl_text(sysctl, "kern.osproductversion") or "",
        machine=os.uname().machine,
        model=sysctl_text(sysctl, "hw.model") or "",
        chip=sysctl_text(sysctl, "machdep.cpu.brand_string") or "",
    )
