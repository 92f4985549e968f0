"""The nouns of the program as frozen types: node, identity, standing, board, reading, snapshot.

Data only: nothing here reads a clock, a socket or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar

import msgspec

from swarm_exporter.reasons import Reason


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One RL Swarm training instance on this machine, as the configuration names it."""

    name: str
    #: Base address of its swarm API, without a trailing slash and without credentials in labels.
    api: str
    #: Whether somebody has said so; else it is where the first nodes' APIs are by default.
    api_given: bool = False
    folder: Path | None = None
    peer_id: str | None = None
    nickname: str | None = None
    identity_file: Path | None = None
    #: The person's own static labels; they appear on `swarm_node_info` alone.
    labels: Mapping[str, str] = {}


class IdentityOrigin(str, Enum):
    """Where we learned which peer a node is."""

    CONFIG = "config"
    IDENTITY_FILE = "identity_file"
    LOG = "log"
    UNKNOWN = "unknown"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which peer of the swarm a node is. All unknown is an identity too: nobody could tell."""

    peer_id: str | None = None
    #: Three words, lower case, separated by spaces.
    nickname: str | None = None
    origin: IdentityOrigin = IdentityOrigin.UNKNOWN
    #: Why it is unknown, in one sentence for a person.
    problem: str | None = None

    @property
    def known(self) -> bool:
        """True where there is anything to look for on a board."""
        return self.peer_id is not None or self.nickname is not None


class Stage(msgspec.Struct, frozen=True, order=True):
    """A moment of the swarm's own clock; later moments compare greater."""

    round: int
    stage: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a leaderboard says of one peer. Absent or unusable figures are None, never zero."""

    peer_id: str
    nickname: str
    #: 1-based place in the order in which the API lists the peers.
    rank: int
    #: The API's own running figure; it jumps and falls by design (docs/metrics.md).
    cumulative_reward: float | None = None
    #: Score of the stage in which the peer was last recorded; it starts at zero in each stage.
    last_score: float | None = None
    participation: float | None = None
    #: The stage in which the peer was last recorded.
    recorded: Stage | None = None


class Point(msgspec.Struct, frozen=True):
    """One point of a score history: Unix seconds of the API's poll, and the score it saw."""

    x: float
    y: float


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a leaderboard API, reduced to what is exported and accounted."""

    total_peers: int
    #: Peer ids and nicknames that were looked for: what is not among them may be on the board.
    asked: frozenset[str]
    #: The peers that were found, keyed by peer id.
    wanted: Mapping[str, Standing]
    #: The first K peers, in the API's order.
    top: tuple[Standing, ...]
    #: Quantile (0.5, 0.9, 0.99, 1) of the cumulative reward over all peers; empty without peers.
    quantiles: Mapping[float, float]
    #: The newest stage in which anybody is recorded, and the score of each peer recorded in it.
    newest: Stage | None
    newest_scores: Mapping[str, float]
    #: The swarm's clock; None where the API does not know it or did not answer.
    clock: Stage | None
    #: When the API itself last learned something, Unix seconds.
    data_timestamp: float | None
    #: The API's newest cumulative figures of each wanted peer (upstream keeps 30 polls).
    cumulative_history: Mapping[str, tuple[Point, ...]] = {}
    #: All scores the API remembers of each wanted peer; asked for once after a start.
    score_history: Mapping[str, tuple[Point, ...]] = {}


class NodeProcess(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of one node on this machine. Times are Unix seconds; unknown is None."""

    #: The launcher's word (launcher/state.py): stopped, starting, running, backoff, fatal, …
    state: str
    #: Why, one sentence for a person; empty where there is nothing to say.
    reason: str = ""
    since: float | None = None
    #: False where it was not started by the launcher: it is watched and left alone.
    launched: bool = True
    profile: str = ""
    #: When its command, or its trainer where somebody else started it, was started.
    started: float | None = None
    #: Whether the trainer itself runs, not only the script around it.
    trainer_up: bool | None = None
    waiting_login: bool = False
    #: A question of its command that nobody has configured an answer to.
    question: str = ""
    #: Where a person logs in; None where the profile names no port for it.
    login_port: int | None = None
    #: Ends in a row without a healthy time between them.
    failures: int = 0
    next_start: float | None = None
    restarts: Mapping[str, int] = {}
    #: Why a restart waits for the next submission; empty where none does.
    postponed: str = ""
    submit_period: float | None = None
    last_submit: float | None = None
    submits: Mapping[str, int] = {}
    next_submit: float | None = None
    #: Since when what was earned is not submitted: what a restart would lose.
    unsubmitted_since: float | None = None


class Processes(msgspec.Struct, frozen=True):
    """What runs of each node, by its name; a node of which nothing is known is absent."""

    nodes: Mapping[str, NodeProcess]


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector read of this machine (host/); each has a type of its own.

    Sizes are bytes, times seconds, shares 0 to 1; what could not be read is None or left out.
    """


HostFactsT = TypeVar("HostFactsT", bound=HostFacts)


class RewardTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of rewards that somebody else keeps for a peer; it may fall, and has no unit."""

    reward: float
    #: What keeps it (a contract, a dashboard): the sums of two keepers are not compared.
    keeper: str
    #: How often the peer has submitted winners; None where that is not told.
    participation: float | None = None


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one source (chain, training log, …) says of one node; each has a type of its own.

    Sizes are bytes, times Unix seconds; what is not known is None or left out.
    """

    @property
    def total(self) -> RewardTotal | None:
        """The sum of all rewards of the node's peer, where this source tells one."""
        return None

    @property
    def swarm_round(self) -> int | None:
        """The swarm's round, where this source tells it."""
        return None


