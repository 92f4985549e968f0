"""Rewards from a real EVM over real JSON-RPC: a contract of the project's own on a local chain."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess

import pytest

from chain_node import CHAIN_ID, COMPILED, CONTRACTS, Chain, node_program
from support import ManualClock, make_config, make_node
from swarm_exporter.config.chain import Coordinator
from swarm_exporter.identity import peer_id_from_digest
from swarm_exporter.model import Identity
from swarm_exporter.sources.base import Context, Facts
from swarm_exporter.sources.chain import ChainFacts, ChainSource
from swarm_exporter.sources.chain_abi import FUNCTIONS, Revert, decode_result, decode_revert
from swarm_exporter.sources.chain_abi import encode_call as encode
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.json_rpc import Failed, Request, Reverted, ask_batch

pytestmark = pytest.mark.real

REGISTER = "registerPeer(string)"
REWARD = "submitReward(uint256,uint256,int256,string)"
WINNERS = "submitWinners(uint256,string[],string)"


def peer(name: str) -> str:
    return peer_id_from_digest(hashlib.sha256(name.encode()).digest())


ANT, BEE, CAT, NOBODY = (peer(name) for name in ("ant", "bee", "cat", "nobody"))


def populated(chain: Chain, name: str) -> str:
    """A contract in round 412 that knows ant (of one account), bee and cat (of another)."""
    contract = chain.deploy(name)
    chain.submit(contract, "advance(uint256,uint256)", 412, 0)
    for animal, account in ((ANT, 0), (BEE, 1), (CAT, 1)):
        chain.submit(contract, REGISTER, animal, account=account)
    chain.submit(contract, REWARD, 410, 0, 900, ANT)
    chain.submit(contract, REWARD, 412, 0, 13, ANT)
    chain.submit(contract, REWARD, 412, 0, -7, BEE, account=1)
    chain.submit(contract, WINNERS, 411, [ANT], ANT)
    chain.submit(contract, WINNERS, 412, [ANT, BEE], ANT)
    chain.submit(contract, WINNERS, 412, [BEE], BEE, account=1)
    return contract


@pytest.fixture(scope="module")
def full(chain: Chain) -> str:
    return populated(chain, "FullCoordinator")


@pytest.fixture(scope="module")
def strict(chain: Chain) -> str:
    return populated(chain, "StrictCoordinator")


@pytest.fixture(scope="module")
def early(chain: Chain) -> str:
    return populated(chain, "EarlyCoordinator")


def read(chain: Chain, contract: str, *peers: str, chain_id: int = CHAIN_ID) -> Facts:
    """What the source says of nodes 1, 2, … with these peers."""
    wanted = Coordinator(preset="custom", contract=contract, rpc=chain.url, chain_id=chain_id)
    source = ChainSource(lambda config, node: wanted)
    nodes = [make_node(str(place)) for place, _ in enumerate(peers, 1)]
    config = make_config(*nodes)

    async def run() -> Facts:
        (target,) = source.targets(config)
        async with new_client() as client:
            context = Context(
                client=client,
                clock=ManualClock(),
                config=config,
                identities={
                    node.name: Identity(peer_id=id_) for node, id_ in zip(nodes, peers, strict=True)
                },
                first=True,
            )
            return await source.poll(target, context)

    return asyncio.run(run())


def figures(facts: Facts) -> dict[str, tuple[object, ...]]:
    found = {}
    for name, node in facts.value.nodes.items():
        assert isinstance(node, ChainFacts)
        found[name] = (node.rewards, node.wins, node.votes, node.registered)
    return found


def test_rewards_wins_and_votes_are_read(chain, full):
    facts = read(chain, full, ANT, BEE, CAT)
    assert facts.defects == ()
    assert figures(facts) == {
        "1": (913, 2, 2, True),
        "2": (-7, 2, 1, True),
        "3": (0, 0, 0, True),
    }
    for node in facts.value.nodes.values():
        assert (node.round, node.stage, node.unique_voters) == (412, 0, 2)
    assert facts.summary == "custom: 3 nodes; round 412"


def test_a_sum_that_fell_is_what_it_is(chain):
    contract = populated(chain, "FullCoordinator")
    chain.submit(contract, REWARD, 411, 0, -1000, ANT)
    assert figures(read(chain, contract, ANT))["1"][0] == -87


def test_an_unknown_peer_has_no_figures(chain, full):
    facts = read(chain, full, ANT, NOBODY)
    assert facts.defects == ()
    assert figures(facts) == {"1": (913, 2, 2, True), "2": (None, None, None, False)}


def test_a_contract_that_refuses_unknown_peers_costs_their_figures_alone(chain, strict):
    facts = read(chain, strict, ANT, NOBODY, BEE)
    assert facts.defects == ()
    assert figures(facts) == {
        "1": (913, 2, 2, True),
        "2": (None, None, None, False),
        "3": (-7, 2, 1, True),
    }


def test_a_contract_of_an_earlier_generation_gives_what_it_has(chain, early):
    facts = read(chain, early, ANT, BEE)
    assert facts.defects == ()
    assert figures(facts) == {"1": (913, None, None, None), "2": (-7, None, None, None)}
    assert facts.value.nodes["1"].round == 412
    assert facts.value.nodes["1"].unique_voters is None
    assert facts.summary.endswith(
        "the contract lacks uniqueVoters, getTotalWins, getVoterVoteCount, getEoa"
    )


def test_an_address_without_a_contract_is_said(chain):
    with pytest.raises(SourceError, match=r"correct `chain\.contract`"):
        read(chain, "0x" + "ab" * 20, ANT, BEE)


def test_another_chain_is_not_read(chain, full):
    with pytest.raises(SourceError, match=r"of chain 685685, not of 1: "):
        read(chain, full, ANT, chain_id=1)


def outcomes(chain: Chain, *requests: Request) -> list[str | Failed | Reverted]:
    async def run() -> list[str | Failed | Reverted]:
        async with new_client() as client:
            return await ask_batch(client, chain.url, requests, first_id=1, timeout=30, limit=10**6)

    return asyncio.run(run())


def call(contract: str, data: str, account: str | None = None) -> Request:
    about = {"to": contract, "data": data}
    return Request("eth_call", (about | ({"from": account} if account else {}), "latest"))


def test_the_peers_of_an_account_are_read(chain, full):
    function = FUNCTIONS["getPeerId(address[])"]
    accounts = [chain.accounts[place] for place in (1, 0, 2)]
    (found,) = outcomes(chain, call(full, encode(function, accounts)))
    assert decode_result(function, found) == ((BEE, CAT), (ANT,), ())


def test_the_contracts_own_errors_have_their_names(chain, strict):
    rewards = FUNCTIONS["getTotalRewards(string[])"]
    votes = FUNCTIONS["getVoterVoteCount(string)"]
    found = outcomes(
        chain,
        call(strict, encode(rewards, [NOBODY])),
        call(strict, encode(votes, NOBODY)),
        call(strict, "0xdeadbeef"),
    )
    assert [decode_revert(outcome.data) for outcome in found] == [
        Revert("InvalidVoterPeerId"),
        Revert("Error: nobody votes by this id"),
        Revert(),
    ]


def test_the_compiled_contract_is_that_of_the_source():
    command = node_program("solc", "index.js")
    result = subprocess.run(
        [command[0], str(CONTRACTS / "compile.js")],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert json.loads(result.stdout) == json.loads(COMPILED.read_text())
