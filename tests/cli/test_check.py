"""What `check` says beyond the configuration: how each node is read, and whether mappings fit."""

from __future__ import annotations

import json

import pytest

from command_line import command, good
from http_answers import answering, of_json

BOARD = {"data": {"peers": [{"id": "QmA", "stats": {"reward": 12.5}}, {"id": "QmB", "stats": {}}]}}
KEY = "s3cr3t-k3y-0123456789"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(tmp_path, text: str) -> None:
    (tmp_path / "swarm.yml").write_text(text)


def mapped(url: str, **fields: str) -> str:
    mapping = {"list": "data.peers", "id": "id", **fields}
    leaderboard = {"path": "/peers", "mapping": mapping}
    return json.dumps({"api_url": url, "leaderboard": leaderboard})


def test_a_mapping_is_tried_on_a_live_answer(tmp_path):
    with answering(lambda _: of_json(BOARD)) as api:
        write(tmp_path, mapped(api.url, reward="stats.reward"))
        done = good("check", "--config", "swarm.yml")
    assert f"mapping at {api.url}/peers" in done.err
    assert "reward" in done.err
    assert "12.5" in done.err
    assert "The configuration is valid." in done.out


def test_a_mapping_that_leads_nowhere_fails_and_names_the_step(tmp_path):
    with answering(lambda _: of_json(BOARD)) as api:
        write(tmp_path, mapped(api.url, reward="stats.rewards"))
        done = command("check", "--config", "swarm.yml")
    assert done.code == 1
    assert "stats.rewards" in done.err
    assert "a mapping does not fit" in done.err


def test_a_mapping_whose_address_does_not_answer_says_so(tmp_path):
    write(tmp_path, mapped("http://127.0.0.1:9"))
    done = command("check", "--config", "swarm.yml")
    assert done.code == 1
    assert "not tried: connection refused" in done.err


def test_no_secret_of_the_sources_is_shown(tmp_path):
    text = {
        "api_url": "http://127.0.0.1:9",
        "chain": {"preset": "codezero", "rpc": f"https://rpc.example/v2/{KEY}?key={KEY}"},
        "hosted": {"url": f"https://user:{KEY}@dashboard.example"},
        "nodes": [{"name": "1", "chain": {"preset": "math"}}, {"name": "2"}],
    }
    write(tmp_path, json.dumps(text))
    for arguments in (("--json",), ()):
        done = good("check", "--config", "swarm.yml", *arguments)
        assert KEY not in done.out + done.err
    shown = json.loads(good("check", "--json", "--config", "swarm.yml").out)
    assert shown["chain"]["nodes"]["1"]["preset"] == "math"
    assert shown["chain"]["nodes"]["2"]["rpc"] == "https://rpc.example"


def test_nodes_that_are_read_alike_are_told_of_together(tmp_path):
    write(tmp_path, "instances: 3\nnodes: [{name: a, sources: [leaderboard]}]\n")
    done = good("check", "--config", "swarm.yml")
    assert "node a: reward from leaderboard" in done.out
    assert "nodes 2, 3: reward from leaderboard" in done.out
    assert "switched off" in done.out
