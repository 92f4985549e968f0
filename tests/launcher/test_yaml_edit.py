from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launcher_repository import HYDRA
from swarm_exporter.launcher.yaml_edit import scalar_text, set_values


def test_only_the_value_is_changed():
    edited = set_values(
        HYDRA, {"training.num_generations": 2, "training.dtype": "bfloat16", "training.seed": 7}
    )
    expected = (
        HYDRA.replace("num_generations: 4 ", "num_generations: 2 ")
        .replace("'float32'", "'bfloat16'")
        .replace("seed: 42", "seed: 7")
    )
    assert edited == (expected, ())


def test_a_value_that_is_there_changes_nothing():
    assert set_values(HYDRA, {"training.seed": 42, "training.dtype": "float32"}) == (HYDRA, ())


@pytest.mark.parametrize(
    ("text", "key", "value", "expected"),
    [
        ("a:\n  b: 1\n", "a.b", True, "a:\n  b: true\n"),
        ("a:\n  b: 1\n", "a.b", 1e-5, "a:\n  b: 1.0e-05\n"),
        ("a:\n  b:   # empty\n", "a.b", 3, "a:\n  b: 3   # empty\n"),
        ("a: {b: 1, c: 2}\n", "a.b", 5, "a: {b: 5, c: 2}\n"),
        ("a: {b: x}\n", "a.b", "y, z", 'a: {b: "y, z"}\n'),
        ("a: 'x'\n", "a", "it's", "a: 'it''s'\n"),
        ("a: x\r\nb: 1\r\n", "a", "no", 'a: "no"\r\nb: 1\r\n'),
        ("\ufeffä: ü # é\nb: 1", "b", 2, "\ufeffä: ü # é\nb: 2"),
        ("a: 1\nb: 1\n", "b", True, "a: 1\nb: true\n"),
    ],
)
def test_ways_to_write_a_value(text, key, value, expected):
    assert set_values(text, {key: value}) == (expected, ())


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a: # x\n  # y\n  b: 1\n", "a.n", "a: # x\n  n: 2\n  # y\n  b: 1\n"),
        ("a:\r\n    b: 1\r\n", "a.n", "a:\r\n    n: 2\r\n    b: 1\r\n"),
        ("# x\nb: 1\n", "n", "# x\nn: 2\nb: 1\n"),
        ("a:\n  b:\n    c: 1\n", "a.b.n", "a:\n  b:\n    n: 2\n    c: 1\n"),
    ],
)
def test_a_missing_key_is_added_below_its_parent(text, key, expected):
    assert set_values(text, {key: 2}) == (expected, ())


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("a: 1\n", "b.c", "the keys above it are missing"),
        ("a: 1\n", "a.c", "the keys above it are missing"),
        ("", "a", "the keys above it are missing"),
        ("a: {b: 1}\n", "a.c", "stand on one line"),
        ("a: [1, 2]\n", "a", "more than one simple value"),
        ("a: |\n  x\n", "a", "more than one simple value"),
        ("a: &x 1\nb: *x\n", "a", "an anchor or a tag"),
        ("a: &x 1\nb: *x\n", "b", "an alias of another value"),
        ("a: &x\n  c: 1\nb: *x\n", "b.c", "cannot be changed safely"),
        ("a:\n  &x\n  c: 1\n", "a.n", "cannot be changed safely"),
    ],
)
def test_what_cannot_be_set_is_said_and_left(text, key, why):
    edited = set_values(text, {key: 2})
    assert edited.text == text
    assert len(edited.skipped) == 1
    assert edited.skipped[0].startswith(f"{key}: ")
    assert why in edited.skipped[0]


@pytest.mark.parametrize("text", ["a: [1\n", "a: !python/object:os.system x\n", "--- 1\n--- 2\n"])
def test_what_is_no_yaml_document_is_refused(text):
    with pytest.raises(ValueError, match="is not valid YAML"):
        set_values(text, {"a": 1})


names = st.sampled_from(["alpha", "beta", "gamma", "delta"])
scalars = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
)
trees = st.recursive(
    scalars, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4), max_leaves=12
)


@st.composite
def documents(draw):
    """A document as a person may have written it: comments, blank lines, both styles."""
    tree = draw(st.dictionaries(names, trees, min_size=1, max_size=4))
    style = draw(st.sampled_from([False, None]))
    text = yaml.safe_dump(
        tree,
        default_flow_style=style,
        allow_unicode=draw(st.booleans()),
        indent=draw(st.integers(2, 6)),
        width=draw(st.sampled_from([20, 80, 10_000])),
        sort_keys=False,
    )
    # What PyYAML reads: it does not get every character back that it has written.
    text = draw(st.sampled_from(["", "# ümlaut\n\n", "---\n"])) + text
    return text, yaml.safe_load(text)


def leaves(tree, path=()):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name)


def with_leaf(tree, path, value):
    below = with_leaf(tree[path[0]], path[1:], value) if path[1:] else value
    return {**tree, path[0]: below}


@given(documents(), scalars, st.data())
def test_everything_outside_the_value_stays_byte_for_byte(document, value, data):
    text, tree = document
    path = data.draw(st.sampled_from(sorted(leaves(tree))))
    edited = set_values(text, {".".join(path): value})
    if edited.skipped:
        assert edited.text == text
        return
    read = yaml.safe_load(edited.text)
    assert read == with_leaf(tree, path, value)
    for part in path:
        read = read[part]
    assert isinstance(read, bool) == isinstance(value, bool)
    if edited.text == text:
        return
    node = yaml.compose(text, yaml.SafeLoader)
    for part in path:
        node = next(below for key, below in node.value if key.value == part)
    before, after = text[: node.start_mark.index], text[node.end_mark.index :]
    assert edited.text.startswith(before)
    assert edited.text.endswith(after)
    changed = edited.text[len(before) : len(edited.text) - len(after)]
    assert changed.strip() == scalar_text(value, node.style)
    assert set_values(edited.text, {".".join(path): value}) == edited, "a second time is the same"


@given(scalars)
def test_a_value_is_one_line_that_reads_as_itself(value):
    text = scalar_text(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value
