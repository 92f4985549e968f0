from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from private_keys import identity
from support import make_config, make_node
from swarm_exporter.config.sources import Choice
from swarm_exporter.doctor.check import Check, Outcome
from swarm_exporter.doctor.nodes import check_nodes
from swarm_exporter.identity import peer_id_from_key


@pytest.fixture
def checkout(tmp_path):
    def make(number: int, key: bytes | None = None) -> Path:
        folder = tmp_path / f"rl-swarm-{number}"
        (folder / "logs").mkdir(parents=True)
        (folder / "run_rl_swarm.sh").write_text("python -m code_gen_exp.runner.swarm_launcher\n")
        data = folder / "modal-login" / "temp-data"
        data.mkdir(parents=True)
        (data / "userData.json").touch(0o600)
        (data / "userData.json").write_text(json.dumps({"a": 1}))
        if key is not None:
            (folder / "swarm.pem").touch(0o600)
            (folder / "swarm.pem").write_bytes(key)
        return folder

    return make


def check(*nodes) -> list[Check]:
    return check_nodes(make_config(*nodes))


def bad(checks: list[Check]) -> list[tuple[str, Outcome]]:
    return [(c.subject, c.outcome) for c in checks if c.outcome not in (Outcome.OK, Outcome.ABSENT)]


def test_nodes_in_good_order(checkout):
    checks = check(
        make_node("1", folder=checkout(1, identity(1))),
        make_node("2", folder=checkout(2, identity(2))),
    )
    assert bad(checks) == []
    whats = [c.what for c in checks if c.subject == "node 1"]
    assert whats[0].startswith("RL Swarm v0.7 (CodeZero) in ")
    assert whats[1] == f"peer {peer_id_from_key(identity(1))} (from identity file)"
    assert whats[2] == "swarm.pem is there, mode 0600"
    assert whats[3] == "login data userData.json are whole, mode 0600"


def test_a_folder_that_is_not_there(tmp_path):
    (found,) = check(make_node("1", folder=tmp_path / "gone"))
    assert found.outcome is Outcome.FAILURE
    assert "swarm-exporter init" in found.fix


def test_a_folder_of_something_else(tmp_path):
    checks = check(make_node("1", folder=tmp_path))
    assert bad(checks) == [("node 1", Outcome.WARNING)] * 2
    assert "no known generation" in checks[0].what
    assert "neither a swarm.pem nor a greeting" in checks[1].what
    assert checks[1].fix.startswith("start the node once")


def test_what_others_may_read(checkout):
    folder = checkout(1, identity(1))
    (folder / "swarm.pem").chmod(0o644)
    login = folder / "modal-login" / "temp-data" / "userData.json"
    login.chmod(0o664)
    checks = check(make_node("1", folder=folder))
    assert [c.fix for c in checks if c.outcome is Outcome.WARNING] == [
        f"chmod 600 '{folder / 'swarm.pem'}'",
        f"chmod 600 '{login}'",
    ]


def test_login_data_that_are_not_whole(checkout):
    folder = checkout(1, identity(1))
    (folder / "modal-login" / "temp-data" / "userData.json").write_text('{"a": ')
    checks = check(make_node("1", folder=folder))
    assert [c.what for c in checks if c.outcome is Outcome.WARNING] == [
        "login data userData.json are not whole"
    ]


@pytest.mark.parametrize("copied", [identity(1), b"a key of a kind that nobody reads"])
def test_two_nodes_with_one_identity(checkout, copied):
    checks = check(
        make_node("1", folder=checkout(1, copied)), make_node("2", folder=checkout(2, copied))
    )
    failures = [c for c in checks if c.outcome is Outcome.FAILURE]
    assert [c.subject for c in failures] == ["node 2"]
    assert "as node 1: two nodes cannot be one peer" in failures[0].what
    assert copied.decode("latin-1") not in failures[0].what


def test_two_nodes_in_one_folder(checkout):
    folder = checkout(1, identity(1))
    checks = check(
        make_node("1", folder=folder), make_node("2", folder=folder / "." / "logs" / "..")
    )
    failures = [c for c in checks if c.outcome is Outcome.FAILURE]
    assert [c.what for c in failures] == ["has the folder of node 1"]


def test_a_node_by_its_peer_id_alone():
    peer = peer_id_from_key(identity(1))
    assert [c.what for c in check(make_node("1", peer_id=peer))] == [f"peer {peer} (from config)"]


def test_a_node_whose_reward_nothing_tells_says_what_to_configure():
    config = make_config(make_node("1", peer_id=peer_id_from_key(identity(1))))
    off = tuple(
        Choice(source=name, on=False, why="it has none", fix=f"give {name}")
        for name in ("leaderboard", "hosted", "chain", "login")
    )
    config = msgspec.structs.replace(config, choices={"1": off})
    on = Choice(source="leaderboard", on=True, why="its address was given")
    (_, told) = check_nodes(config)
    (_, good) = check_nodes(msgspec.structs.replace(config, choices={"1": (on, *off[1:])}))
    assert good.what == "its reward is from leaderboard; it is read through leaderboard"
    assert (told.outcome, told.what) == (Outcome.WARNING, "nothing tells what it earns")
    assert told.fix.startswith("give leaderboard (leaderboard: it has none); or give hosted")
    assert bad(check(make_node("1"))) == [("node 1", Outcome.WARNING)]


def test_a_damaged_identity_names_its_fix(checkout):
    checks = check(make_node("1", folder=checkout(1, b"")))
    (found,) = [c for c in checks if c.outcome is Outcome.WARNING]
    assert "the identity file is empty" in found.what + found.fix
