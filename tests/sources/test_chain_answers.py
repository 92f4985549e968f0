"""What is asked of a contract and what its answers come to, as laws."""

from __future__ import annotations

from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.chain_abi import EOA, TOTAL_REWARDS, TOTAL_WINS, Revert
from swarm_exporter.sources.chain_answers import (
    ASK_AGAIN_SECONDS,
    FUNCTIONS_OF_PEERS,
    FUNCTIONS_OF_SWARM,
    Memory,
    Question,
    questions_for,
    read_answers,
)
from swarm_exporter.sources.json_rpc import Failed, Outcome, Reverted

PEERS = ("QmA", "QmB", "QmC")
LACKING = Reverted()
FAILED = Failed(Reason.WRONG_SHAPE, "a call was left unanswered")

OUTCOMES = st.one_of(
    st.just(LACKING),
    st.just(Reverted("0x1614b50c")),
    st.just(FAILED),
    st.just("0x"),
    st.text(max_size=8),
    st.binary(max_size=160).map(lambda data: f"0x{data.hex()}"),
    st.integers(0, 2**256 - 1).map(lambda value: f"0x{value:064x}"),
    st.lists(st.integers(-9, 9), max_size=4).map(
        lambda values: "0x" + encode(["int256[]"], [values]).hex()
    ),
)


@given(st.sets(st.sampled_from(PEERS), min_size=1), st.data())
def test_whatever_is_answered_every_number_is_of_somebody_who_was_asked_for(some, data):
    """And each call is a value, a revert or a failure for each of its peers, and only one."""
    peers = tuple(sorted(some))
    questions = questions_for(peers, Memory(), 0.0)
    outcomes: list[Outcome] = [data.draw(OUTCOMES) for _ in questions]
    answers = read_answers(questions, outcomes)
    keys = {key for question in questions for key in question.keys}
    assert not set(answers.values) & set(answers.reverts)
    assert set(answers.values) | set(answers.reverts) <= keys
    lost = [q for q in questions if not {*q.keys} <= {*answers.values} | {*answers.reverts}]
    assert len(lost) == len(answers.failures)
    for question in lost:
        assert not {*question.keys} & {*answers.values}


@given(st.sets(st.sampled_from(PEERS), min_size=1), st.data(), st.floats(0, 3 * ASK_AGAIN_SECONDS))
def test_whatever_was_learnt_everything_is_asked_again_after_an_hour(some, data, now):
    peers = tuple(sorted(some))
    memory = Memory()
    questions = questions_for(peers, memory, now)
    memory.learn(read_answers(questions, [data.draw(OUTCOMES) for _ in questions]), peers, now)
    later = now + ASK_AGAIN_SECONDS
    assert questions_for(peers, memory, later) == questions
    memory.forget()
    assert questions_for(peers, memory, now) == questions


def test_a_function_is_lacking_only_where_nobody_got_an_answer():
    questions = [Question(TOTAL_WINS, (peer,)) for peer in PEERS]
    for outcomes, lacking in (
        ([LACKING] * 3, (TOTAL_WINS,)),
        ([LACKING, "0x", LACKING], (TOTAL_WINS,)),
        ([LACKING, FAILED, LACKING], ()),
        ([LACKING, f"0x{1:064x}", LACKING], ()),
        ([LACKING, Reverted("0x1614b50c"), LACKING], ()),
    ):
        assert read_answers(questions, outcomes).lacking == lacking


def test_peers_one_by_one_stand_in_the_place_of_their_list():
    whole = read_answers([Question(TOTAL_REWARDS, PEERS), Question(EOA, PEERS)], [LACKING, FAILED])
    assert whole.refused_lists == (TOTAL_REWARDS,)
    single = [Question(TOTAL_REWARDS, (peer,)) for peer in PEERS]
    one = "0x" + encode(["int256[]"], [[7]]).hex()
    answers = whole.with_singles(read_answers(single, [one, Reverted("0x1614b50c"), FAILED]))
    assert answers.values == {(TOTAL_REWARDS, "QmA"): 7}
    assert answers.reverts == {(TOTAL_REWARDS, "QmB"): Revert("InvalidVoterPeerId")}
    assert answers.failures == (FAILED, FAILED)
    assert answers.refused_lists == answers.lacking == ()


def test_a_list_of_one_is_refused_for_that_one():
    answers = read_answers([Question(EOA, ("QmA",))], [Reverted("0x1614b50c")])
    assert answers.refused_lists == ()
    assert answers.reverts == {(EOA, "QmA"): Revert("InvalidVoterPeerId")}


def test_lists_take_one_call_and_the_others_one_for_each_peer():
    questions = questions_for(PEERS, Memory(), 0.0)
    assert len(questions) == len(FUNCTIONS_OF_SWARM) + 2 + 2 * len(PEERS)
    assert {q.function for q in questions} == {*FUNCTIONS_OF_SWARM, *FUNCTIONS_OF_PEERS}
