"""The path language: what it reads, where it says that it cannot, and where a path ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.json_path import (
    EachOfList,
    EachOfObject,
    Index,
    Missing,
    Name,
    PathError,
    find,
    parse_path,
    type_name,
    walk,
)

PARSED = {
    "reward": [Name("reward")],
    "data.peers[].stats.reward": [
        *(Name("data"), Name("peers"), EachOfList()),
        *(Name("stats"), Name("reward")),
    ],
    "[]": [EachOfList()],
    "[2].x": [Index(2), Name("x")],
    "rows[0][1]": [Name("rows"), Index(0), Index(1)],
    "peers.*": [Name("peers"), EachOfObject()],
    "*": [EachOfObject()],
    '"a.b"."c[0]"': [Name("a.b"), Name("c[0]")],
    r'"say \"hi\"".x': [Name('say "hi"'), Name("x")],
    r'"back\\slash"': [Name("back\\slash")],
    r'"\n"': [Name(r"\n")],
    '""': [Name("")],
    "total-peers.peer_2": [Name("total-peers"), Name("peer_2")],
    "奖励.分": [Name("奖励"), Name("分")],
}


@pytest.mark.parametrize(("text", "steps"), PARSED.items())
def test_a_path_is_read_as_its_steps(text, steps):
    path = parse_path(text)
    assert (list(path.steps), path.text, path.key) == (steps, text, False)


REFUSED = {
    "": "is empty",
    "a..b": "expected a name, * or a name in quotes at character 3",
    ".a": "expected a name, * or a name in quotes at character 1",
    "a.": "expected a name, * or a name in quotes at character 3",
    "a b": "expected . or [ at character 2",
    "a[": "the [ is not closed at character 2",
    "a[x]": "expected a number or ] after [ at character 3",
    "a[-1]": "expected a number or ] after [ at character 3",
    "a[²]": "expected a number or ] after [ at character 3",
    "a[9999999999]": "expected a number or ] after [ at character 3",
    'a."b': "the quote is not closed at character 3",
    '"b\\': "the quote is not closed at character 1",
    "a*": "expected . or [ at character 2",
    "**": "expected . or [ at character 2",
    "a[]b": "expected . or [ at character 4",
    "@key.x": "expected a name, * or a name in quotes at character 1",
    "$.a": "expected a name, * or a name in quotes at character 1",
    "a" * 501: "is longer than 500 characters",
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.items(), ids=map(repr, REFUSED))
def test_what_is_no_path_is_refused_with_its_position(text, problem):
    with pytest.raises(PathError) as error:
        parse_path(text)
    assert problem in str(error.value)


@given(st.lists(st.text(max_size=8) | st.integers(0, 99), min_size=1, max_size=6))
def test_any_name_can_be_written_in_quotes_and_found(steps):
    text, document = "", "here"
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            text += ("." if text else "") + f'"{quoted}"'
    for step in reversed(steps):
        document = [None] * step + [document] if isinstance(step, int) else {step: document}
    assert find(parse_path(text), document) == "here"


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text):
    try:
        path = parse_path(text)
    except PathError as error:
        assert "\n" not in str(error) or "\n" in text
    else:
        assert path.text == text


DOCUMENT = {
    "data": {
        "peers": [
            {"id": "QmA", "stats": {"reward": 3}},
            {"id": "QmB", "stats": {"reward": None}},
            {"id": "QmC"},
        ],
        "by_id": {"QmA": {"wins": 1}, "QmB": {"wins": 2}},
        "empty": [],
    }
}


def test_one_value_is_found_null_included():
    assert find(parse_path("data.peers[0].stats.reward"), DOCUMENT) == 3
    assert find(parse_path("data.peers[1].stats.reward"), DOCUMENT) is None


def test_each_value_is_found_with_the_name_it_has():
    assert list(walk(parse_path("data.peers[].id"), DOCUMENT)) == [
        (None, "QmA"),
        (None, "QmB"),
        (None, "QmC"),
    ]
    assert list(walk(parse_path("data.by_id.*.wins"), DOCUMENT)) == [("QmA", 1), ("QmB", 2)]
    # What lacks the field is left out.
    assert len(list(walk(parse_path("data.peers[].stats.reward"), DOCUMENT))) == 2


MISSING = {
    "data.peer": ("data.peer", "is not there"),
    "data.peers[3].id": ("data.peers[3]", "is not there: the list has 3"),
    "data.peers[2].stats.reward": ("data.peers[2].stats", "is not there"),
    "data.peers.id": ("data.peers.id", "needs an object, but there is a list"),
    "data[0]": ("data[0]", "needs a list, but there is an object"),
    "data.peers[0].id.x": ("data.peers[0].id.x", "needs an object, but there is text"),
    "data.peers[1].stats.reward.x": (
        "data.peers[1].stats.reward.x",
        "needs an object, but there is null",
    ),
    'data."a.b"': ('data."a.b"', "is not there"),
}


@pytest.mark.parametrize(("text", "ends"), MISSING.items())
def test_a_path_that_ends_early_says_where_and_why(text, ends):
    assert find(parse_path(text), DOCUMENT) == Missing(*ends)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "text"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_types_are_called_as_json_calls_them(value, name):
    assert type_name(value) == name
