"""Readings -> accounts and the newest snapshot; the only place that holds state.

What was earned is saved before it is shown, so that a counter once scraped never falls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from swarm_exporter import conditions
from swarm_exporter.addresses import redact_url
from swarm_exporter.clock import Clock
from swarm_exporter.config import Config
from swarm_exporter.config.sources import blind_spots
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.identity import normalise_nickname
from swarm_exporter.model import (
    Board,
    Earnings,
    ExporterView,
    FactsOfNodes,
    HostFacts,
    Identity,
    IdentityOrigin,
    Node,
    NodeFacts,
    NodeFactsT,
    NodeView,
    Processes,
    Reading,
    RewardTotal,
    Snapshot,
    SourceStatus,
    Stage,
    Standing,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.rewards import Account, SwarmWatch
from swarm_exporter.sources.base import Target
from swarm_exporter.sources.login import LoginFacts
from swarm_exporter.sources.training_log import TrainingLogFacts
from swarm_exporter.state import StateFile
from swarm_exporter.totals import TotalAccount

log = logging.getLogger(__name__)

K = TypeVar("K")
T = TypeVar("T")

#: Stands for a node's name where a source is of the whole machine.
_MACHINE = ""


class Memory(msgspec.Struct):
    """What survives a restart."""

    accounts: dict[str, Account] = {}
    swarm_last_increase: float | None = None
    #: The newest stage of each board, by address.
    newest_stages: dict[str, Stage] = {}
    #: Accounts of sums that others keep, by source and node.
    totals: dict[str, dict[str, TotalAccount]] = {}
    #: The source that gave each node its reward last: another one begins a count of its own.
    reward_sources: dict[str, str] = {}


class _Health(msgspec.Struct):
    """The running status of one node seen through one source."""

    up: bool = False
    reason: Reason | None = None
    detail: str = ""
    duration: float | None = None
    last_success: float | None = None
    errors: dict[Reason, int] = {}


class _Moment(msgspec.Struct, frozen=True):
    """A moment in time by both clocks; it has passed when either says so.

    The wall clock may be set, and the other one stands still while the machine sleeps.
    """

    wall: float = float("inf")
    monotonic: float = float("inf")

    def has_passed(self, clock: Clock) -> bool:
        return clock.time() >= self.wall or clock.monotonic() >= self.monotonic


def _earliest(moments: Iterable[_Moment]) -> _Moment:
    moments = list(moments)
    return _Moment(
        min((m.wall for m in moments), default=float("inf")),
        min((m.monotonic for m in moments), default=float("inf")),
    )


class _Fresh(msgspec.Struct, Generic[T], frozen=True):
    """What a source said, and when it is too old to be shown."""

    value: T
    expires: _Moment


class Tracker:
    """Takes readings, keeps the accounts, and makes the snapshot that is shown."""

    def __init__(self, config: Config, clock: Clock, state: StateFile | None) -> None:
        """Begin with what `state` remembers; without one nothing survives a restart."""
        self._clock = clock
        self._state = state
        self._memory = (state.load(Memory) if state is not None else None) or Memory()
        for account in self._memory.accounts.values():
            account.gains = []
        for total_account in (a for each in self._memory.totals.values() for a in each.values()):
            total_account.gains, total_account.watched_since = [], None
        self._state_saved = True
        self._saving = asyncio.Lock()
        #: How often accounts have changed, and how many of those changes are on disk.
        self._learned = self._saved = 0
        #: The nodes whose newest change is not, by its number.
        self._unsaved: dict[str, int] = {}
        # Its own thread: a folder that hangs may use up the common ones.
        self._writer = ThreadPoolExecutor(1, "state")
        self._config = config
        self._config_error = ""
        self._config_loaded = self._started = clock.time()
        self._awaited: set[tuple[str, str]] = set()
        self._health: dict[tuple[str, str], _Health] = {}
        self._identities: dict[str, Identity] = {}
        #: The identities completed by what a board said, with what they were completed from.
        self._resolved: dict[str, tuple[Identity, Identity]] = {}
        self._boards: dict[str, _Fresh[Board]] = {}
        #: What each collector read of this machine.
        self._host: dict[str, _Fresh[HostFacts]] = {}
        #: What other sources say of their nodes, by source and what was asked.
        self._facts: dict[tuple[str, str], _Fresh[FactsOfNodes]] = {}
        #: What runs of each node, by the source that says so.
        self._processes: dict[str, _Fresh[Processes]] = {}
        self._watches: dict[str, SwarmWatch] = {}
        #: The swarm's round as a node without a board is told it, by what was asked.
        self._rounds: dict[tuple[str, str], int] = {}
        self._conflicts: dict[str, tuple[str, ...]] = {}
        self._snapshot: Snapshot | None = None
        self._stale = True
        self._expires = _Moment()
        self._watching_since: float | None = None

    def configure(self, config: Config, targets: Iterable[Target]) -> None:
        """Take over a configuration; what is known of targets that remain is kept."""
        targets = list(targets)
        before, self._config = self._config, config
        self._config_error = ""
        self._config_loaded = self._clock.time()
        nodes_before = {node.name: node for node in before.nodes}
        names = {node.name for node in config.nodes if nodes_before.get(node.name) == node}
        addresses = {target.key for target in targets}
        seen_through = {
            (name, target.source)
            for target in targets
            for name in _names(target)
            if name in names or name == _MACHINE
        }
        self._identities = {k: v for k, v in self._identities.items() if k in names}
        self._resolved = {k: v for k, v in self._resolved.items() if k in names}
        self._boards = {k: v for k, v in self._boards.items() if k in addresses}
        self._watches = {k: v for k, v in self._watches.items() if k in addresses}
        newest_stages = self._memory.newest_stages
        self._memory.newest_stages = {k: v for k, v in newest_stages.items() if k in addresses}
        self._health = {k: v for k, v in self._health.items() if k in seen_through}
        self._host = {k: v for k, v in self._host.items() if (_MACHINE, k) in seen_through}
        keys = {(target.source, target.key) for target in targets}
        self._facts = {k: v for k, v in self._facts.items() if k in keys}
        self._rounds = {k: v for k, v in self._rounds.items() if k[0] in addresses}
        self._awaited = {
            (target.source, target.key)
            for target in targets
            if any((name, target.source) not in self._health for name in _names(target))
        }
        self._find_conflicts()
        self._stale = True
        # So that there is something to show while the first save is under way.
        self.snapshot()

    def reject_config(self, error: str) -> None:
        """Note that a new configuration was refused and the one before is still in force."""
        self._config_error = error
        self._stale = True

    def identities(self, nodes: Iterable[Node]) -> dict[str, Identity]:
        """Return the newest identity of each node, by name."""
        return {node.name: self._resolved_identity(node) for node in nodes}

    async def record(self, target: Target, reading: Reading) -> None:
        """Take in one reading; what it earned is on disk when this returns."""
        learned = self._take(target, reading)
        self._stale = True
        # A save that a reload has cut off is made up for.
        if learned or any(node.name in self._unsaved for node in target.nodes):
            await self._save_all()
            self._stale = True
        self._awaited.discard((target.source, target.key))

    def _take(self, target: Target, reading: Reading) -> bool:
        """Take in one reading; return True where accounts have changed by it."""
        self._note_health(target, reading)
        learned = False
        known = [self._resolved_identity(node) for node in target.nodes]
        fresh_for = 2 * target.interval + self._config.timeout
        expires = _Moment(reading.time + fresh_for, self._clock.monotonic() + fresh_for)
        if isinstance(reading.value, Identity):
            for node in target.nodes:
                self._identities[node.name] = reading.value
        elif isinstance(reading.value, Board):
            self._boards[target.key] = _Fresh(reading.value, expires)
            learned = self._account(target, reading.value, reading.time)
        elif isinstance(reading.value, Processes):
            self._processes[target.source] = _Fresh(reading.value, expires)
        elif isinstance(reading.value, HostFacts):
            self._host[target.source] = _Fresh(reading.value, expires)
        elif isinstance(reading.value, FactsOfNodes):
            self._facts[target.source, target.key] = _Fresh(reading.value, expires)
            learned = self._account_totals(target, reading.value, reading.time)
        else:
            self._facts.pop((target.source, target.key), None)
            self._host.pop(target.source, None)
            self._processes.pop(target.source, None)
            self._boards.pop(target.key, None)
        if known != [self._resolved_identity(node) for node in target.nodes]:
            self._find_conflicts()
        if learned:
            self._learned += 1
            self._unsaved.update((node.name, self._learned) for node in target.nodes)
        return learned

    async def _save_all(self) -> None:
        """Return once all that is in memory now is on disk; who waits together shares a write."""
        wanted = self._learned
        async with self._saving:
            if self._saved >= wanted:
                return
            saved = self._learned
            await self._save()
            self._saved = saved
            self._unsaved = {k: v for k, v in self._unsaved.items() if v > saved}

    async def close(self) -> None:
        """Save what is worth saving but was not worth a write of its own."""
        async with self._saving:
            await self._save()
        self._writer.shutdown(wait=False)

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot; it is made anew only where something has changed."""
        now = self._clock.time()
        if (
            self._snapshot is not None
            and not self._expires.has_passed(self._clock)
            and not self._stale
        ):
            return self._snapshot
        self._snapshot = self._build(now)
        self._stale = False
        return self._snapshot

    def _note_health(self, target: Target, reading: Reading) -> None:
        for name in _names(target):
            health = self._health.setdefault((name, target.source), _Health())
            health.up = reading.failure is None
            health.reason = reading.failure
            health.detail = reading.detail
            health.duration = reading.duration
            if reading.failure is None:
                health.last_success = reading.time
            for reason in (*reading.defects, reading.failure):
                if reason is not None:
                    health.errors[reason] = health.errors.get(reason, 0) + 1

    def _account(self, target: Target, board: Board, now: float) -> bool:
        learned = False
        for node in target.nodes:
            identity = self._resolved_identity(node)
            # What was learned of a node while the board was on its way was not looked for on it.
            if (identity.peer_id or identity.nickname) not in board.asked:
                continue
            standing, problem = find_standing(identity, board)
            self._resolve(node, standing)
            if problem:
                continue
            if self._config.keeps_sums(node.name):
                learned |= self._observe_sum(target, node, _sum_of(standing), now)
                continue
            if self._config.reward_source(node.name) != "leaderboard":
                continue
            learned |= self._begin_anew(node.name, "leaderboard")
            account = self._memory.accounts.setdefault(node.name, Account())
            learned |= account.observe(standing, board, now)
        return self._watch(target.key, board, now) or learned

    def _account_totals(self, target: Target, facts: FactsOfNodes, now: float) -> bool:
        """Count what has changed in the sums of the nodes that this source gives their reward."""
        learned = False
        for node in target.nodes:
            known = facts.nodes.get(node.name)
            if known is not None and known.swarm_round is not None:
                learned |= self._watch_round(target, node, known.swarm_round, now)
            if self._config.reward_source(node.name) == target.source and known is not None:
                learned |= self._observe_sum(target, node, known.total, now)
        return learned

    def _watch_round(self, target: Target, node: Node, number: int, now: float) -> bool:
        """See whether the swarm goes on where no board tells: return True where it has."""
        if self._config.reads(node.name, "leaderboard"):
            return False
        before = self._rounds.get((target.key, node.name))
        self._rounds[target.key, node.name] = number
        if before is None:
            # Nobody knows what this swarm did while nobody watched it.
            self._watching_since = now
            return False
        if number <= before:
            return False
        self._memory.swarm_last_increase = now
        return True

    def _observe_sum(
        self, target: Target, node: Node, total: RewardTotal | None, now: float
    ) -> bool:
        if total is None:
            return False
        learned = self._begin_anew(node.name, target.source)
        accounts = self._memory.totals.setdefault(target.source, {})
        account = accounts.setdefault(node.name, TotalAccount())
        keeper = self._keeper(target.source, node, total)
        total = msgspec.structs.replace(total, keeper=keeper)
        return account.observe(total, self._resolved_identity(node).peer_id, now) or learned

    def _begin_anew(self, node: str, source: str) -> bool:
        """Drop what a source has counted of a node before another one gave it its reward.

        Its counter would jump to the old count, as if all of that had been earned now.
        """
        before = self._memory.reward_sources.get(node)
        self._memory.reward_sources[node] = source
        if before == source:
            return False
        if before is not None:
            self._memory.accounts.pop(node, None)
            for accounts in self._memory.totals.values():
                accounts.pop(node, None)
        return True

    def _keeper(self, source: str, node: Node, total: RewardTotal) -> str:
        """Return who keeps a sum, and which of his figures it is: the next may be another's."""
        hosted, board = self._config.hosted, self._config.leaderboard
        if source == "hosted" and hosted is not None:
            return f"{redact_url(hosted.url)}{hosted.path} {hosted.mapping.reward}"
        if source == "leaderboard" and board is not None:
            return f"{redact_url(node.api)}{board.path} {board.mapping.reward}"
        return total.keeper

    def _watch(self, address: str, board: Board, now: float) -> bool:
        """See whether anybody has earned since the board before, or since before a restart.

        Return True where there is a new stage to remember.
        """
        self._watching_since = self._watching_since or now
        newest_stages = self._memory.newest_stages
        watch = self._watches.setdefault(address, SwarmWatch(newest_stages.get(address)))
        if watch.observe(board):
            self._memory.swarm_last_increase = now
        if watch.newest is None or watch.newest == newest_stages.get(address):
            return False
        newest_stages[address] = watch.newest
        return True

    async def _save(self) -> None:
        if self._state is None:
            return
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writer, self._state.save, self._memory)
        except SwarmExporterError as error:
            if self._state_saved:
                log.error("%s; counting goes on in memory", error)
            self._state_saved = False
        else:
            if not self._state_saved:
                log.info("the state is saved again")
            self._state_saved = True

    def _identity(self, node: Node) -> Identity:
        known = self._identities.get(node.name)
        if known is not None:
            return known
        if node.peer_id is not None or node.nickname is not None:
            return Identity(
                peer_id=node.peer_id, nickname=node.nickname, origin=IdentityOrigin.CONFIG
            )
        return Identity()

    def _resolved_identity(self, node: Node) -> Identity:
        """Return a node's identity, completed by what a board has said of it, now or earlier."""
        identity = self._identity(node)
        asked, complete = self._resolved.get(node.name, (None, identity))
        return complete if asked == identity else identity

    def _resolve(self, node: Node, standing: Standing | None) -> None:
        """Remember what a board says of a node's identity: its peer may be absent later."""
        if standing is not None:
            identity = self._identity(node)
            complete = msgspec.structs.replace(
                identity,
                peer_id=standing.peer_id,
                nickname=normalise_nickname(standing.nickname) or identity.nickname,
            )
            self._resolved[node.name] = (identity, complete)

    def _find_conflicts(self) -> None:
        """See whether nodes claim the same peer, and say it once."""
        nodes = self._config.nodes
        conflicts = _conflicts({n.name: self._resolved_identity(n) for n in nodes})
        for name, others in conflicts.items():
            if self._conflicts.get(name) != others:
                log.error(
                    "node %s and node %s are the same peer of the swarm: give each node its own "
                    "folder with its own swarm.pem, or correct peer_id",
                    name,
                    ", ".join(others),
                )
        self._conflicts = conflicts

    def _build(self, now: float) -> Snapshot:
        boards_by_api = self._fresh(self._boards)
        host = self._fresh(self._host)
        processes = self._fresh(self._processes)
        facts_of_nodes = self._fresh(self._facts)
        by_name = {k: v for each in processes.values() for k, v in each.value.nodes.items()}
        expiries = [board.expires for board in boards_by_api.values()]
        expiries += [facts.expires for facts in host.values()]
        expiries += [each.expires for each in processes.values()]
        expiries += [each.expires for each in facts_of_nodes.values()]
        self._expires = _earliest(expiries)
        nodes = self._config.nodes
        boards = {n.name: self._board_of(n, boards_by_api) for n in nodes}
        swarm_last_increase = self._swarm_last_increase()
        # Nobody knows what the swarm did while nobody watched.
        swarm_idle_since = max(swarm_last_increase or 0.0, self._watching_since or now)
        # Accounts that are not saved yet are ahead of the disk: show what was before.
        before = self._snapshot.nodes if self._snapshot and self._unsaved else ()
        shown = {v.node.name: v.earnings for v in before if v.node.name in self._unsaved}
        health = self._health_by_node()
        facts_by_node = _by_node(facts_of_nodes.values())
        totals = self._totals(facts_of_nodes)
        views = []
        for node in nodes:
            identity = self._resolved_identity(node)
            standing, problem = find_standing(identity, boards[node.name])
            if problem:
                identity = msgspec.structs.replace(identity, problem=problem)
            earnings = shown.get(node.name) or self._earnings(node, identity, now)
            sources = _sources(node, boards[node.name], health.get(node.name, {}))
            known = facts_by_node.get(node.name, {})
            facts = conditions.Facts(
                now=now,
                identity=identity,
                identified=identity.known and not problem,
                conflicts=self._conflicts.get(node.name, ()),
                reads_leaderboard=self._config.reads(node.name, "leaderboard"),
                leaderboard=next((s for s in sources if s.source == "leaderboard"), None),
                process=by_name.get(node.name),
                board=boards[node.name],
                standing=standing,
                earnings=earnings,
                keeps_sums=self._config.keeps_sums(node.name),
                log=_of(known, TrainingLogFacts),
                login=_of(known, LoginFacts),
                blind=self._blind(node.name),
                swarm_round_known=any(f.swarm_round is not None for f in known.values()),
                swarm_idle_since=swarm_idle_since,
                stall_after=self._config.stall_after,
            )
            reward_source = self._config.reward_source(node.name)
            views.append(
                NodeView(
                    node=node,
                    identity=identity,
                    identified=facts.identified,
                    conflicts=facts.conflicts,
                    board=facts.board,
                    standing=standing,
                    earnings=facts.earnings,
                    process=facts.process,
                    reward_source=reward_source,
                    reads_leaderboard=facts.reads_leaderboard,
                    total=totals.get(node.name),
                    blind=facts.blind,
                    verdict=conditions.judge(facts),
                    sources=sources,
                    facts=known,
                )
            )
        return Snapshot(
            time=now,
            nodes=tuple(views),
            board=next((b for b in boards.values() if b is not None), None),
            swarm_last_increase=swarm_last_increase,
            stall_after=self._config.stall_after,
            exporter=ExporterView(
                started=self._started,
                ready=not self._awaited,
                config_ok=not self._config_error,
                config_error=self._config_error,
                config_loaded=self._config_loaded,
                state_saved=self._state_saved,
            ),
            host={type(each.value): each.value for each in host.values()},
            host_sources=tuple(
                _status(_MACHINE, source, seen, up=seen.up)
                for source, seen in health.get(_MACHINE, {}).items()
            ),
        )

    def _totals(
        self, found: Mapping[tuple[str, str], _Fresh[FactsOfNodes]]
    ) -> dict[str, RewardTotal]:
        """Return what each node's reward source tells, where that is one that tells sums."""
        return {
            name: facts.total
            for (source, _), each in found.items()
            for name, facts in each.value.nodes.items()
            if facts.total is not None and self._config.reward_source(name) == source
        }

    def _board_of(self, node: Node, boards: Mapping[str, _Fresh[Board]]) -> Board | None:
        found = boards.get(node.api) if self._config.reads(node.name, "leaderboard") else None
        return found.value if found is not None else None

    def _fresh(self, found: Mapping[K, _Fresh[T]]) -> dict[K, _Fresh[T]]:
        return {k: v for k, v in found.items() if not v.expires.has_passed(self._clock)}

    def _health_by_node(self) -> dict[str, dict[str, _Health]]:
        found: dict[str, dict[str, _Health]] = {}
        for (name, source), health in self._health.items():
            found.setdefault(name, {})[source] = health
        return found

    def _blind(self, node: str) -> tuple[str, ...]:
        """Return what cannot be known of a node, each with what to configure."""
        return blind_spots(self._config.choices.get(node, ()))

    def _earnings(self, node: Node, identity: Identity, now: float) -> Earnings:
        if self._config.keeps_sums(node.name):
            accounts = self._memory.totals.get(self._config.reward_source(node.name), {})
            return accounts.get(node.name, TotalAccount()).earnings(now)
        account = self._memory.accounts.get(node.name, Account())
        return account.earnings(identity.peer_id, now)

    def _swarm_last_increase(self) -> float | None:
        own = [a.last_increase for a in self._memory.accounts.values()]
        own += [a.last_increase for each in self._memory.totals.values() for a in each.values()]
        times = [t for t in [self._memory.swarm_last_increase, *own] if t is not None]
        return max(times, default=None)


