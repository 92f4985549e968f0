from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.model import Point, Stage
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.leaderboard_json import (
    decode_board,
    decode_clock,
    decode_health_problem,
    decode_histories,
    decode_last_polled,
    decode_points,
    newest_point,
)

ROW = {
    "id": "QmA",
    "nickname": "a b c",
    "recordedRound": 3,
    "recordedStage": 1,
    "cumulativeScore": 6.0,
    "lastScore": 2.0,
    "scoreHistory": [{"x": 1746000020, "y": 1.5}, {"x": 1746000040, "y": 6.0}],
}


def board(*rows: object, **more: object) -> bytes:
    return json.dumps({"leaders": list(rows), "total": len(rows), **more}).encode()


def test_upstreams_shape():
    table = decode_board(board(ROW))
    ((place, row),) = table.rows
    assert (place, row.id, row.nickname, row.cumulative, row.last_score) == (
        1,
        "QmA",
        "a b c",
        6.0,
        2.0,
    )
    assert row.recorded == Stage(3, 1)
    assert decode_points(row.score_history) == (Point(1746000020, 1.5), Point(1746000040, 6.0))
    assert (table.total, table.defects) == (1, ())


def test_the_web_pages_shape():
    body = json.dumps(
        {
            "leaders": [
                {"id": "QmA", "nickname": "a b c", "cumulativeReward": 6.5, "participation": 12}
            ],
            "totalPeers": 245,
        }
    ).encode()
    table = decode_board(body)
    ((_, row),) = table.rows
    assert (row.cumulative, row.participation, table.total) == (6.5, 12.0, 245)
    assert row.recorded is None


HOSTILE_ROWS = {
    "a score that is a string": ({**ROW, "lastScore": "999"}, {"last_score": None}),
    "a score that is a list": ({**ROW, "lastScore": [1, 2]}, {"last_score": None}),
    "a score that is an object": ({**ROW, "lastScore": {"a": 1}}, {"last_score": None}),
    "a score that is true": ({**ROW, "lastScore": True}, {"last_score": None}),
    "a round that is a float": ({**ROW, "recordedRound": 3.5}, {"recorded": None}),
    "a round of 30 digits": ({**ROW, "recordedRound": 10**30}, {"recorded": None}),
    "a negative stage": ({**ROW, "recordedStage": -1}, {"recorded": None}),
    "a nickname that is a number": ({**ROW, "nickname": 5}, {"nickname": ""}),
}


@pytest.mark.parametrize(("row", "kept"), HOSTILE_ROWS.values(), ids=HOSTILE_ROWS)
def test_a_bad_value_costs_itself_alone(row, kept):
    good = {**ROW, "id": "QmB"}
    table = decode_board(board(row, good))
    assert [(place, r.id) for place, r in table.rows] == [(1, "QmA"), (2, "QmB")]
    for name, value in kept.items():
        assert getattr(table.rows[0][1], name) == value
    assert table.rows[0][1].cumulative == 6.0
    assert table.defects == (Reason.INVALID_VALUE,)


def test_a_null_is_absent_and_no_defect():
    table = decode_board(board({**ROW, "lastScore": None}))
    assert table.rows[0][1].last_score is None
    assert table.defects == ()


LOST_ROWS = {
    "no object": 5,
    "null": None,
    "no id": {k: v for k, v in ROW.items() if k != "id"},
    "an empty id": {**ROW, "id": ""},
    "an id that is a number": {**ROW, "id": 7},
    "an id of 3,000 characters": {**ROW, "id": "Q" * 3000},
    "a nickname of a megabyte": {**ROW, "nickname": "x" * 1_000_000},
}


@pytest.mark.parametrize("row", LOST_ROWS.values(), ids=LOST_ROWS)
def test_a_row_that_is_no_peer_costs_itself_alone(row):
    table = decode_board(board(row, {**ROW, "id": "QmB"}))
    assert [(place, r.id) for place, r in table.rows] == [(2, "QmB")]
    assert set(table.defects) == {Reason.INVALID_VALUE}


