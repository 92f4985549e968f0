"""Answers of `ioreg -a`, written by Apple's format with numbers of our own."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from typing import Any


class Ioreg:
    """An ioreg that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str], timeout: float) -> bytes:
        self.commands.append(tuple(command))
        return self.answer


def xml(*objects: dict[str, Any]) -> bytes:
    return plistlib.dumps(list(objects)) if objects else b""


def accelerator(*clients: dict[str, Any], number: int = 0x1000003D5, **more: Any) -> dict[str, Any]:
    """An M4's GPU; `more` replaces its statistics, and a None takes one away."""
    statistics = {
        "Alloc system memory": 7_000_000_000,
        "Allocated PB Size": 85_196_800,
        "Device Utilization %": 63,
        "In use system memory": 2_500_000_000,
        "In use system memory (driver)": 0,
        "Renderer Utilization %": 1,
        "Tiler Utilization %": 0,
        "lastRecoveryTime": 0,
        "recoveryCount": 2,
        **more,
    }
    return {
        "AGXParameterBufferMaxSize": -1_717_043_200,
        "IOClass": "AGXAcceleratorG16G",
        "IOGeneralInterest": "IOCommand is not serializable",
        "IORegistryEntryID": number,
        "IORegistryEntryName": "AGXAcceleratorG16G",
        "IOReportLegend": [{"IOReportChannels": [[5, 8_589_934_593, "Device Utilization %"]]}],
        "IORegistryEntryChildren": list(clients),
        "PerformanceStatistics": {k: v for k, v in statistics.items() if v is not None},
        "gpu-core-count": 10,
        "model": "Apple M4",
        "vendor-id": b"k\x10\0\0",
    }


def client(number: int, pid: int, *times: Any, name: str = "python3.11") -> dict[str, Any]:
    return {
        "AppUsage": [
            {"API": "Metal", "accumulatedGPUTime": time, "lastSubmittedTime": 18} for time in times
        ],
        "CommandQueueCount": 1,
        "IOObjectClass": "AGXDeviceUserClient",
        "IORegistryEntryID": number,
        "IORegistryEntryName": "AGXDeviceUserClient",
        "IOUserClientCreator": f"pid {pid}, {name}",
    }
