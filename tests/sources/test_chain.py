"""The chain source against an RPC that does what it likes; a real EVM is in tests/real."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sys
from collections.abc import Callable, Mapping

import httpx
import msgspec
import pytest
from eth_abi import encode

from rpc_server import Answering, Contract, http, http_json, rpc_server
from support import ManualClock, make_config, make_node
from swarm_exporter.config.chain import Coordinator
from swarm_exporter.identity import peer_id_from_digest
from swarm_exporter.model import FactsOfNodes, Identity
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts
from swarm_exporter.sources.chain import (
    ChainFacts,
    ChainSource,
)
from swarm_exporter.sources.chain_abi import NO_ADDRESS
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client

CHAIN_ID = 685_685
CONTRACT = "0x" + "c0" * 20
ACCOUNT = "0x" + "11" * 20
KEY = "s3cr3t-k3y-0123456789"


def peer(name: str) -> str:
    return peer_id_from_digest(hashlib.sha256(name.encode()).digest())


ANT, BEE, CAT = (peer(name) for name in ("ant", "bee", "cat"))
Peers = tuple[str, ...]


def number(value: int) -> str:
    return f"0x{value:064x}"


def numbers(values: list[int]) -> str:
    return "0x" + encode(["int256[]"], [values]).hex()


def accounts(values: list[str]) -> str:
    return "0x" + encode(["address[]"], [values]).hex()


def of_peers(table: Mapping[str, int]) -> Callable[[Peers], str]:
    return lambda peers: numbers([table.get(peer, 0) for peer in peers])


def whole(**other: object) -> Contract:
    """A contract with every function; ant has earned 913 and bee -7."""
    results = {
        "currentRound": number(412),
        "currentStage": number(1),
        "uniqueVoters": number(30),
        "getTotalRewards": of_peers({ANT: 913, BEE: -7}),
        "getTotalWins": lambda peers: number({ANT: 5}.get(*peers, 2)),
        "getVoterVoteCount": lambda peers: number({ANT: 6}.get(*peers, 3)),
        "getEoa": lambda peers: accounts([ACCOUNT] * len(peers)),
    }
    return Contract(CHAIN_ID, results | other)


def reverted(data: str = "0x") -> dict[str, object]:
    return {"code": 3, "message": "execution reverted", "data": data}


#: InvalidVoterPeerId()
UNKNOWN_PEER = reverted("0x1614b50c")


class Session:
    """One source, polled again and again; the RPC, the peers and the time change as a test says."""

    def __init__(self, *peers: str | None, **wanted: object) -> None:
        self.clock = ManualClock()
        self.peers = peers
        self._more = wanted
        self.wanted: Coordinator | None = None
        self.source = ChainSource(lambda config, node: self.wanted)
        self.host = "127.0.0.1"

    def poll(self, answering: Answering) -> Facts:
        return asyncio.run(self._poll(answering))

    def fault(self, answering: Answering | bytes) -> SourceError:
        with pytest.raises(SourceError) as error:
            self.poll(answering if callable(answering) else lambda _: answering)
        assert KEY not in str(error.value)
        return error.value

    async def _poll(self, answering: Answering) -> Facts:
        async with rpc_server(answering) as port, new_client() as client:
            # The port of an RPC does not change, but ours is another one each time.
            routed = _Routed(client, self.host, port)
            if self.wanted is None:
                facts = {
                    "preset": "codezero",
                    "contract": CONTRACT,
                    "rpc": f"http://{self.host}:9/v2/{KEY}",
                    "chain_id": CHAIN_ID,
                }
                self.wanted = Coordinator(**{**facts, **self._more})
                self.nodes = [make_node(str(n)) for n, _ in enumerate(self.peers, 1)]
                (self.target,) = self.source.targets(make_config(*self.nodes))
            identities = {
                node.name: Identity(peer_id=id_)
                for node, id_ in zip(self.nodes, self.peers, strict=True)
            }
            context = Context(
                client=routed,
                clock=self.clock,
                config=make_config(*self.nodes),
                identities=identities,
                first=True,
            )
            return await self.source.poll(self.target, context)


class _Routed:
    """A client that finds port 9 of the host elsewhere."""

    def __init__(self, client: httpx.AsyncClient, host: str, port: int) -> None:
        self._client = client
        self._there = (f"http://{host}:9/", f"http://{host}:{port}/")

    def stream(self, method: str, url: str, **more: object):
        return self._client.stream(method, url.replace(*self._there), **more)


def nodes_of(facts: Facts) -> dict[str, ChainFacts]:
    assert isinstance(facts.value, FactsOfNodes)
    return dict(facts.value.nodes)


def calls(contract: Contract, batch: int = -1) -> list[str]:
    return [name for name, _ in contract.batches[batch]]


def test_all_nodes_are_asked_for_in_one_batch():
    contract = whole()
    facts = Session(ANT, BEE, CAT).poll(contract)
    assert facts.defects == ()
    assert len(contract.batches) == 1
    assert contract.batches[0] == [
        ("eth_chainId", ()),
        ("currentRound", ()),
        ("currentStage", ()),
        ("uniqueVoters", ()),
        ("getTotalRewards", (ANT, BEE, CAT)),
        *(("getTotalWins", (peer,)) for peer in (ANT, BEE, CAT)),
        *(("getVoterVoteCount", (peer,)) for peer in (ANT, BEE, CAT)),
        ("getEoa", (ANT, BEE, CAT)),
    ]
    found = nodes_of(facts)
    assert found["1"] == ChainFacts(
        preset="codezero",
        contract=CONTRACT,
        rewards=913,
        wins=5,
        votes=6,
        registered=True,
        round=412,
        stage=1,
        unique_voters=30,
    )
    assert [found[node].rewards for node in "123"] == [913, -7, 0]
    assert facts.summary == "codezero: 3 nodes; round 412"


def test_two_nodes_of_one_peer_are_asked_for_once():
    contract = whole()
    found = nodes_of(Session(ANT, ANT).poll(contract))
    assert ("getTotalRewards", (ANT,)) in contract.batches[0]
    assert found["1"].rewards == found["2"].rewards == 913


def test_a_batch_in_another_order_gives_the_same():
    contract = whole()
    facts = Session(ANT, BEE).poll(lambda batch: http_json(contract.answers(batch)[::-1]))
    assert facts == Session(ANT, BEE).poll(whole())


def test_a_node_of_unknown_peer_id_is_left_out():
    contract = whole()
    facts = Session(None, ANT, None).poll(contract)
    assert set(nodes_of(facts)) == {"2"}
    assert facts.summary.endswith("; left out, of unknown peer id: nodes 1, 3")
    assert ("getTotalRewards", (ANT,)) in contract.batches[0]


def test_without_any_peer_id_nothing_is_asked():
    contract = whole()
    assert Session(None, None).fault(contract).reason is Reason.NOT_READY
    assert contract.batches == []


def test_a_peer_that_is_not_registered_has_no_figures_but_those_it_has():
    contract = whole(
        getEoa=lambda peers: accounts([NO_ADDRESS] * len(peers)),
        getTotalWins=number(0),
        getVoterVoteCount=number(0),
    )
    found = nodes_of(Session(ANT, CAT).poll(contract))
    assert (found["2"].rewards, found["2"].wins, found["2"].votes) == (None, None, None)
    assert found["2"].registered is False
    assert found["2"].round == 412
    assert (found["1"].rewards, found["1"].registered) == (913, False)


def test_rewards_may_be_as_low_and_high_as_the_contract_can_hold():
    contract = whole(getTotalRewards=numbers([-(2**255), 2**255 - 1]))
    found = nodes_of(Session(ANT, BEE).poll(contract))
    assert (found["1"].rewards, found["2"].rewards) == (-(2**255), 2**255 - 1)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_of_another_length_gives_nobody_a_number(count):
    facts = Session(ANT, BEE).poll(whole(getTotalRewards=numbers([913] * count)))
    assert facts.defects == (Reason.INVALID_VALUE,)
    assert [node.rewards for node in nodes_of(facts).values()] == [None, None]
    assert nodes_of(facts)["1"].wins == 5


@pytest.mark.parametrize("result", [None, 7, "0x12", "yes", [], {"x": 1}], ids=repr)
def test_one_bad_result_costs_one_value(result):
    def answering(batch):
        answers = contract.answers(batch)
        place = calls(contract).index("currentRound")
        answers[place]["result"] = result
        return http_json(answers)

    contract = whole()
    facts = Session(ANT).poll(answering)
    assert facts.defects == (Reason.INVALID_VALUE,)
    assert nodes_of(facts)["1"].round is None
    assert nodes_of(facts)["1"].stage == 1


def test_half_a_batch_costs_the_other_half():
    contract = whole()
    facts = Session(ANT, BEE).poll(lambda batch: http_json(contract.answers(batch)[:5]))
    found = nodes_of(facts)
    assert (found["1"].rewards, found["1"].round) == (913, 412)
    assert (found["1"].wins, found["1"].registered) == (None, None)
    assert facts.defects == (Reason.WRONG_SHAPE,) * 5


def test_an_answer_to_an_earlier_batch_is_none():
    session, earlier = Session(ANT), whole()
    kept: list[bytes] = []

    def answering(batch):
        kept.append(http_json(earlier.answers(batch)))
        return kept[0]

    session.poll(answering)
    assert session.fault(answering).reason is Reason.WRONG_SHAPE
    assert len(kept) == 2


def test_calls_over_the_rate_cost_their_values_alone():
    contract = whole(getTotalWins={"code": 429, "message": f"slower, {KEY}"})
    facts = Session(ANT).poll(contract)
    assert facts.defects == (Reason.RATE_LIMITED,)
    assert nodes_of(facts)["1"].wins is None
    assert nodes_of(facts)["1"].rewards == 913


def test_where_every_call_fails_the_poll_does():
    failing = {"code": -32603, "message": f"header not found {KEY}"}
    contract = Contract(CHAIN_ID, dict.fromkeys(whole().results, failing))
    error = Session(ANT).fault(contract)
    assert error.reason is Reason.RPC_ERROR
    assert error.detail == "error -32603: header not found …"


def test_another_chain_is_no_answer():
    contract = whole()
    contract.chain_id = 1
    error = Session(ANT).fault(contract)
    assert error.reason is Reason.OTHER_CHAIN
    assert error.detail.startswith("it is of chain 1, not of 685685: correct `chain.rpc`")


def test_any_chain_will_do_where_none_is_named():
    contract = whole()
    contract.chain_id = 31_337
    assert nodes_of(Session(ANT, chain_id=None).poll(contract))["1"].rewards == 913


@pytest.mark.parametrize("answer", [{"result": "no"}, {"error": reverted()}, {"error": {}}])
def test_an_rpc_that_does_not_tell_its_chain_is_not_read(answer):
    contract = whole()

    def answering(batch):
        answers = contract.answers(batch)
        answers[0] = {"id": answers[0]["id"], **answer}
        return http_json(answers)

    error = Session(ANT).fault(answering)
    assert "does not tell its chain id" in error.detail


def test_the_chain_is_asked_for_at_first_and_after_each_failure():
    session, contract = Session(ANT), whole()
    session.poll(contract)
    session.poll(contract)
    assert [names[0] for names in (calls(contract, 0), calls(contract, 1))] == [
        "eth_chainId",
        "currentRound",
    ]
    session.fault(http(b"", status="502 Bad Gateway"))
    # Behind the same name stands another chain now.
    contract.chain_id = 1
    assert session.fault(contract).reason is Reason.OTHER_CHAIN
    contract.chain_id = CHAIN_ID
    session.poll(contract)
    assert calls(contract)[0] == "eth_chainId"


def test_an_address_without_a_contract():
    contract = Contract(CHAIN_ID, dict.fromkeys(whole().results, "0x"))
    error = Session(ANT, BEE).fault(contract)
    assert error.reason is Reason.NO_CONTRACT
    assert CONTRACT in error.detail
    assert len(contract.batches) == 1


def test_a_contract_that_is_another_one():
    contract = Contract(CHAIN_ID, dict.fromkeys(whole().results, reverted("0xdeadbeef")))
    error = Session(ANT).fault(contract)
    assert error.reason is Reason.NO_CONTRACT
    assert "unknown error 0xdeadbeef" in error.detail


def early() -> Contract:
    contract = whole()
    for name in ("uniqueVoters", "getTotalWins", "getEoa"):
        del contract.results[name]
    return contract


def test_what_a_contract_lacks_is_absent_and_no_fault():
    session, contract = Session(ANT, BEE), early()
    facts = session.poll(contract)
    assert facts.defects == ()
    found = nodes_of(facts)["1"]
    assert (found.unique_voters, found.wins, found.registered) == (None, None, None)
    assert (found.rewards, found.votes, found.round) == (913, 6, 412)
    assert "the contract lacks uniqueVoters, getTotalWins, getEoa" in facts.summary


def test_what_a_contract_lacks_is_not_asked_for_within_an_hour():
    session, contract = Session(ANT), early()
    session.poll(contract)
    asyncio.run(session.clock.advance(3599))
    session.poll(contract)
    assert calls(contract) == [
        "currentRound",
        "currentStage",
        "getTotalRewards",
        "getVoterVoteCount",
    ]
    asyncio.run(session.clock.advance(1))
    # The contract behind a proxy was replaced meanwhile.
    contract.results |= whole().results
    facts = session.poll(contract)
    assert nodes_of(facts)["1"].wins == 5
    session.poll(contract)
    assert calls(contract) == [name for name in calls(contract, 0) if name != "eth_chainId"]


def test_a_new_configuration_asks_for_everything_again():
    session, contract = Session(ANT), early()
    session.poll(contract)
    session.source.targets(make_config(make_node("1")))
    session.poll(contract)
    assert calls(contract) == calls(contract, 0)


def test_a_new_peer_may_have_what_another_had_not():
    wins = {BEE: number(4)}
    contract = whole(getTotalWins=lambda peers: wins.get(*peers, reverted()))
    session = Session(ANT, None)
    assert nodes_of(session.poll(contract))["1"].wins is None
    session.peers = (ANT, BEE)
    found = nodes_of(session.poll(contract))
    assert (found["1"].wins, found["2"].wins) == (None, 4)
    session.poll(contract)
    assert calls(contract).count("getTotalWins") == 2


def strict() -> Contract:
    """A contract that refuses cat, whom it does not know."""

    def refusing(answer: Callable[[Peers], str]) -> Callable[[Peers], object]:
        return lambda peers: UNKNOWN_PEER if CAT in peers else answer(peers)

    contract = whole()
    for name in ("getTotalRewards", "getTotalWins", "getVoterVoteCount", "getEoa"):
        contract.results[name] = refusing(contract.results[name])
    return contract


def test_one_unknown_peer_costs_its_own_values_alone():
    session, contract = Session(ANT, CAT, BEE), strict()
    facts = session.poll(contract)
    assert facts.defects == ()
    found = nodes_of(facts)
    assert [found[node].rewards for node in "123"] == [913, None, -7]
    assert [found[node].wins for node in "123"] == [5, None, 2]
    assert [found[node].registered for node in "123"] == [True, None, True]
    assert found["2"].round == 412
    assert contract.batches[1] == [
        ("eth_chainId", ()),
        *(("getTotalRewards", (peer,)) for peer in (ANT, CAT, BEE)),
        *(("getEoa", (peer,)) for peer in (ANT, CAT, BEE)),
    ]


def test_lists_that_were_refused_are_asked_one_by_one_for_an_hour():
    session, contract = Session(ANT, CAT), strict()
    first = session.poll(contract)
    assert len(contract.batches) == 2
    assert nodes_of(session.poll(contract)) == nodes_of(first)
    assert len(contract.batches) == 3
    for _ in range(2):
        asyncio.run(session.clock.advance(3600))
        # Once again together, which is refused again, and then not before another hour.
        batches = len(contract.batches)
        session.poll(contract)
        assert len(contract.batches) == batches + 2
        session.poll(contract)
        assert len(contract.batches) == batches + 3


def test_an_rpc_that_asks_for_a_pause_gets_it():
    session, contract = Session(ANT), whole()
    session.fault(http(b"", status="429 Too Many Requests", more="retry-after: 900\r\n"))
    asyncio.run(session.clock.advance(899))
    error = session.fault(contract)
    assert error.reason is Reason.RATE_LIMITED
    assert contract.batches == []
    asyncio.run(session.clock.advance(1))
    assert nodes_of(session.poll(contract))["1"].rewards == 913


def test_a_pause_outlives_a_new_configuration():
    session = Session(ANT)
    session.fault(http(b"", status="503 Away", more="retry-after: 60\r\n"))
    session.source.targets(make_config(make_node("1")))
    contract = whole()
    session.fault(contract)
    assert contract.batches == []


def test_a_storm_of_errors_ends_in_figures():
    session, contract = Session(ANT), whole()
    for status, reason in (
        ("500 Oops", Reason.HTTP_5XX),
        ("429 Too Many Requests", Reason.RATE_LIMITED),
        ("503 Away", Reason.HTTP_5XX),
        ("401 Unauthorized", Reason.HTTP_4XX),
    ):
        assert session.fault(http(b"{}", status=status)).reason is reason
    assert nodes_of(session.poll(contract))["1"].rewards == 913


def test_dns_that_is_gone_and_back(monkeypatch):
    session, contract = Session(ANT), whole()
    session.host = "rpc.example"
    known = [True]
    real = socket.getaddrinfo

    def look_up(host, *more, **how):
        # anyio asks with bytes.
        if host not in ("rpc.example", b"rpc.example"):
            return real(host, *more, **how)
        if not known[0]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    session.poll(contract)
    known[0] = False
    assert session.fault(contract).reason is Reason.DNS
    known[0] = True
    assert nodes_of(session.poll(contract))["1"].rewards == 913
    assert calls(contract)[0] == "eth_chainId"


def test_without_eth_abi_the_fault_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "eth_abi", None)
    contract = whole()
    error = Session(ANT).fault(contract)
    assert error.reason is Reason.EXTRA_MISSING
    assert 'pip install "swarm-exporter[chain]"' in error.detail
    assert contract.batches == []


def test_many_nodes_are_asked_for_in_batches_that_hosts_take():
    peers = [peer(f"many {n}") for n in range(600)]
    contract = whole()
    facts = Session(*peers).poll(contract)
    assert [len(batch) for batch in contract.batches] == [1000, 206]
    found = nodes_of(facts)
    assert len(found) == 600
    assert all(node.wins == 2 and node.votes == 3 for node in found.values())


def test_a_contract_is_one_target_however_it_is_written():
    base = Coordinator(preset="x", contract=CONTRACT, rpc="http://h/a", chain_id=1, interval=60.0)
    other = {
        "2": msgspec.structs.replace(base, contract="0x" + "C0" * 20),
        "3": msgspec.structs.replace(base, rpc=f"http://h/{KEY}"),
        "4": msgspec.structs.replace(base, contract="0x" + "d0" * 20),
        "5": None,
    }
    source = ChainSource(lambda config, node: other.get(node.name, base))
    targets = source.targets(make_config(*(make_node(name) for name in "12345")))
    assert [[node.name for node in target.nodes] for target in targets] == [
        ["1", "2"],
        ["3"],
        ["4"],
    ]
    assert len({target.key for target in targets}) == 3
    assert {target.interval for target in targets} == {60.0}
    assert KEY not in json.dumps([target.key for target in targets])