def test_a_peer_listed_twice_keeps_its_first_place():
    table = decode_board(board(ROW, {**ROW, "lastScore": 99.0}, {**ROW, "id": "QmB"}))
    assert [(place, r.id, r.last_score) for place, r in table.rows] == [
        (1, "QmA", 2.0),
        (3, "QmB", 2.0),
    ]
    assert table.defects == (Reason.DUPLICATE_PEER,)


@pytest.mark.parametrize("total", ["3", 1.5, -1, 10**30, [3]])
def test_an_impossible_total_is_replaced_by_the_number_of_rows(total):
    table = decode_board(board(ROW, total=total))
    assert table.total == 1
    assert table.defects == (Reason.INVALID_VALUE,)


DEEP = b"[" * 100_000 + b"]" * 100_000
WHOLE_BODIES = {
    "half a body": (board(ROW)[:-20], Reason.INVALID_JSON),
    "garbage": (b"\xff\xfe\x00garbage", Reason.INVALID_JSON),
    "two documents": (board(ROW) + b"{}", Reason.INVALID_JSON),
    "NaN": (b'{"leaders":[{"id":"QmA","lastScore":NaN}],"total":1}', Reason.NAN),
    "Infinity": (b'{"leaders":[{"id":"QmA","lastScore":-Infinity}]}', Reason.NAN),
    "a list": (b"[]", Reason.WRONG_SHAPE),
    "another document": (b'{"detail":"Not Found"}', Reason.WRONG_SHAPE),
    "leaders that are no list": (b'{"leaders":{"QmA":1}}', Reason.WRONG_SHAPE),
    "endless nesting": (b'{"leaders":' + DEEP + b"}", Reason.WRONG_SHAPE),
}


@pytest.mark.parametrize(("body", "reason"), WHOLE_BODIES.values(), ids=WHOLE_BODIES)
def test_a_body_that_is_no_board_gives_its_reason(body, reason):
    with pytest.raises(SourceError) as error:
        decode_board(body)
    assert error.value.reason is reason


def test_a_score_beyond_every_float_is_absent():
    body = b'{"leaders":[{"id":"QmA","lastScore":1e999,"cumulativeScore":5}],"total":1}'
    table = decode_board(body)
    assert table.rows[0][1].last_score is None
    assert table.rows[0][1].cumulative == 5.0
    assert table.defects == (Reason.INVALID_VALUE,)


def test_endless_nesting_anywhere_gives_its_reason():
    body = b'{"leaders":[{"id":"QmA","lastScore":1,"scoreHistory":' + DEEP + b'}],"total":1}'
    with pytest.raises(SourceError) as error:
        decode_board(body)
    assert error.value.reason is Reason.WRONG_SHAPE


HOSTILE_SIZES = {
    "a million rows that are none": (
        b'{"leaders":[' + b"[]," * 999_999 + b"[]]}",
        Reason.TOO_LARGE,
    ),
    "a hundred thousand rows that are none": (
        b'{"leaders":[' + b"[]," * 99_999 + b"[]]}",
        Reason.WRONG_SHAPE,
    ),
    "ten million values": (b'{"leaders":[' + b"1," * 10_000_000 + b"1]}", Reason.TOO_LARGE),
    "more peers than any swarm has": (
        b'{"leaders":[' + b'{"id":"a"},' * 200_000 + b'{"id":"b"}]}',
        Reason.TOO_LARGE,
    ),
}


@pytest.mark.parametrize(("body", "reason"), HOSTILE_SIZES.values(), ids=HOSTILE_SIZES)
def test_a_body_that_costs_more_than_a_board_is_refused(body, reason):
    with pytest.raises(SourceError) as error:
        decode_board(body)
    assert error.value.reason is reason


@pytest.mark.parametrize("figure", [1e16, -1e308])
def test_a_figure_that_no_sum_survives_is_absent(figure):
    table = decode_board(board({**ROW, "lastScore": figure}))
    assert table.rows[0][1].last_score is None
    assert table.rows[0][1].cumulative == 6.0
    assert table.defects == (Reason.INVALID_VALUE,)


