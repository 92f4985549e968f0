"""Collector `process`: what each node's whole process tree uses, by one pass over the table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.counters import Key, TreeCounter
from swarm_exporter.host.table import Row, age_of
from swarm_exporter.host.trees import NodeTrees, Tree
from swarm_exporter.host.usage import ReadUsage, Usage, platform_reader
from swarm_exporter.model import HostFacts
from swarm_exporter.reasons import Reason


class NodeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of one node; counters since its processes began, as far as they were seen."""

    #: Processes that run, the launcher's own parent of them included.
    count: int
    threads: int | None = None
    open_fds: int | None = None
    resident: int | None = None
    #: When the first of them was started, Unix seconds.
    started: float | None = None
    cpu_seconds: float | None = None
    performance_cpu_seconds: float | None = None
    disk_read: float | None = None
    disk_written: float | None = None
    energy_joules: float | None = None
    #: Cores kept busy since the reading before.
    cores: float | None = None


class ProcessUsage(HostFacts, frozen=True, kw_only=True):
    """What each node uses, by its name; a node of which nothing is known is absent."""

    nodes: Mapping[str, NodeUsage]


class Processes(Collector):
    """Sums the processes of each node."""

    name = "process"
    about = "CPU, memory, files and disk of each node's whole process tree (/proc, proc_pid_rusage)"

    def __init__(self, trees: NodeTrees, read: ReadUsage | None = None) -> None:
        """Read the processes that `trees` finds."""
        self._trees = trees
        self._read = read
        self._accounts: dict[str, _Account] = {}

    def read(self, look: Look) -> Found:
        """Read every process of every node once."""
        read = self._read = self._read or platform_reader()
        trees = self._trees.look(look.config)
        names = [node.name for node in look.config.nodes]
        self._accounts = {k: v for k, v in self._accounts.items() if k in names}
        nodes, refused = {}, False
        for name in names:
            tree = trees.get(name)
            if tree is None and name not in self._accounts:
                if self._trees.is_watched(look.config, name):
                    nodes[name] = NodeUsage(count=0)
                continue
            account = self._accounts.setdefault(name, _Account())
            usages = list(_usages(tree, read)) if tree is not None else []
            nodes[name] = account.take(tree, usages, look, self._trees.row)
            refused |= any(usage.open_fds is None for _, usage in usages)
        running = sum(usage.count > 0 for usage in nodes.values())
        count = sum(usage.count for usage in nodes.values())
        return Found(
            ProcessUsage(nodes=nodes),
            (Reason.PERMISSION,) if refused else (),
            f"{count} processes of {running} nodes",
        )


class _Family(msgspec.Struct, frozen=True):
    """One reading of a tree, and what `TreeCounter` has to know of its processes."""

    usages: Mapping[Key, Usage]
    parents: Mapping[Key, Key]
    living: Collection[Key]


class _Account:
    """The counters of one node; they go on over its restarts."""

    def __init__(self) -> None:
        self._cpu = TreeCounter()
        self._performance_cpu = TreeCounter()
        self._disk_read = TreeCounter()
        self._disk_written = TreeCounter()
        self._energy = TreeCounter()
        self._had: set[TreeCounter] = set()
        #: Processes of the newest reading, and earlier ones that are still there.
        self._known: set[Key] = set()
        self._root: tuple[Key, float] | None = None
        self._before: tuple[float, float] | None = None

    def take(
        self,
        tree: Tree | None,
        usages: list[tuple[Row, Usage]],
        look: Look,
        now: Callable[[int], Row | None],
    ) -> NodeUsage:
        """Take in one reading of the node's processes; return what is known of it now.

        `now` tells of any process of the machine, by its pid.
        """
        family = self._family(tree, usages, now)
        cpu = self._count(self._cpu, family, lambda u: u.cpu, lambda u: u.reaped_cpu)
        living = [(row, usage) for row, usage in usages if not row.zombie]
        return NodeUsage(
            count=len(living),
            threads=_sum(usage.threads for _, usage in living),
            open_fds=_sum(usage.open_fds for _, usage in living),
            resident=_sum(usage.resident for _, usage in living),
            started=self._started(tree, look.now),
            cpu_seconds=cpu,
            performance_cpu_seconds=self._count(
                self._performance_cpu, family, lambda u: u.performance_cpu, _nothing
            ),
            disk_read=self._count(
                self._disk_read, family, lambda u: u.disk_read, lambda u: u.reaped_disk_read
            ),
            disk_written=self._count(
                self._disk_written,
                family,
                lambda u: u.disk_written,
                lambda u: u.reaped_disk_written,
            ),
            energy_joules=self._count(self._energy, family, lambda u: u.energy, _nothing),
            cores=self._cores(cpu, look.monotonic),
        )

    def _family(
        self,
        tree: Tree | None,
        usages: Iterable[tuple[Row, Usage]],
        now: Callable[[int], Row | None],
    ) -> _Family:
        """Return a reading with the ties of its processes.

        The script around a trainer is no node's between two trainers, and waits for the first: it
        is remembered while it lives.
        """
        rows = tree.rows if tree is not None else ()
        parents = {_key(row): _key(up) for row in rows if (up := now(row.parent)) is not None}
        figures = {_key(row): usage for row, usage in usages}
        away = self._known.union(parents.values()).difference(_key(row) for row in rows)
        there = {key for key in away if (seen := now(key[0])) is not None and _key(seen) == key}
        self._known = there | figures.keys()
        return _Family(figures, parents, self._known)

    def _count(
        self,
        counter: TreeCounter,
        family: _Family,
        own: Callable[[Usage], float | None],
        reaped: Callable[[Usage], float | None],
    ) -> float | None:
        """Return the counter after this reading; None where its figure was never there."""
        figures = {}
        for key, usage in family.usages.items():
            used, returned = own(usage), reaped(usage)
            if used is not None or returned is not None:
                figures[key] = (used or 0.0, returned or 0.0)
        counter.add(figures, family.parents, family.living)
        if figures:
            self._had.add(counter)
        return counter.total if counter in self._had else None

    def _started(self, tree: Tree | None, now: float) -> float | None:
        """Return the start of the tree; worked out once, as the clock may be set later."""
        row = next((r for r in tree.rows if r.pid == tree.root), None) if tree else None
        if row is None:
            self._root = None
        elif self._root is None or self._root[0] != (row.pid, row.start):
            self._root = (row.pid, row.start), now - age_of(row.start)
        return self._root[1] if self._root is not None else None

    def _cores(self, cpu: float | None, monotonic: float) -> float | None:
        before, self._before = self._before, (monotonic, cpu) if cpu is not None else None
        if before is None or cpu is None or monotonic <= before[0]:
            return None
        return (cpu - before[1]) / (monotonic - before[0])


def _usages(tree: Tree, read: ReadUsage) -> Iterator[tuple[Row, Usage]]:
    for row in tree.rows:
        with contextlib.suppress(ProcessLookupError):
            yield row, read(row)


def _sum(figures: Iterable[float | None]) -> Any:  # noqa: ANN401 - of the figures' own type
    """Return the sum; None where there are none, or a part of it is not known."""
    total = None
    for figure in figures:
        if figure is None:
            return None
        total = figure if total is None else total + figure
    return total


def _key(row: Row) -> Key:
    return row.pid, row.start


def _nothing(_: Usage) -> None:
    return None
