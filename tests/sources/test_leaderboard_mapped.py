"""A board of a community's own shape gives what upstream's shape gives."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.config.mapping import Mapping
from swarm_exporter.json_path import parse_path
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.leaderboard_json import decode_board
from swarm_exporter.sources.leaderboard_mapped import decode_mapped_board


def mapping(**paths: str) -> Mapping:
    return Mapping(**{name: parse_path(path) for name, path in paths.items()})


UPSTREAM = mapping(
    list="leaders[]",
    id="id",
    nickname="nickname",
    reward="cumulativeScore",
    score="lastScore",
    total="total",
    round="recordedRound",
    stage="recordedStage",
)
OWN = mapping(
    list="data.peers[]",
    id='"peer.id"',
    nickname="who.name",
    reward="stats.reward",
    score="stats.last",
    participation="stats.votes",
    total="data.count",
    rank="place",
)


def peer(peer_id: object = "QmA", **more) -> dict[str, object]:
    stats = {"reward": 5, "last": "1.5", "votes": 3}
    return {"peer.id": peer_id, "who": {"name": "tall slow eel"}, "stats": stats, "place": 1} | more


def board(*peers: object, **data) -> bytes:
    return json.dumps({"data": {"peers": peers, **data}}).encode()


def told(table):
    return [
        (place, row.id, row.nickname, row.cumulative, row.last_score, row.recorded)
        for place, row in table.rows
    ]


figures = st.none() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
upstream_rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=12)},
        optional={
            "nickname": st.text(max_size=12),
            "cumulativeScore": figures,
            "lastScore": figures,
            "recordedRound": st.none() | st.integers(-2, 99),
            "recordedStage": st.none() | st.integers(0, 2),
        },
    ),
    max_size=6,
)


@given(upstream_rows, st.none() | st.integers(-1, 99))
def test_upstreams_own_shape_gives_the_same_table_through_a_mapping(rows, total):
    body = json.dumps({"leaders": rows, "total": total}).encode()
    own, mapped = decode_board(body), decode_mapped_board(body, UPSTREAM)
    assert told(own) == told(mapped)
    assert own.total == mapped.total


def test_a_board_of_another_shape():
    table = decode_mapped_board(
        board(peer(place=2), peer("QmB", place="1"), count=900),
        OWN,
    )
    assert told(table) == [
        (1, "QmB", "tall slow eel", 5.0, 1.5, None),
        (2, "QmA", "tall slow eel", 5.0, 1.5, None),
    ]
    assert [row.participation for _, row in table.rows] == [3.0, 3.0]
    assert (table.total, table.defects) == (900, ())


def test_a_list_at_the_root_and_one_keyed_by_id():
    rows = decode_mapped_board(b'[{"id": "QmA", "r": 1}]', mapping(list="[]", id="id", reward="r"))
    keyed = decode_mapped_board(b'{"QmA": {"r": 1}}', mapping(list="*", id="@key", reward="r"))
    assert told(rows) == told(keyed) == [(1, "QmA", "", 1.0, None, None)]


def test_without_a_rank_the_position_is_the_place():
    by_position = mapping(list="data.peers[]", id='"peer.id"')
    table = decode_mapped_board(board(peer("QmB"), {}, peer("QmA")), by_position)
    assert [(place, row.id) for place, row in table.rows] == [(1, "QmB"), (3, "QmA")]
    assert (table.total, table.defects) == (3, (Reason.INVALID_VALUE,))


@pytest.mark.parametrize("place", [0, -1, 1.5, "first", True, None])
def test_an_impossible_rank_is_the_position(place):
    table = decode_mapped_board(board(peer("QmB", place=1), peer("QmA", place=place)), OWN)
    assert [(where, row.id) for where, row in table.rows] == [(1, "QmB"), (2, "QmA")]
    assert table.defects == (() if place is None else (Reason.INVALID_VALUE,))


UNUSABLE = {
    "an id that is a number": (peer(7), Reason.INVALID_VALUE),
    "no id": ({"place": 3}, Reason.INVALID_VALUE),
    "an empty id": (peer(""), Reason.INVALID_VALUE),
    "a long id": (peer("Q" * 129), Reason.INVALID_VALUE),
    "no object": ("QmA", Reason.INVALID_VALUE),
    "null": (None, Reason.INVALID_VALUE),
    "a peer for the second time": (peer("QmB"), Reason.DUPLICATE_PEER),
}


@pytest.mark.parametrize(("row", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_row_that_is_no_peer_costs_itself_alone(row, reason):
    table = decode_mapped_board(board(peer("QmB"), row, peer("QmC", place=9)), OWN)
    assert [row.id for _, row in table.rows] == ["QmB", "QmC"]
    assert set(table.defects) == {reason}


@pytest.mark.parametrize("figure", [True, {}, [], "much", 1e300, "1e999", math.nan, -math.inf])
def test_a_value_that_is_no_number_costs_itself_alone(figure):
    stats = {"reward": figure, "last": 2, "votes": 1}
    table = decode_mapped_board(board(peer(stats=stats)), OWN)
    ((_, row),) = table.rows
    assert (row.cumulative, row.last_score, row.participation) == (None, 2.0, 1.0)
    assert table.defects == (Reason.INVALID_VALUE,)


def test_a_field_that_some_rows_lack_is_absent_and_one_that_all_lack_is_a_defect():
    some = decode_mapped_board(board(peer("QmB"), peer("QmA", stats={"reward": 1})), OWN)
    assert (some.rows[1][1].participation, some.defects) == (None, ())
    none = decode_mapped_board(board(*(peer(f"Qm{n}", stats={"reward": 1}) for n in "AB")), OWN)
    assert none.defects == (Reason.INVALID_VALUE, Reason.INVALID_VALUE)


@pytest.mark.parametrize("total", [-1, 1.5, "many", True])
def test_an_impossible_total_is_the_number_of_rows(total):
    table = decode_mapped_board(board(peer(), count=total), OWN)
    assert (table.total, table.defects) == (1, (Reason.INVALID_VALUE,))


def test_an_empty_board_is_a_board():
    table = decode_mapped_board(board(), OWN)
    assert (table.rows, table.total, table.defects) == ([], 0, ())


NO_BOARDS = {
    "no such list": (b'{"data": {}}', Reason.WRONG_SHAPE),
    "upstream's own shape": (b'{"leaders": []}', Reason.WRONG_SHAPE),
    "an object for a list": (b'{"data": {"peers": {"QmA": {}}}}', Reason.WRONG_SHAPE),
    "half a body": (board(peer())[:-9], Reason.INVALID_JSON),
    "nothing but garbage": (board(*range(2000)), Reason.WRONG_SHAPE),
    "too many rows": (b'{"data": {"peers": [' + b"0," * 200_000 + b"0]}}", Reason.TOO_LARGE),
}


@pytest.mark.parametrize(("body", "reason"), NO_BOARDS.values(), ids=NO_BOARDS)
def test_what_is_no_board_gives_its_reason(body, reason):
    with pytest.raises(SourceError) as error:
        decode_mapped_board(body, OWN)
    assert error.value.reason is reason