@pytest.mark.parametrize(
    ("body", "clock"),
    [
        (b'{"round":3,"stage":1}', Stage(3, 1)),
        (b'{"round":-1,"stage":-1}', None),
        (b'{"round":100000000000000000000,"stage":1}', None),
    ],
)
def test_clock(body, clock):
    assert decode_clock(body) == clock


@pytest.mark.parametrize(
    ("body", "polled"),
    [
        (b'{"message":"OK","lastPolled":0.661185}', 0.661185),
        (b'{"message":"OK"}', None),
        (b'{"message":"OK","lastPolled":-5}', None),
    ],
)
def test_health(body, polled):
    assert decode_last_polled(body) == polled


def test_health_problem():
    assert decode_health_problem(b'{"detail":"dht never polled"}') == "dht never polled"
    assert decode_health_problem(b"<html>") == ""


def test_histories_of_the_peers_asked_for():
    body = b'{"leaders":[{"id":"A","values":[{"x":1,"y":2.5}]},{"id":"B","values":"?"},{"id":"C"}]}'
    assert decode_histories(body, {"A", "B"}) == {"A": (Point(1, 2.5),), "B": ()}


def test_newest_point_reads_only_the_end():
    histories = [
        msgspec.Raw(b'[{"x":1746000020,"y":1.5},{"x":1746000040,"y":-6.25e-3}]'),
        msgspec.Raw(b'[ {"y": 2, "x" : 1746000090 } ]'),
        msgspec.Raw(b"[]"),
        msgspec.Raw(b'{"x":99999999999}'),
        msgspec.Raw(),
    ]
    assert newest_point(histories) == 1746000090


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from([*ROW, "leaders", "total", "x", "y"]), children, max_size=7
        )
    ),
    max_leaves=25,
)
bodies = (
    st.binary(max_size=200)
    | json_values.map(lambda v: json.dumps(v).encode())
    | st.lists(st.dictionaries(st.sampled_from(list(ROW)), json_values, max_size=8)).map(
        lambda rows: json.dumps({"leaders": rows}).encode()
    )
)


@given(bodies)
def test_no_body_makes_a_decoder_fail_otherwise_than_with_a_reason(body):
    for decode in (
        decode_board,
        decode_clock,
        decode_last_polled,
        lambda b: decode_histories(b, {""}),
    ):
        try:
            result = decode(body)
        except SourceError as error:
            assert error.reason in Reason
            assert error.detail.isprintable()
            continue
        if decode is decode_board:
            check_table(result)
    assert isinstance(decode_health_problem(body), str)


def check_table(table) -> None:
    ids = [row.id for _, row in table.rows]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(peer) <= 128 for peer in ids)
    for _, row in table.rows:
        for figure in (row.cumulative, row.last_score, row.participation):
            assert figure is None or math.isfinite(figure)
        assert all(
            math.isfinite(p.x) and math.isfinite(p.y) for p in decode_points(row.score_history)
        )
    assert 0 <= table.total <= 2**53


@given(st.integers(0, 6), st.integers(-8, 8), st.integers(-8, 8))
def test_rows_in_order_are_a_list_of_pairs(count, first, last):
    rows = [{"id": f"Qm{number}"} for number in range(count)]
    found = decode_board(json.dumps({"leaders": rows}).encode()).rows
    pairs = [(place, f"Qm{place - 1}") for place in range(1, count + 1)]
    assert [(place, row.id) for place, row in found] == pairs
    assert [(place, row.id) for place, row in found[first:last]] == pairs[first:last]
    assert len(found) == count
    if -count <= first < count:
        assert (found[first][0], found[first][1].id) == pairs[first]
    else:
        with pytest.raises(IndexError):
            found[first]


def test_a_board_of_which_one_figure_is_impossible_loses_that_figure_alone():
    rows = [{"id": "QmA", "lastScore": 2.0, "recordedRound": 7}, {"id": "QmB", "lastScore": 1e16}]
    table = decode_board(json.dumps({"leaders": rows}).encode())
    assert table.defects == (Reason.INVALID_VALUE,)
    assert [(row.id, row.last_score) for _, row in table.rows] == [("QmA", 2.0), ("QmB", None)]
    assert table.rows[0][1].recorded_round == 7
