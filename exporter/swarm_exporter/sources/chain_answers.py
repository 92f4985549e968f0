"""What to ask a coordinator contract, and what its answers say: pure, without a network.

A contract of another generation reverts calls that it does not know, without a reason. One that
refuses peers it does not know reverts as well, for a whole list because of one peer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.chain_abi import (
    CURRENT_ROUND,
    CURRENT_STAGE,
    EOA,
    NO_ADDRESS,
    TOTAL_REWARDS,
    TOTAL_WINS,
    UNIQUE_VOTERS,
    VOTE_COUNT,
    Function,
    Revert,
    decode_result,
    decode_revert,
    encode_call,
)
from swarm_exporter.sources.json_rpc import Failed, Outcome, Request, Reverted

#: What a contract lacked, or refused a list for, is tried again after so long.
ASK_AGAIN_SECONDS = 3600.0

#: Functions that take nothing.
FUNCTIONS_OF_SWARM = (CURRENT_ROUND, CURRENT_STAGE, UNIQUE_VOTERS)
#: Functions that tell something of peers: rewards, wins, votes, registered.
FUNCTIONS_OF_PEERS = (TOTAL_REWARDS, TOTAL_WINS, VOTE_COUNT, EOA)

FUNCTIONS_OF_LISTS = (TOTAL_REWARDS, EOA)

#: A function, and the peer that it was asked for: empty for those of the swarm.
Key = tuple[Function, str]


class Question(msgspec.Struct, frozen=True):
    """One call, and the peers that its answer is for."""

    function: Function
    peers: tuple[str, ...] = ()

    @property
    def keys(self) -> list[Key]:
        """Return what its answer has values of."""
        return [(self.function, peer) for peer in self.peers or ("",)]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll has learnt."""

    asked: tuple[Question, ...]
    #: 0 and 1 where it is whether a peer is registered.
    values: Mapping[Key, int]
    reverts: Mapping[Key, Revert]
    failures: tuple[Failed, ...]

    @property
    def round(self) -> int | None:
        """Return the swarm's round."""
        return self.values.get((CURRENT_ROUND, ""))

    @property
    def stage(self) -> int | None:
        """Return the swarm's stage."""
        return self.values.get((CURRENT_STAGE, ""))

    @property
    def unique_voters(self) -> int | None:
        """Return how many peers ever submitted winners."""
        return self.values.get((UNIQUE_VOTERS, ""))

    @property
    def refused_lists(self) -> tuple[Function, ...]:
        """Return the functions that were refused for several peers at once."""
        return tuple(
            question.function
            for question in self.asked
            if len(question.peers) > 1 and question.keys[0] in self.reverts
        )

    @property
    def lacking(self) -> tuple[Function, ...]:
        """Return the functions that were reverted without a reason for everybody."""
        by_function: dict[Function, list[Key]] = {}
        for question in self.asked:
            by_function.setdefault(question.function, []).extend(question.keys)
        return tuple(
            function
            for function, keys in by_function.items()
            if all(self.reverts.get(key) == Revert() for key in keys)
        )

    def with_singles(self, singles: Answers) -> Answers:
        """Return these answers with those of peers asked one by one in the place of lists."""
        instead = {question.function for question in singles.asked}
        return Answers(
            asked=(*(q for q in self.asked if q.function not in instead), *singles.asked),
            values={**self.values, **singles.values},
            reverts={
                **{key: revert for key, revert in self.reverts.items() if key[0] not in instead},
                **singles.reverts,
            },
            failures=self.failures + singles.failures,
        )


class Memory:
    """What a contract was found to lack, and which lists it refused, each for an hour at most."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._lacking: dict[Function, tuple[frozenset[str], float]] = {}
        self._one_by_one: dict[Function, float] = {}

    def lacks(self, function: Function, peers: Sequence[str], now: float) -> bool:
        """Tell whether there is no need to ask: not before an hour, unless a peer is new.

        `now` is monotonic. A function that gives no reason for one peer may know another.
        """
        asked, again = self._lacking.get(function, (frozenset(), now))
        return now < again and asked.issuperset(peers)

    def asks_one_by_one(self, function: Function, now: float) -> bool:
        """Tell whether a list of peers would be refused."""
        return now < self._one_by_one.get(function, now)

    def learn(self, answers: Answers, peers: Sequence[str], now: float) -> None:
        """Remember what the contract lacks, and which functions were asked peer by peer."""
        for question in answers.asked:
            self._lacking.pop(question.function, None)
        for function in answers.lacking:
            self._lacking[function] = (frozenset(peers), now + ASK_AGAIN_SECONDS)
        for function in FUNCTIONS_OF_LISTS:
            asked = sum(question.function == function for question in answers.asked)
            if asked > 1 and not self.asks_one_by_one(function, now):
                self._one_by_one[function] = now + ASK_AGAIN_SECONDS

    def forget(self) -> None:
        """Begin anew: the contract was not the one it should be."""
        self._lacking.clear()
        self._one_by_one.clear()


def questions_for(peers: tuple[str, ...], memory: Memory, now: float) -> list[Question]:
    """Return the calls of one poll, `now` being monotonic. Each peer stands in `peers` once."""
    questions = [
        Question(function) for function in FUNCTIONS_OF_SWARM if not memory.lacks(function, (), now)
    ]
    for function in FUNCTIONS_OF_PEERS:
        if memory.lacks(function, peers, now):
            continue
        if function in FUNCTIONS_OF_LISTS and not memory.asks_one_by_one(function, now):
            questions.append(Question(function, peers))
        else:
            questions += [Question(function, (peer,)) for peer in peers]
    return questions


def request_of(question: Question, contract: str) -> Request:
    """Return the JSON-RPC call of a question. Raises MissingExtraError."""
    function = question.function
    if not function.takes:
        values: tuple[object, ...] = ()
    elif function in FUNCTIONS_OF_LISTS:
        values = (question.peers,)
    else:
        values = question.peers
    call = {"to": contract, "data": encode_call(function, *values)}
    return Request("eth_call", (call, "latest"))


def read_answers(questions: Sequence[Question], outcomes: Sequence[Outcome]) -> Answers:
    """Return what the outcomes of the questions, in the same order, say."""
    values: dict[Key, int] = {}
    reverts: dict[Key, Revert] = {}
    failures: list[Failed] = []
    for question, outcome in zip(questions, outcomes, strict=True):
        if isinstance(outcome, Failed):
            failures.append(outcome)
        elif isinstance(outcome, Reverted):
            revert = decode_revert(outcome.data)
            reverts |= dict.fromkeys(question.keys, revert)
        elif outcome == "0x":
            # No code at the address, or a fallback that takes any call.
            reverts |= dict.fromkeys(question.keys, Revert())
        else:
            try:
                values |= zip(question.keys, _numbers(question, outcome), strict=True)
            except ValueError as problem:
                failures.append(
                    Failed(Reason.INVALID_VALUE, f"{question.function.name} returned {problem}")
                )
    return Answers(asked=tuple(questions), values=values, reverts=reverts, failures=tuple(failures))


def _numbers(question: Question, data: str) -> Sequence[int]:
    """Return a number for each peer of a question. Raises ValueError, also for another count."""
    function = question.function
    value = decode_result(function, data)
    if not function.returns.endswith("[]"):
        return (value,)
    if len(value) != len(question.peers):
        raise ValueError(f"{len(value)} values for {len(question.peers)} peers")
    if function == EOA:
        return [int(address.lower() != NO_ADDRESS) for address in value]
    numbers: Sequence[int] = value
    return numbers
