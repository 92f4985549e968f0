"""Collector `mps` on macOS: the GPU memory of each node, by the kernel's ledgers.

A process' ledgers graphics_footprint (resident) and graphics_footprint_compressed are exact and
need no sudo (macOS 13 to 26); where they are not to be had, the tool `footprint` tells the same.
Also the watermark ratios that PyTorch was started with, from the node's environment.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping

import msgspec
import psutil

from swarm_exporter.host.collector import Collector, Found, Look, Member, Members
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.footprint_tool import GraphicsMemory, read_footprint
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_HIGH = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
_LOW = "PYTORCH_MPS_LOW_WATERMARK_RATIO"
_RESIDENT = "graphics_footprint"
_COMPRESSED = "graphics_footprint_compressed"

#: The environment of a process, by its pid; None where it cannot be read (now).
Environment = Callable[[int], Mapping[str, str] | None]
#: Whether the process of a pid still runs.
Runs = Callable[[int], bool]
#: The two ratios; None where a node was started without one.
Ratios = tuple[float | None, float | None]


class NodeMps(msgspec.Struct, frozen=True, kw_only=True):
    """GPU memory of one node, bytes, and the ratios of its allocator."""

    resident: int | None = None
    #: Compressed, or swapped out: it grows when the machine is short of memory.
    compressed: int | None = None
    #: Shares of Metal's recommended memory at which PyTorch refuses more, and begins to free.
    high_watermark: float | None = None
    low_watermark: float | None = None


class MpsMemory(HostFacts, frozen=True, kw_only=True):
    """What each node that runs holds, by its name."""

    nodes: Mapping[str, NodeMps]


class MpsCollector(Collector):
    """Reads the ledgers of every process of every node."""

    name = "mps"
    about = "GPU memory of each node on Apple Silicon, resident and compressed (kernel ledgers)"

    def __init__(
        self,
        darwin: Darwin | None = None,
        run: Run = run_tool,
        environment: Environment | None = None,
        platform: str = sys.platform,
        runs: Runs | None = None,
    ) -> None:
        """Ask `darwin`, by default this machine; `run` starts the tool that stands in for it."""
        self._darwin = darwin or Darwin()
        self._run = run
        self._environment = environment or _environment
        self._platform = platform
        self._runs = runs or _runs
        self._ledgers: bool | None = None
        self._ratios: dict[tuple[int, float], Ratios] = {}

    def is_present(self) -> bool:
        """Tell whether this is a Mac."""
        return self._platform == "darwin"

    def read(self, look: Look) -> Found:
        """Read every node; one of which a process may not be read is absent."""
        members = look.members()
        self._forget(members)
        if self._ledgers is None:
            self._ledgers = self._darwin.trusts_ledger()
        memory, defects = (self._by_ledger if self._ledgers else self._by_tool)(members)
        nodes = {}
        for name, own in members.items():
            high, low = self._ratios_of(own)
            known = memory.get(name, NodeMps())
            nodes[name] = msgspec.structs.replace(known, high_watermark=high, low_watermark=low)
        how = "ledgers" if self._ledgers else "footprint"
        return Found(MpsMemory(nodes=nodes), tuple(defects), f"{len(nodes)} nodes, by {how}")

    def _by_ledger(self, members: Members) -> tuple[dict[str, NodeMps], list[Reason]]:
        """Return what is known of nodes' memory, by their names, and what went wrong."""
        nodes: dict[str, NodeMps] = {}
        defects = []
        for name, own in members.items():
            balances = []
            try:
                for member in own:
                    with contextlib.suppress(ProcessLookupError):
                        balances.append(self._darwin.ledger(member.pid))
            except PermissionError:
                defects.append(Reason.PERMISSION)
            except OSError:
                defects.append(Reason.UNREADABLE)
            else:
                nodes[name] = NodeMps(
                    resident=_total(balances, _RESIDENT), compressed=_total(balances, _COMPRESSED)
                )
        return nodes, defects

    def _by_tool(self, members: Members) -> tuple[dict[str, NodeMps], list[Reason]]:
        """Return the same of all nodes by one run of the tool."""
        running = {
            name: [member.pid for member in own if self._runs(member.pid)]
            for name, own in members.items()
        }
        try:
            tables = self._tables([pid for pids in running.values() for pid in pids])
        except SourceError as error:
            return {}, [error.reason]
        nodes: dict[str, NodeMps] = {}
        defects = []
        for name, pids in running.items():
            known = [tables[pid] for pid in pids if pid in tables]
            if any(pid not in tables and self._runs(pid) for pid in pids):
                # The others' sum would be a number that nobody measured.
                defects.append(Reason.PERMISSION)
            elif known:
                nodes[name] = NodeMps(
                    resident=sum(memory.resident for memory in known),
                    compressed=sum(memory.compressed for memory in known),
                )
        return nodes, defects

    def _tables(self, pids: list[int]) -> Mapping[int, GraphicsMemory]:
        """Return the memory of processes by their pids; those that have ended are left out.

        Raises SourceError where the tool fails, or tells of none of those that run.
        """
        if not pids:
            return {}
        try:
            tables = read_footprint(self._run, pids)
        except SourceError as error:
            # It ends with an error where it does not find a process.
            left = [pid for pid in pids if self._runs(pid)]
            if error.reason is not Reason.TOOL_FAILED or left == pids:
                raise
            return self._tables(left)
        if not tables and any(self._runs(pid) for pid in pids):
            raise SourceError(Reason.MALFORMED, "footprint printed no table that is known")
        return tables

    def _ratios_of(self, members: tuple[Member, ...]) -> Ratios:
        """Return the ratios of the first process that has one; the others inherit them."""
        for member in members:
            key = (member.pid, member.start)
            if key not in self._ratios:
                given = self._environment(member.pid)
                if given is None:
                    continue
                self._ratios[key] = (_ratio(given.get(_HIGH)), _ratio(given.get(_LOW)))
            if self._ratios[key] != (None, None):
                return self._ratios[key]
        return None, None

    def _forget(self, members: Members) -> None:
        living = {(member.pid, member.start) for own in members.values() for member in own}
        self._ratios = {key: ratios for key, ratios in self._ratios.items() if key in living}


def _total(balances: Iterable[Mapping[str, int]], name: str) -> int | None:
    """Return the sum of a ledger over processes; None where the kernel has none of that name."""
    # The kernel's own arithmetic passes below zero for a moment.
    known = [max(balance[name], 0) for balance in balances if name in balance]
    return sum(known) if known else None


def _ratio(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _environment(pid: int) -> Mapping[str, str] | None:
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError, ValueError):
        return None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
