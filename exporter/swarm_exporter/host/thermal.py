"""Collector `thermal` on macOS: how hot the system says it is, as it tells every program.

The state of the notification com.apple.system.thermalpressurelevel (libSystem, notify(3)); the
tool `notifyutil` prints the same. It says "Failed" on its output and ends with 0.
"""

from __future__ import annotations

import re
import sys

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_TOOL = ("/usr/bin/notifyutil", "-g", "com.apple.system.thermalpressurelevel")
_TIMEOUT_SECONDS = 2.0
_ANSWER = re.compile(rb"com\.apple\.system\.thermalpressurelevel ([0-4])\s*")
_WORDS = ("nominal", "moderate", "heavy", "trapping", "sleeping")


class ThermalPressure(HostFacts, frozen=True, kw_only=True):
    """0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping."""

    level: int


class ThermalCollector(Collector):
    """Reads the level."""

    name = "thermal"
    about = "thermal pressure, at which macOS slows the machine down (notify)"

    def __init__(
        self, darwin: Darwin | None = None, run: Run = run_tool, platform: str = sys.platform
    ) -> None:
        """Ask `darwin`, by default this machine, and where that fails the tool."""
        self._darwin = darwin or Darwin()
        self._run = run
        self._platform = platform

    def is_present(self) -> bool:
        """Tell whether this is a Mac."""
        return self._platform == "darwin"

    def read(self, look: Look) -> Found:  # noqa: ARG002 - of the machine alone
        """Read once. Raises SourceError (malformed) where neither way tells."""
        level = self._darwin.thermal_pressure()
        if level is None:
            answer = _ANSWER.fullmatch(self._run(_TOOL, _TIMEOUT_SECONDS))
            if answer is None:
                raise SourceError(Reason.MALFORMED, "notifyutil told no level")
            level = int(answer[1])
        return Found(ThermalPressure(level=level), summary=_WORDS[level])
