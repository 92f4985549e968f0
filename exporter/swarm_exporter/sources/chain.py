"""What the swarm's coordinator contract says of the nodes' peers, read through its chain's RPC.

Facts: gensyn-ai/rl-swarm-contracts v0.1.0 to v0.6.0. A contract may be of any generation: what it
lacks is absent, and is no fault.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from swarm_exporter.addresses import origin_of
from swarm_exporter.config import Config
from swarm_exporter.config.chain import Coordinator
from swarm_exporter.durations import format_duration
from swarm_exporter.model import FactsOfNodes, Node, NodeFacts, RewardTotal
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.chain_abi import MissingExtraError, load
from swarm_exporter.sources.chain_answers import (
    FUNCTIONS_OF_PEERS,
    Answers,
    Memory,
    Question,
    questions_for,
    read_answers,
    request_of,
)
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.json_rpc import (
    Failed,
    Outcome,
    Request,
    ask_batch,
)

#: Hosts of RPCs take at most 1000 calls a batch; one node needs two, and all of them five more.
_MOST_CALLS = 1000
#: One answer of a batch takes some 100 bytes, a list's 32 bytes more for each peer.
_BODY_LIMIT = 4 * 1024 * 1024


class ChainFacts(NodeFacts, frozen=True, kw_only=True):
    """What the contract says of one node's peer, and of the swarm; None where it says nothing."""

    #: The name of the contract's preset, or `custom`.
    preset: str
    contract: str
    #: Sum of the integer rewards submitted for the peer. It has no unit, can be negative and fall.
    rewards: int | None = None
    #: How often anybody named the peer as a winner.
    wins: int | None = None
    #: How often the peer submitted winners: the dashboards' "participation".
    votes: int | None = None
    #: Whether the peer is registered with an account.
    registered: bool | None = None
    round: int | None = None
    stage: int | None = None
    #: Peers that ever submitted winners.
    unique_voters: int | None = None

    @property
    def swarm_round(self) -> int | None:
        """The contract's round, where it tells it."""
        return self.round

    @property
    def total(self) -> RewardTotal | None:
        """The rewards, where the contract tells them."""
        if self.rewards is None:
            return None
        return RewardTotal(
            reward=float(self.rewards), keeper=self.contract, participation=self.votes
        )