def _of(known: Mapping[type[NodeFacts], NodeFacts], kind: type[NodeFactsT]) -> NodeFactsT | None:
    found = known.get(kind)
    return found if isinstance(found, kind) else None


def _sum_of(standing: Standing | None) -> RewardTotal | None:
    """Return a standing's reward as a running sum, where it is one."""
    if standing is None or standing.cumulative_reward is None:
        return None
    return RewardTotal(
        reward=standing.cumulative_reward,
        keeper="leaderboard",
        participation=standing.participation,
    )


def _names(target: Target) -> tuple[str, ...]:
    """Return the nodes that a target's health is told of; that of no node is the machine's."""
    return tuple(node.name for node in target.nodes) or (_MACHINE,)


def _by_node(
    found: Iterable[_Fresh[FactsOfNodes]],
) -> dict[str, dict[type[NodeFacts], NodeFacts]]:
    """Return what each poll says of its nodes as what is said of each node."""
    nodes: dict[str, dict[type[NodeFacts], NodeFacts]] = {}
    for each in found:
        for name, facts in each.value.nodes.items():
            nodes.setdefault(name, {})[type(facts)] = facts
    return nodes


def _sources(
    node: Node, board: Board | None, health: Mapping[str, _Health]
) -> tuple[SourceStatus, ...]:
    return tuple(
        _status(
            node.name, source, seen, up=seen.up and (source != "leaderboard" or board is not None)
        )
        for source, seen in health.items()
    )


