"""What `auto` chooses for nodes of each generation, and how a person decides otherwise."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import standin
from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.config import sources as sources_module
from swarm_exporter.config.chain import PRESETS
from swarm_exporter.config.sources import SOURCES, blind_spots, source_wish
from swarm_exporter.errors import ConfigError, FlagError

GENERATIONS = ("hivemind", "genrl", "codezero")


def load(folder: Path, text: str = "", **flags) -> Config:
    if not text:
        return load_config(Flags(**flags), {}, folder)
    (folder / "swarm.yml").write_text(text)
    return load_config(Flags(config="swarm.yml", **flags), {}, folder)


def on(config: Config, node: str = "1") -> list[str]:
    return [choice.source for choice in config.choices[node] if choice.on]


def why(config: Config, source: str, node: str = "1") -> str:
    return next(c.why for c in config.choices[node] if c.source == source)


@pytest.fixture(params=GENERATIONS)
def generation(request, tmp_path) -> str:
    """The profile of the generation that the folder of node 1 is a checkout of."""
    standin.build_standin(tmp_path / "rl-swarm-1", request.param, port=3000)
    return request.param


def test_a_checkout_of_each_generation_is_read_through_what_it_has(tmp_path, generation):
    config = load(tmp_path)
    local = ["training_log", "wandb", "login"]
    expected = {
        # v0.4 has its API; v0.5 and later tell of rewards on the chain alone.
        "hivemind": ["leaderboard", *local],
        "genrl": ["chain", *local],
        "codezero": ["chain", *local],
    }
    found = [
        source for source in on(config) if not (generation == "hivemind" and source == "chain")
    ]
    assert found == expected[generation]
    assert config.reward_source("1") == ("leaderboard" if generation == "hivemind" else "chain")


def test_the_contract_is_that_of_the_checkout(tmp_path, generation):
    (env := tmp_path / "rl-swarm-1" / "modal-login" / ".env").parent.mkdir(exist_ok=True)
    env.write_text("A=b\n\nSWARM_CONTRACT_ADDRESS=" + PRESETS["math-hard"].contract + "\n")
    coordinator = load(tmp_path).chain.of("1")
    assert coordinator is not None
    assert coordinator.preset == "math-hard"
    env.write_text("SMART_CONTRACT_ADDRESS=0x" + "0c" * 20 + "\n")
    coordinator = load(
        tmp_path, "chain: {rpc: 'http://127.0.0.1:1/key', interval: 20s}\n"
    ).chain.of("1")
    assert coordinator is not None
    assert (coordinator.preset, coordinator.contract) == ("custom", "0x" + "0c" * 20)
    assert (coordinator.rpc, coordinator.interval) == ("http://127.0.0.1:1/key", 20.0)


def test_without_the_extra_the_chain_says_what_to_install(tmp_path, monkeypatch):
    standin.build_standin(tmp_path / "rl-swarm-1", "codezero", port=3000)
    monkeypatch.setattr(sources_module, "find_spec", lambda _: None)
    config = load(tmp_path)
    assert "chain" not in on(config)
    assert config.reward_source("1") == ""
    spots = blind_spots(config.choices["1"])
    assert any("what it earns" in spot and "swarm-exporter[chain]" in spot for spot in spots)
    # Who asks for it by name is told by the poll.
    assert "chain" in on(load(tmp_path, sources="chain"))
    assert importlib.util.find_spec("eth_abi") is not None


def test_a_given_address_is_asked_whatever_the_generation(tmp_path, generation):
    for config in (
        load(tmp_path, api_port="8000"),
        load(tmp_path, api_url="http://127.0.0.1:8000"),
        load(tmp_path, "nodes: [{name: '1', port: 8000, folder: rl-swarm-1}]\n"),
        load(tmp_path, "nodes: [{name: '1', api: 'http://127.0.0.1:8000', folder: rl-swarm-1}]\n"),
    ):
        assert "leaderboard" in on(config)
        assert config.reward_source("1") == "leaderboard"
        assert why(config, "leaderboard") == "its address was given"


def test_without_a_folder_only_the_address_is_left(tmp_path):
    config = load(tmp_path)
    assert on(config) == ["leaderboard"]
    assert "nothing tells" in why(config, "leaderboard")
    assert [spot.split(" (")[0] for spot in blind_spots(config.choices["1"])] == [
        "its rounds, submissions and errors",
        "whether it is logged in",
    ]


def test_a_dashboard_is_asked_where_one_is_configured_and_gives_the_reward(tmp_path):
    standin.build_standin(tmp_path / "rl-swarm-1", "codezero", port=3000)
    config = load(tmp_path, "hosted: {url: 'https://board.example'}\n")
    assert config.reward_source("1") == "hosted"
    assert "hosted" in on(config)


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("sources: [training_log]\n", {}, ["training_log"]),
        ("sources: none\n", {}, []),
        ("sources: {login: false, wandb: false}\n", {}, ["chain", "training_log"]),
        ("sources: [login]\n", {"sources": "auto"}, ["chain", "training_log", "wandb", "login"]),
        ("sources: auto\n", {"sources": "wandb,login"}, ["wandb", "login"]),
        (
            "sources: [wandb]\nnodes: [{name: '1', folder: rl-swarm-1, sources: [login]}]\n",
            {},
            ["login"],
        ),
        ("chain: {preset: none}\n", {}, ["training_log", "wandb", "login"]),
        (
            "sources: {leaderboard: true}\n",
            {},
            ["leaderboard", "chain", "training_log", "wandb", "login"],
        ),
    ],
)
def test_a_person_decides_otherwise(tmp_path, text, flags, expected):
    standin.build_standin(tmp_path / "rl-swarm-1", "codezero", port=3000)
    config = load(tmp_path, text, **flags)
    assert on(config) == expected
    assert (config.chain.of("1") is not None) == ("chain" in expected)


def test_what_cannot_be_asked_stays_off_with_its_own_words(tmp_path):
    config = load(tmp_path, sources="hosted,login,chain")
    assert on(config) == []
    assert why(config, "hosted") == "no dashboard is configured"
    assert why(config, "login") == "where its login data are is not known"
    assert why(config, "chain") == "no contract is known"


@pytest.mark.parametrize(
    ("text", "flags", "error", "words"),
    [
        (
            "sources: [chian]\n",
            {},
            ConfigError,
            'swarm.yml:1: sources: no source is called "chian"; did you mean chain?',
        ),
        ("sources: {everything: true}\n", {}, ConfigError, "there are leaderboard, hosted"),
        ("", {"sources": "logs"}, FlagError, "--sources: no source is called"),
    ],
)
def test_what_is_no_source_is_refused_with_the_fix(tmp_path, text, flags, error, words):
    with pytest.raises(error) as refused:
        load(tmp_path, text, **flags)
    assert words in str(refused.value)


def test_every_source_has_a_choice_and_a_reason(tmp_path, generation):
    choices = load(tmp_path).choices["1"]
    assert tuple(choice.source for choice in choices) == SOURCES
    assert all(choice.why for choice in choices)
    assert all(choice.on or choice.fix for choice in choices)


def test_a_wish_is_read_in_every_form():
    assert source_wish("auto") == source_wish(["auto"])
    assert source_wish(" chain , login ") == source_wish(["chain", "login"])
    with pytest.raises(ValueError, match="must be true or false"):
        source_wish({"chain": "yes"})


def test_a_folder_that_cannot_be_read_chooses_as_if_it_told_nothing(tmp_path):
    (tmp_path / "rl-swarm-1").mkdir()
    (tmp_path / "rl-swarm-1" / "run_rl_swarm.sh").mkdir()
    (tmp_path / "rl-swarm-1" / "modal-login").write_text("no folder")
    assert on(load(tmp_path)) == ["leaderboard", "training_log", "wandb", "login"]