NodeFactsT = TypeVar("NodeFactsT", bound=NodeFacts)


class FactsOfNodes(msgspec.Struct, frozen=True):
    """What one poll says of the nodes it was for, by name; of an absent node nothing is known."""

    nodes: Mapping[str, NodeFacts]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll of one source returned, with the time it was taken."""

    #: Unix seconds at the end of the poll.
    time: float
    #: How long the poll took, seconds.
    duration: float
    #: The facts, or None where the poll failed.
    value: Board | Identity | Processes | HostFacts | FactsOfNodes | None
    #: Why it failed; None where it did not.
    failure: Reason | None = None
    #: What is wrong, for the log and the page; never holds a secret.
    detail: str = ""
    #: Defects that cost single values but not the poll, one entry each.
    defects: tuple[Reason, ...] = ()
    #: What was found, in a few words for a person.
    summary: str = ""


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How well one node, or this machine, is seen through one source."""

    #: Empty where the source is of the whole machine.
    node: str
    source: str
    up: bool
    reason: Reason | None
    detail: str
    duration: float | None
    last_success: float | None
    #: Polls and values lost so far, by reason.
    errors: Mapping[Reason, int]


class Earnings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has really earned, corrected for the API's jumps and resets."""

    #: Sum of the last scores of all finished stages that ended above zero.
    earned: float
    #: Sum of the amounts by which finished stages ended below zero; not negative.
    lost: float
    #: When the accounting of this node began, Unix seconds; None before its peer was first seen.
    since: float | None
    #: When it last earned, Unix seconds; None where nobody saw it earn.
    last_increase: float | None
    #: Earned per hour over the last day, or since the exporter was started; None before a whole
    #: stage was watched.
    per_hour: float | None
    #: Last scores of the newest stages, oldest first, the open one last.
    scores: tuple[float, ...] = ()


class Condition(str, Enum):
    """The one answer for a node. A person reads its word, its reason and the next action."""

    EARNING = "earning"
    TRAINING = "training"
    WAITING_SWARM = "waiting_swarm"
    WAITING_LOGIN = "waiting_login"
    WRONG_IDENTITY = "wrong_identity"
    TOO_SLOW = "too_slow"
    CRASH_LOOPING = "crash_looping"
    DOWN = "down"
    SWARM_HALTED = "swarm_halted"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True):
    """A condition with its reason and the next action; both empty where there is nothing to do."""

    condition: Condition
    reason: str = ""
    action: str = ""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one node at one moment."""

    node: Node
    identity: Identity
    #: True where a peer of the board, or the configuration, tells which peer is ours.
    identified: bool
    #: Names of other nodes that claim the same peer.
    conflicts: tuple[str, ...]
    board: Board | None
    standing: Standing | None
    earnings: Earnings
    #: None where nothing is known of its processes.
    process: NodeProcess | None = None
    #: The source that gives this node its reward, chosen at the start; empty where none does.
    reward_source: str = "leaderboard"
    #: Whether it is read through a leaderboard.
    reads_leaderboard: bool = True
    #: What that source says, where it is no leaderboard.
    total: RewardTotal | None = None
    #: What cannot be known of it, each with what to configure.
    blind: tuple[str, ...] = ()
    verdict: Verdict
    sources: tuple[SourceStatus, ...]
    #: What the other sources say of it, by the type of the facts.
    facts: Mapping[type[NodeFacts], NodeFacts] = {}

    @property
    def cumulative_reward(self) -> float | None:
        """What its reward source holds for its peer; None where that says nothing."""
        if self.reward_source == "leaderboard":
            return self.standing.cumulative_reward if self.standing else None
        return self.total.reward if self.total else None

    @property
    def participation(self) -> float | None:
        """How often its peer has voted for winners, where its reward source says it."""
        if self.reward_source == "leaderboard":
            return self.standing.participation if self.standing else None
        return self.total.participation if self.total else None

    def of(self, kind: type[NodeFactsT]) -> NodeFactsT | None:
        """Return the newest facts of one kind; None where they are not known."""
        facts = self.facts.get(kind)
        return facts if isinstance(facts, kind) else None


class ExporterView(msgspec.Struct, frozen=True, kw_only=True):
    """The exporter's own state."""

    started: float
    ready: bool
    config_ok: bool
    config_error: str
    config_loaded: float
    #: False where the last attempt to save the state file failed.
    state_saved: bool


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of every source: the only thing that is rendered."""

    #: Unix seconds of the newest change.
    time: float
    nodes: tuple[NodeView, ...]
    #: The board that stands for the swarm: that of the first node whose API answers.
    board: Board | None
    #: When anybody in the swarm last earned, Unix seconds.
    swarm_last_increase: float | None
    #: Configured stall threshold, seconds.
    stall_after: float
    exporter: ExporterView
    #: What each collector read of this machine, by the type of the facts.
    host: Mapping[type[HostFacts], HostFacts] = {}
    #: How well this machine is seen.
    host_sources: tuple[SourceStatus, ...] = ()

    def of_host(self, kind: type[HostFactsT]) -> HostFactsT | None:
        """Return the newest facts of one collector; None where they are not known."""
        facts = self.host.get(kind)
        return facts if isinstance(facts, kind) else None