def _status(name: str, source: str, health: _Health, *, up: bool) -> SourceStatus:
    return SourceStatus(
        node=name,
        source=source,
        up=up,
        reason=health.reason,
        detail=health.detail,
        duration=health.duration,
        last_success=health.last_success,
        errors=dict(health.errors),
    )


def find_standing(identity: Identity, board: Board | None) -> tuple[Standing | None, str]:
    """Find a node's peer on a board; the text says why it cannot be told, if it cannot.

    A peer id decides alone. Nicknames are not unique (about 13 million combinations).
    """
    if board is None:
        return None, ""
    if identity.peer_id is not None:
        return board.wanted.get(identity.peer_id), ""
    if identity.nickname is None:
        return None, ""
    named = [
        s for s in board.wanted.values() if normalise_nickname(s.nickname) == identity.nickname
    ]
    if len(named) > 1:
        return None, f'{len(named)} peers are called "{identity.nickname}": give --peer-id'
    return (named[0] if named else None), ""


def _conflicts(identities: Mapping[str, Identity]) -> dict[str, tuple[str, ...]]:
    """Return, for each node whose peer another node claims as well, the names of the others."""
    claims: dict[str, list[str]] = {}
    for name, identity in identities.items():
        claim = identity.peer_id or identity.nickname
        if claim is not None:
            claims.setdefault(claim, []).append(name)
    return {
        name: tuple(other for other in names if other != name)
        for names in claims.values()
        if len(names) > 1
        for name in names
    }
