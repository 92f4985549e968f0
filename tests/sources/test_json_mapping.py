"""Single values of strangers' JSON, and whole answers that are none."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.config.mapping import Mapping
from swarm_exporter.json_path import Missing, parse_path
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.json_mapping import Row, Values, decode_json, rows_of

ABSENT = (None, Missing("x", "is not there"))

FIGURES = {
    "an integer": (7, 7.0),
    "a float": (-1.5, -1.5),
    "a zero": (0, 0.0),
    "text": ("12.5", 12.5),
    "text with room": (" -3 ", -3.0),
    "text with an exponent": ("1e3", 1000.0),
    "the largest": (10**15, 1e15),
}
NO_FIGURES = {
    "true": True,
    "false": False,
    "an object": {"value": 1},
    "a list": [1],
    "NaN": math.nan,
    "infinite": -math.inf,
    "text NaN": "NaN",
    "text infinite": "Infinity",
    "huge": 1e300,
    "a huge integer": 10**400,
    "huge text": "1e999",
    "empty text": "",
    "text with a unit": "5 GSN",
    "text with commas": "1,234",
    "other digits": "١٢",
    "underscores": "1_000",
    "hexadecimal": "0x10",
    "long text": "9" * 100,
}


@pytest.mark.parametrize(("value", "figure"), FIGURES.values(), ids=FIGURES)
def test_numbers_are_read_as_text_too(value, figure):
    values = Values()
    assert values.figure(value) == figure
    assert values.defects == []


@pytest.mark.parametrize("value", NO_FIGURES.values(), ids=NO_FIGURES)
def test_what_is_no_number_is_a_defect_and_absent(value):
    values = Values()
    assert values.figure(value) is None
    assert values.defects == [Reason.INVALID_VALUE]


@pytest.mark.parametrize("read", ["figure", "whole", "text", "truth", "moment"])
@pytest.mark.parametrize("value", ABSENT, ids=["null", "missing"])
def test_null_and_what_is_missing_are_absent_and_no_defect(read, value):
    values = Values()
    assert getattr(values, read)(value) is None
    assert values.defects == []


@pytest.mark.parametrize(("value", "number"), [(3, 3), (3.0, 3), ("3", 3), (0, 0)])
def test_whole_numbers(value, number):
    assert Values().whole(value) == number


@pytest.mark.parametrize("value", [1.5, -1, "1.5", 2**60, True, "x"])
def test_what_is_no_whole_number_is_one_defect(value):
    values = Values()
    assert values.whole(value) is None
    assert values.defects == [Reason.INVALID_VALUE]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1_763_374_530, 1_763_374_530.0),
        (1_763_374_530_123, 1_763_374_530.123),
        ("1763374530", 1_763_374_530.0),
        ("2025-11-17T10:15:30Z", 1_763_374_530.0),
        ("2025-11-17T12:15:30+02:00", 1_763_374_530.0),
        ("2025-11-17T10:15:30", 1_763_374_530.0),
        ("2025-11-17T10:15:30.500Z", 1_763_374_530.5),
    ],
)
def test_times_are_read_in_the_forms_that_apis_use(value, moment):
    assert Values().moment(value) == moment


@pytest.mark.parametrize("value", [0, -5, "yesterday", "", True, {}, "0001-01-01T00:00:00Z"])
def test_what_is_no_time_is_one_defect(value):
    values = Values()
    assert values.moment(value) is None
    assert values.defects == [Reason.INVALID_VALUE]


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_whatever_it_is_it_is_a_finite_figure_or_absent(value):
    values = Values()
    for read in (values.figure, values.whole, values.moment):
        figure = read(value)
        assert figure is None or math.isfinite(figure)
    assert values.text(value) is None or isinstance(value, str)
    assert values.truth(value) is None or isinstance(value, bool)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.text(), st.lists))
def test_any_json_is_decoded_as_python_does(document):
    assert decode_json(json.dumps(document).encode()) == document


def test_a_number_out_of_range_costs_itself_alone():
    document = decode_json(b'{"a": 1e999, "b": ' + b"9" * 5000 + b', "c": -' + b"9" * 99 + b"}")
    assert document == {"a": math.inf, "b": math.inf, "c": -math.inf}


def test_nan_costs_itself_alone():
    document = decode_json(b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": 5}')
    values = Values()
    assert [values.figure(value) for value in document.values()] == [None, None, None, 5.0]
    assert values.defects == [Reason.INVALID_VALUE] * 3


NO_ANSWERS = {
    "half a body": (b'{"a": [1, 2', Reason.INVALID_JSON),
    "a page": (b"<html></html>", Reason.INVALID_JSON),
    "other bytes": (b"\xff\xfe", Reason.INVALID_JSON),
    "two documents": (b"{}{}", Reason.INVALID_JSON),
    "half a body with NaN": (b'{"a": NaN, "b', Reason.INVALID_JSON),
    "half a body with NaN in a text": (b'{"a": "NaN', Reason.INVALID_JSON),
    "NaN as nobody writes it": (b"[NaNs, Infinity1]", Reason.INVALID_JSON),
    "half a body after a number out of range": (b"[1e999, ", Reason.INVALID_JSON),
    "endless nesting": (b"[" * 100_000, Reason.WRONG_SHAPE),
    "too many values": (b"[" + b"1," * 4_000_001 + b"1]", Reason.TOO_LARGE),
}


@pytest.mark.parametrize(("body", "reason"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_json_gives_its_reason(body, reason):
    with pytest.raises(SourceError) as error:
        decode_json(body)
    assert error.value.reason is reason
    assert len(error.value.detail) < 200


def test_without_a_list_the_answer_is_its_only_row():
    assert rows_of({"a": 1}, Mapping()) == [Row({"a": 1})]


def test_rows_of_an_object_know_their_names():
    mapping = Mapping(list=parse_path("peers.*"), id=parse_path("@key"))
    rows = rows_of({"peers": {"QmA": {"x": 1}, "QmB": {"x": 2}}}, mapping)
    assert [row.at(mapping.id) for row in rows] == ["QmA", "QmB"]
    assert [row.at(parse_path("x")) for row in rows] == [1, 2]


def test_an_empty_list_has_no_rows_and_a_missing_one_is_refused():
    mapping = Mapping(list=parse_path("data.peers[]"))
    assert rows_of({"data": {"peers": []}}, mapping) == []
    for document, said in {
        '{"data": {}}': "data.peers is not there",
        '{"data": {"peers": {}}}': "needs a list, but there is an object",
        "[]": "data needs an object, but there is a list",
    }.items():
        with pytest.raises(SourceError) as error:
            rows_of(json.loads(document), mapping)
        assert error.value.reason is Reason.WRONG_SHAPE
        assert said in error.value.detail