class ChainSource(Source):
    """Each contract is one target: one batch of calls for all nodes that it is asked for."""

    name = "chain"

    def __init__(self, settings: Callable[[Config, Node], Coordinator | None]) -> None:
        """Begin; `settings` tells which contract is asked for a node."""
        self._settings = settings
        self._ids = itertools.count(1, 2 * _MOST_CALLS)
        self._memories: dict[tuple[str, str], Memory] = {}
        #: Contracts whose chain was asked for since the last failure.
        self._verified: set[Coordinator] = set()
        #: By RPC, the monotonic time before which it asked not to be asked.
        self._silent_until: dict[str, float] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each contract. What was learnt of contracts is forgotten."""
        self._memories.clear()
        self._verified.clear()
        by_contract: dict[tuple[str, str], list[tuple[Node, Coordinator]]] = {}
        for node in config.nodes:
            wanted = self._settings(config, node)
            if wanted is not None:
                by_contract.setdefault(_key(wanted), []).append((node, wanted))
        targets: dict[str, Target] = {}
        for nodes in by_contract.values():
            _, wanted = nodes[0]
            name = f"{wanted.contract} at {origin_of(wanted.rpc)}"
            # Two RPCs of one host may differ in nothing but what must not be shown.
            name += f" ({len(targets) + 1})" if name in targets else ""
            members = tuple(node for node, _ in nodes)
            targets[name] = Target(self.name, name, members, wanted.interval)
        return list(targets.values())

    async def poll(self, target: Target, context: Context) -> Facts:
        """Ask one contract once. Raises SourceError where it told nothing."""
        wanted = self._settings(context.config, target.nodes[0])
        if wanted is None:
            return Facts(FactsOfNodes({}))
        self._keep_silence(wanted.rpc, context)
        peers = {
            node.name: peer_id
            for node in target.nodes
            if (peer_id := _peer_id(context, node.name)) is not None
        }
        if not peers:
            raise SourceError(Reason.NOT_READY, "no peer id of its nodes is known yet")
        memory = self._memories.setdefault(_key(wanted), Memory())
        try:
            answers = await self._ask(wanted, tuple(dict.fromkeys(peers.values())), memory, context)
        except SourceError as error:
            self._verified.discard(wanted)
            if error.retry_after is not None:
                self._silent_until[wanted.rpc] = context.clock.monotonic() + error.retry_after
            raise
        self._verified.add(wanted)
        unknown = [node.name for node in target.nodes if node.name not in peers]
        return Facts(
            FactsOfNodes({name: _facts(wanted, peer, answers) for name, peer in peers.items()}),
            tuple(failed.reason for failed in answers.failures),
            _summary(wanted, answers, peers, unknown),
        )

    def _keep_silence(self, rpc: str, context: Context) -> None:
        left = self._silent_until.get(rpc, 0.0) - context.clock.monotonic()
        if left > 0.0:
            raise SourceError(
                Reason.RATE_LIMITED, f"it asked not to be asked for another {format_duration(left)}"
            )

    async def _ask(
        self, wanted: Coordinator, peers: tuple[str, ...], memory: Memory, context: Context
    ) -> Answers:
        """Ask for everything, and peer by peer for what a list of peers was refused for."""
        now = context.clock.monotonic()
        questions = questions_for(peers, memory, now)
        outcomes = await self._outcomes(wanted, questions, context)
        answers = await asyncio.to_thread(read_answers, questions, outcomes)
        refused = answers.refused_lists
        # Where nothing at all is known of these calls, nothing is known of single peers either.
        if refused and (answers.values or any(r.name for r in answers.reverts.values())):
            single = [Question(function, (peer,)) for function in refused for peer in peers]
            outcomes = await self._outcomes(wanted, single, context)
            answers = answers.with_singles(await asyncio.to_thread(read_answers, single, outcomes))
        if not answers.values:
            memory.forget()
            raise _nothing_told(wanted, answers)
        memory.learn(answers, peers, now)
        return answers

    async def _outcomes(
        self, wanted: Coordinator, questions: Sequence[Question], context: Context
    ) -> list[Outcome]:
        """Return the outcome of each question. Raises SourceError where there is none at all."""
        try:
            # eth-abi takes long to import, and thousands of nodes take long to encode.
            await asyncio.to_thread(load)
            requests = await asyncio.to_thread(
                lambda: [request_of(question, wanted.contract) for question in questions]
            )
        except MissingExtraError as error:
            raise SourceError(Reason.EXTRA_MISSING, str(error)) from None
        verify = wanted not in self._verified
        if verify:
            requests.insert(0, Request("eth_chainId"))
        outcomes: list[Outcome] = []
        for start in range(0, len(requests), _MOST_CALLS):
            outcomes += await ask_batch(
                context.client,
                wanted.rpc,
                requests[start : start + _MOST_CALLS],
                first_id=next(self._ids),
                timeout=context.config.timeout,
                limit=min(context.config.body_limit, _BODY_LIMIT),
            )
            if verify and start == 0:
                _refuse_other_chain(wanted, outcomes.pop(0))
        return outcomes


def _key(wanted: Coordinator) -> tuple[str, str]:
    return wanted.rpc, wanted.contract.lower()


def _peer_id(context: Context, node: str) -> str | None:
    identity = context.identities.get(node)
    return identity.peer_id if identity is not None else None


def _refuse_other_chain(wanted: Coordinator, outcome: Outcome) -> None:
    """Raise SourceError where the RPC is not of the chain that it must be of."""
    if isinstance(outcome, Failed):
        raise SourceError(outcome.reason, f"it does not tell its chain id: {outcome.detail}")
    try:
        found = int(outcome, 16) if isinstance(outcome, str) else None
    except ValueError:
        found = None
    if found is None:
        raise SourceError(Reason.OTHER_CHAIN, "it does not tell its chain id")
    if wanted.chain_id is not None and found != wanted.chain_id:
        raise SourceError(
            Reason.OTHER_CHAIN,
            f"it is of chain {found}, not of {wanted.chain_id}: correct `chain.rpc` or "
            "`chain.chain_id`",
        )


def _nothing_told(wanted: Coordinator, answers: Answers) -> SourceError:
    if answers.failures:
        return SourceError(answers.failures[0].reason, answers.failures[0].detail)
    names = sorted({revert.name for revert in answers.reverts.values() if revert.name})
    why = f"every call was reverted ({', '.join(names)[:200]})" if names else "no call is known"
    return SourceError(
        Reason.NO_CONTRACT,
        f"{why} at {wanted.contract}: it is no coordinator; correct `chain.contract`",
    )


def _facts(wanted: Coordinator, peer: str, answers: Answers) -> ChainFacts:
    rewards, wins, votes, registered = (
        answers.values.get((function, peer)) for function in FUNCTIONS_OF_PEERS
    )
    if registered == 0:
        # Of a peer that it does not know the contract says 0 as well, and that is no figure.
        rewards, wins, votes = rewards or None, wins or None, votes or None
    return ChainFacts(
        preset=wanted.preset,
        contract=wanted.contract,
        rewards=rewards,
        wins=wins,
        votes=votes,
        registered=None if registered is None else bool(registered),
        round=answers.round,
        stage=answers.stage,
        unique_voters=answers.unique_voters,
    )


def _summary(
    wanted: Coordinator, answers: Answers, peers: dict[str, str], unknown: Sequence[str]
) -> str:
    parts = [f"{wanted.preset}: {len(peers)} node{'s' * (len(peers) > 1)}"]
    if answers.round is not None:
        parts.append(f"round {answers.round}")
    if unknown:
        many = len(unknown) > 1
        parts.append(f"left out, of unknown peer id: node{'s' * many} {', '.join(unknown)}")
    if answers.lacking:
        parts.append(f"the contract lacks {', '.join(f.name for f in answers.lacking)}")
    return "; ".join(parts)
