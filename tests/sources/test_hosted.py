"""The hosted dashboard: what it says of a peer, and how politely it is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_answers import Answer, answering, of_json
from support import ManualClock, make_config, make_node
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.config.mapping import Mapping
from swarm_exporter.json_path import parse_path
from swarm_exporter.logs import configure_logging
from swarm_exporter.model import Identity
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.hosted import LONGEST_PAUSE_SECONDS, HostedDashboard
from swarm_exporter.sources.hosted_json import HostedFacts, decode_peer
from swarm_exporter.sources.http import new_client

PEER = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
OTHER = "QmPdfpGBdQjGwNWxMM2LBdq7dEFfrakGxz2XApbB7zkBA8"
NAME = "tall slow flamingo"
WHOLE = {
    "peerId": PEER,
    "peerName": NAME,
    "reward": 1234,
    "score": 56,
    "online": True,
    "rewardTimestamp": "2025-11-17T10:15:30Z",
    "scoreTimestamp": 1_763_374_531,
}
MAPPING = Hosted().mapping
BY_ID = Identity(peer_id=PEER)
BY_NAME = Identity(nickname=NAME)
PAGE = Answer(200, b"<!DOCTYPE html><title>Sign in</title>", "text/html")


class Asker:
    """Polls the source as the poller does, on time that a test owns."""

    def __init__(self, hosted: Hosted, identities: dict[str, Identity], client, **settings) -> None:
        nodes = [make_node(name) for name in identities]
        self.clock = ManualClock()
        self.config = make_config(*nodes, **settings)
        self.identities = identities
        self.source = HostedDashboard(lambda config, node: hosted)
        self.targets = self.source.targets(self.config)
        self._client = client

    async def poll(self, number: int = 0):
        target = self.targets[number]
        context = Context(
            client=self._client,
            clock=self.clock,
            config=self.config,
            identities={node.name: self.identities[node.name] for node in target.nodes},
            first=False,
        )
        return await self.source.poll(target, context)

    async def fault(self, number: int = 0) -> SourceError:
        with pytest.raises(SourceError) as error:
            await self.poll(number)
        return error.value


def facts_of(facts, name: str = "1") -> HostedFacts:
    found = facts.value.nodes[name]
    assert isinstance(found, HostedFacts)
    return found


def drive(answer, scenario, *identities: Identity, hosted=None, userinfo: str = "", **settings):
    """Run `scenario(asker, served)` against a real server."""

    async def run(served):
        url = served.url.replace("://", f"://{userinfo}")
        nodes = {str(n): identity for n, identity in enumerate(identities or (BY_ID,), 1)}
        async with new_client() as client:
            asker = Asker(hosted(url) if hosted else Hosted(url=url), nodes, client, **settings)
            return await scenario(asker, served)

    with answering(answer) as served:
        return asyncio.run(run(served))


def once(answer: Answer, *identities: Identity, **how):
    async def scenario(asker, served):
        return await asker.poll()

    return drive(lambda path: answer, scenario, *identities, **how)


def fault(answer: Answer, *identities: Identity, **how) -> SourceError:
    async def scenario(asker, served):
        return await asker.fault()

    return drive(lambda path: answer, scenario, *identities, **how)


def test_a_whole_answer():
    facts = once(of_json(WHOLE))
    assert facts_of(facts) == HostedFacts(
        reward=1234.0,
        score=56.0,
        online=True,
        peer_id=PEER,
        nickname=NAME,
        reward_at=1_763_374_530.0,
        score_at=1_763_374_531.0,
    )
    assert (facts.defects, facts.summary) == ((), "reward 1234, score 56, online")


def test_a_peer_is_asked_for_by_its_id_and_else_by_its_three_words():
    async def scenario(asker, served):
        await asker.poll(0)
        await asker.poll(1)
        return served.asked

    asked = drive(lambda path: of_json(WHOLE), scenario, BY_ID, BY_NAME)
    assert asked == [f"/api/v1/peer?id={PEER}", "/api/v1/peer?name=tall%20slow%20flamingo"]


def test_an_odd_id_changes_nothing_but_the_query():
    async def scenario(asker, served):
        await asker.fault()
        return served.asked

    odd = Identity(peer_id="Qm&x=1#/../..?")
    assert drive(lambda path: of_json(WHOLE), scenario, odd) == [
        "/api/v1/peer?id=Qm%26x%3D1%23%2F..%2F..%3F"
    ]


def test_a_node_that_nobody_can_name_asks_nothing():
    async def scenario(asker, served):
        error = await asker.fault()
        assert served.asked == []
        return error

    unknown = Identity(problem="no swarm.pem is there yet")
    error = drive(lambda path: of_json(WHOLE), scenario, unknown)
    assert error.reason is Reason.NOT_READY
    assert "no swarm.pem is there yet" in error.detail


PARTS = {
    "figures as text": ({"reward": "-12", "score": "3.5"}, (-12.0, 3.5, True), 0),
    "null": ({"reward": None, "online": None}, (None, 56.0, None), 0),
    "missing": ({"reward": ...}, (None, 56.0, True), 0),
    "a boolean": ({"reward": True}, (None, 56.0, True), 1),
    "an object": ({"score": {"value": 1}}, (1234.0, None, True), 1),
    "NaN": ({"reward": math.nan, "score": -math.inf}, (None, None, True), 2),
    "text NaN": ({"reward": "NaN"}, (None, 56.0, True), 1),
    "huge": ({"reward": 1e300, "score": 10**30}, (None, None, True), 2),
    "online as text": ({"online": "yes"}, (1234.0, 56.0, None), 1),
    "an odd time": ({"rewardTimestamp": "soon"}, (1234.0, 56.0, True), 1),
    "a long name": ({"peerName": "x" * 500}, (1234.0, 56.0, True), 1),
}


@pytest.mark.parametrize(("change", "figures", "defects"), PARTS.values(), ids=PARTS)
def test_one_bad_value_costs_that_value(change, figures, defects):
    body = {name: value for name, value in (WHOLE | change).items() if value is not ...}
    found, lost = decode_peer(json.dumps(body).encode(), MAPPING, PEER, None)
    assert (found.reward, found.score, found.online) == figures
    assert lost == (Reason.INVALID_VALUE,) * defects


def test_a_number_out_of_range_costs_itself_alone():
    body = json.dumps(WHOLE).replace("1234", "1e999").encode()
    found, lost = decode_peer(body, MAPPING, PEER, None)
    assert (found.reward, found.score, lost) == (None, 56.0, (Reason.INVALID_VALUE,))


OTHERS = {
    "another id": (BY_ID, WHOLE | {"peerId": OTHER}),
    "no id": (BY_ID, {"reward": 1}),
    "an id in other letters": (BY_ID, WHOLE | {"peerId": PEER.lower()}),
    "an id that is a number": (BY_ID, WHOLE | {"peerId": 7}),
    "another name": (BY_NAME, WHOLE | {"peerName": "other cat name"}),
    "no name": (BY_NAME, {"peerId": PEER, "reward": 1}),
    "null": (BY_ID, None),
    "a list": (BY_ID, [WHOLE]),
    "text": (BY_ID, "ok"),
    "no figures": (BY_ID, {"peerId": PEER}),
}


@pytest.mark.parametrize(("identity", "body"), OTHERS.values(), ids=OTHERS)
def test_what_is_not_of_this_peer_is_never_shown(identity, body):
    error = fault(of_json(body), identity)
    assert error.reason is Reason.WRONG_SHAPE
    assert error.detail


def test_a_name_is_compared_as_people_write_it():
    answer = of_json(WHOLE | {"peerName": "Tall_Slow Flamingo"})
    assert facts_of(once(answer, BY_NAME)).reward == 1234.0


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists))
def test_whatever_is_answered_no_number_of_another_peer_comes_out(value):
    for body in (WHOLE | {"peerId": value}, value, {"peerId": OTHER, "reward": value}):
        with pytest.raises(SourceError):
            decode_peer(json.dumps(body).encode(), MAPPING, PEER, None)


FAULTS = {
    "not known there": (of_json({"error": "no such peer"}, 404), Reason.NOT_FOUND),
    "no dashboard": (Answer(404, PAGE.body, "text/html"), Reason.HTML),
    "a login page": (PAGE, Reason.HTML),
    "a redirect to a login page": (
        Answer(302, headers={"location": "https://login.example/?next=SECRET"}),
        Reason.REDIRECT,
    ),
    "forbidden": (of_json({}, 403), Reason.HTTP_4XX),
    "too often": (of_json({}, 429), Reason.RATE_LIMITED),
    "too often, with a page": (Answer(429, PAGE.body, "text/html"), Reason.RATE_LIMITED),
    "in trouble": (of_json({}, 500), Reason.HTTP_5XX),
    "a proxy in trouble": (Answer(502, PAGE.body, "text/html"), Reason.HTTP_5XX),
    "half a body": (Answer(200, b'{"peerId": "Qm'), Reason.INVALID_JSON),
    "nothing": (Answer(200, b""), Reason.EMPTY),
    "too much": (Answer(200, b" " * 5000), Reason.TOO_LARGE),
}


@pytest.mark.parametrize(("answer", "reason"), FAULTS.values(), ids=FAULTS)
def test_every_other_answer_gives_its_reason(answer, reason):
    error = fault(answer, body_limit=4096)
    assert error.reason is reason
    assert error.detail
    assert "SECRET" not in error.detail


def test_a_peer_that_is_not_known_there_is_told_so():
    assert "does not know this node's peer" in fault(of_json({}, 404)).detail


def test_a_dashboard_that_is_gone_and_back():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def scenario(asker, served):
        where = [gone]
        asker.source = HostedDashboard(lambda config, node: Hosted(url=where[0]))
        assert (await asker.fault()).reason is Reason.REFUSED
        where[0] = "http://no-such-host.invalid"
        assert (await asker.fault()).reason is Reason.DNS
        where[0] = served.url.replace("http://", "https://")
        assert (await asker.fault()).reason is Reason.TLS
        where[0] = served.url
        assert facts_of(await asker.poll()).reward == 1234.0

    drive(lambda path: of_json(WHOLE), scenario)


def test_two_nodes_of_one_peer_share_each_request():
    async def scenario(asker, served):
        for asked in (1, 2, 3):
            for number in (0, 1):
                facts = await asker.poll(number)
                assert facts_of(facts, str(number + 1)).reward == 1234.0
            assert len(served.asked) == asked
            await asker.clock.advance(60)
        # At the same moment too.
        await asyncio.gather(asker.poll(0), asker.poll(1))
        assert len(served.asked) == 4

    drive(lambda path: of_json(WHOLE), scenario, BY_ID, BY_ID)


def test_a_failure_is_shared_like_an_answer():
    async def scenario(asker, served):
        for number in (0, 1):
            assert (await asker.fault(number)).reason is Reason.NOT_FOUND
        assert len(served.asked) == 1

    drive(lambda path: of_json({}, 404), scenario, BY_ID, BY_ID)


def test_an_answer_that_is_older_than_the_interval_is_not_shared():
    async def scenario(asker, served):
        await asker.poll(0)
        await asker.clock.advance(60)
        await asker.poll(1)
        assert len(served.asked) == 2

    drive(lambda path: of_json(WHOLE), scenario, BY_ID, BY_ID)


def test_nodes_of_different_peers_get_their_own_answers():
    def answer(path: str) -> Answer:
        return of_json(WHOLE | {"peerId": path.partition("=")[2], "reward": len(path)})

    async def scenario(asker, served):
        for number, identity in enumerate((BY_ID, Identity(peer_id=OTHER))):
            facts = facts_of(await asker.poll(number), str(number + 1))
            assert facts.peer_id == identity.peer_id

    drive(answer, scenario, BY_ID, Identity(peer_id=OTHER))


def test_a_dashboard_that_asks_for_peace_gets_it_from_every_node():
    answers = [of_json({}, 429, **{"retry-after": "300"}), of_json(WHOLE)]

    async def scenario(asker, served):
        assert (await asker.fault(0)).retry_after == 300
        await asker.clock.advance(100)
        waiting = await asker.fault(1)
        assert (waiting.reason, waiting.retry_after) == (Reason.RATE_LIMITED, 200)
        assert len(served.asked) == 1
        await asker.clock.advance(200)
        with pytest.raises(SourceError) as error:
            await asker.poll(1)
        assert error.value.reason is Reason.WRONG_SHAPE
        assert len(served.asked) == 2
        assert facts_of(await asker.poll(0)).reward == 1234.0

    def answer(path: str) -> Answer:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    drive(answer, scenario, BY_ID, Identity(peer_id=OTHER))


@pytest.mark.parametrize("calm", [of_json(WHOLE), of_json({}, 404)], ids=["known", "not known"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_storm_is_met_with_longer_and_longer_pauses(status, calm):
    answers = [of_json({}, status)]

    async def scenario(asker, served):
        pauses = []
        for _ in range(7):
            pauses.append((await asker.fault()).retry_after)
            await asker.clock.advance(pauses[-1])
        assert pauses == [60, 120, 240, 480, 900, 900, LONGEST_PAUSE_SECONDS]
        assert len(served.asked) == 7
        answers[0] = calm
        if calm.status == 200:
            await asker.poll()
        else:
            assert (await asker.fault()).reason is Reason.NOT_FOUND
        answers[0] = of_json({}, status)
        assert (await asker.fault()).retry_after == 60

    drive(lambda path: answers[0], scenario)


def test_requests_that_fail_together_count_once():
    def identity(number: int) -> Identity:
        return Identity(peer_id=f"Qm{number}")

    async def scenario(asker, served):
        faults = await asyncio.gather(*(asker.fault(number) for number in range(5)))
        assert {fault.retry_after for fault in faults} == {60}

    drive(lambda path: of_json({}, 500), scenario, *map(identity, range(5)))


def test_a_server_that_hangs_ends_with_the_timeout_and_is_left_alone():
    async def run():
        async def serve(reader, writer) -> None:
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener, new_client() as client:
            error = await Asker(Hosted(url=url), {"1": BY_ID}, client, timeout=0.05).fault()
        assert (error.reason, error.retry_after) == (Reason.TIMEOUT, 60)

    asyncio.run(run())


def test_a_board_of_another_shape_gives_the_peers_row():
    ranks = [{"peerId": OTHER, "totalRewards": 1}, {"peerId": PEER, "totalRewards": "77"}]
    mapping = Mapping(
        list=parse_path("ranks[]"), id=parse_path("peerId"), reward=parse_path("totalRewards")
    )

    def hosted(url: str) -> Hosted:
        return Hosted(url=url, path="/top", mapping=mapping)

    found = facts_of(once(of_json({"ranks": ranks}), hosted=hosted))
    assert (found.reward, found.peer_id) == (77.0, PEER)
    error = fault(of_json({"ranks": ranks[:1]}), hosted=hosted)
    assert (error.reason, error.detail) == (
        Reason.NOT_FOUND,
        "the list does not have this node's peer",
    )


def test_only_nodes_that_a_dashboard_is_configured_for_are_targets():
    source = HostedDashboard(
        lambda config, node: Hosted(interval=90.0) if node.name > "1" else None
    )
    config = make_config(make_node("1"), make_node("2"), make_node("3"))
    assert [(t.key, t.interval) for t in source.targets(config)] == [("2", 90.0), ("3", 90.0)]


CANARY = "CANARY-token"


@pytest.mark.parametrize("status", [200, 302, 400, 404, 429, 500])
def test_credentials_in_the_address_are_sent_and_never_told(status, capsys):
    configure_logging("debug", "text")
    headers = {"location": f"/login?next={CANARY}"}
    answer = Answer(status, f'{{"seen": "{CANARY}"}}'.encode(), headers=headers)
    if status == 200:
        answer = Answer(200, json.dumps(WHOLE | {"peerId": None}).encode())
    error = fault(answer, userinfo=f"me:{CANARY}@")
    logging.getLogger("test").warning("%s %r", error, error)
    told = "".join([error.detail, repr(error), str(error), *capsys.readouterr()])
    assert "127.0.0.1" in told or error.reason in (Reason.REDIRECT, Reason.WRONG_SHAPE)
    assert CANARY not in told
