from __future__ import annotations

import pytest

from swarm_exporter.config import Flags, load_config
from swarm_exporter.errors import ConfigError, FlagError


def load(tmp_path, text: str = "", environ=None, **flags):
    config = None
    if text:
        (tmp_path / "swarm.yml").write_text(text)
        config = "swarm.yml"
    return load_config(Flags(config=config, instances="1", **flags), environ or {}, tmp_path)


def chosen(config, *, default: bool = True) -> list[bool]:
    return [config.collects(name, default) for name in ("process", "footprint", "gpu")]


def test_what_nobody_has_chosen_is_as_the_collector_says(tmp_path):
    assert chosen(load(tmp_path)) == [True] * 3
    assert chosen(load(tmp_path), default=False) == [False] * 3


@pytest.mark.parametrize("default", [True, False])
def test_a_list_names_the_only_ones(tmp_path, default):
    for config in (
        load(tmp_path, collectors=" process, gpu"),
        load(tmp_path, environ={"SWARM_COLLECTORS": "process,gpu"}),
        load(tmp_path, "collectors: [process, gpu]\n"),
    ):
        assert chosen(config, default=default) == [True, False, True]


def test_an_empty_list_names_none(tmp_path):
    assert chosen(load(tmp_path, "collectors: []\n")) == [False] * 3
    assert chosen(load(tmp_path, collectors="none")) == [False] * 3


def test_one_is_switched_on_or_off_beside_the_others(tmp_path):
    assert chosen(load(tmp_path, "collectors: {gpu: false}\n")) == [True, True, False]
    assert chosen(load(tmp_path, collector=(("gpu", False),))) == [True, True, False]
    config = load(tmp_path, collectors="process", collector=(("gpu", True), ("process", False)))
    assert chosen(config) == [False, False, True]


def test_a_flag_wins_over_the_file(tmp_path):
    config = load(
        tmp_path, "collectors: {gpu: false, process: false}\n", collector=(("gpu", True),)
    )
    assert chosen(config) == [False, True, True]
    assert chosen(load(tmp_path, "collectors: [gpu]\n", collectors="process")) == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "flags", "error", "words"),
    [
        ("collectors: [proces]\n", {}, ConfigError, 'swarm.yml:1: collectors: no collector is called "proces"; did you mean process?'),
        ("collectors: {nonsense: true}\n", {}, ConfigError, "there are process, footprint"),
        ("collectors: {gpu: 3}\n", {}, ConfigError, "must be true or false, not a whole number"),
        ("collectors: 7\n", {}, ConfigError, "collectors"),
        ("", {"collectors": "gpus"}, FlagError, "--collectors: no collector is called"),
    ],
)  # fmt: skip
def test_what_is_no_collector_is_refused_with_the_fix(tmp_path, text, flags, error, words):
    with pytest.raises(error) as caught:
        load(tmp_path, text, **flags)
    assert words in str(caught.value)
