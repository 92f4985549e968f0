"""What a person is told of a mapping, by one live question."""

from __future__ import annotations

import asyncio

import pytest

from http_answers import Answer, answering, of_json
from swarm_exporter.config.mapping import Mapping
from swarm_exporter.json_path import parse_path
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.check_mapping import FieldCheck, MappingCheck, check_mapping
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client

BOARD = {
    "data": {
        "peers": [
            {"id": "QmA", "stats": {}, "rank": 1.5},
            {"id": "QmB", "stats": {"reward": "12", "when": "2025-11-17T10:15:30Z"}, "rank": 2},
        ],
        "count": 2,
    }
}


def check(answer: Answer, **paths: str) -> MappingCheck:
    mapping = Mapping(**{name: parse_path(path) for name, path in paths.items()})

    async def run(url: str) -> MappingCheck:
        async with new_client() as client:
            return await check_mapping(url, mapping, client, timeout=5.0)

    with answering(lambda path: answer) as served:
        try:
            return asyncio.run(run(f"{served.url}/board?key=TOPSECRET"))
        finally:
            assert len(served.asked) == 1


def test_each_field_is_told_with_its_value_and_type():
    found = check(
        of_json(BOARD),
        list="data.peers[]",
        id="id",
        reward="stats.reward",
        reward_at="stats.when",
        total="data.count",
    )
    assert (found.rows, found.ok) == (2, True)
    assert found.fields == (
        FieldCheck(field="list", path="data.peers[]", value="2 rows"),
        FieldCheck(field="id", path="id", value='"QmA"', type="text"),
        # The first row has none: one that has it is shown.
        FieldCheck(field="reward", path="stats.reward", value='"12"', type="text"),
        FieldCheck(
            field="reward_at", path="stats.when", value='"2025-11-17T10:15:30Z"', type="text"
        ),
        FieldCheck(field="total", path="data.count", value="2", type="a number"),
    )


def test_what_leads_nowhere_or_is_of_no_use_is_told_with_the_step():
    found = check(
        of_json(BOARD),
        list="data.peers[]",
        id="peer.id",
        nickname="stats",
        online="id",
        reward="id",
        rank="rank",
        total="total",
    )
    assert not found.ok
    assert {field.field: field.problem for field in found.fields} == {
        "list": "",
        "id": "peer is not there",
        "nickname": "cannot be used as text",
        "online": "cannot be used as true or false",
        "reward": "cannot be used as a number",
        "rank": "cannot be used as a whole number",
        "total": "total is not there",
    }


def test_a_list_that_is_not_there_is_told_with_the_step():
    found = check(of_json(BOARD), list="data.rows[]", id="id")
    assert [field.problem for field in found.fields] == [
        "data.rows is not there",
        "there is no row to look at",
    ]
    assert found.rows == 0


def test_one_peer_without_a_list():
    found = check(of_json({"peerId": "Qm" + "x" * 100, "reward": 5}), id="peerId", reward="reward")
    assert (found.rows, found.ok) == (None, True)
    assert [field.value for field in found.fields] == ['"Qm' + "x" * 56 + "…", "5"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (of_json({}, 429), Reason.RATE_LIMITED),
        (Answer(200, b"<html></html>", "text/html"), Reason.HTML),
        (Answer(200, b"{"), Reason.INVALID_JSON),
        (Answer(302, headers={"location": "/login?key=TOPSECRET"}), Reason.REDIRECT),
    ],
)
def test_without_an_answer_there_is_a_reason(answer, reason):
    with pytest.raises(SourceError) as error:
        check(answer, id="id")
    assert error.value.reason is reason
    assert "TOPSECRET" not in str(error.value)
