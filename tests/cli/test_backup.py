from __future__ import annotations

import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from command_line import command, good
from private_keys import identity
from swarm_exporter.identity import peer_id_from_key

USER = "modal-login/temp-data/userData.json"
KEY = "modal-login/temp-data/userApiKey.json"
SECRETS = ("a-secret-of-mine", "a-private-key")


@pytest.fixture
def nodes(tmp_path, monkeypatch) -> Path:
    """Two nodes with identities, of which the first is logged in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for number in (1, 2):
        folder = tmp_path / f"rl-swarm-{number}"
        folder.mkdir()
        (folder / "swarm.pem").write_bytes(identity(number))
        (folder / "swarm.pem").chmod(0o400)
    login = tmp_path / "rl-swarm-1" / "modal-login" / "temp-data"
    login.mkdir(parents=True)
    (login / "userData.json").write_text('{"org": {"userId": "a-secret-of-mine"}}')
    (login / "userApiKey.json").write_text('{"org": [{"privateKey": "a-private-key"}]}')
    return tmp_path


def silent(*texts: str) -> None:
    for text in texts:
        assert not any(secret in text for secret in SECRETS)


def test_everything_is_saved_for_its_owner_alone(nodes):
    before = os.umask(0)
    try:
        done = good("backup", "nodes.tar.gz", "--instances", "2")
    finally:
        os.umask(before)
    path = nodes / "nodes.tar.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as tar:
        assert tar.getnames() == [
            "manifest.json",
            "node-1/swarm.pem",
            f"node-1/{USER}",
            f"node-1/{KEY}",
            "node-2/swarm.pem",
        ]
        assert tar.extractfile("node-2/swarm.pem").read() == identity(2)
    assert f"node 1: swarm.pem  {peer_id_from_key(identity(1))}" in done.out
    assert f"node 1: {USER}\n" in done.out
    assert f"node 2: {USER} does not exist: it is not logged in" in done.err
    assert "It holds private keys" in done.err
    silent(done.out, done.err)


def test_an_existing_file_stays_unless_forced(nodes):
    good("backup", "nodes.tar.gz", "--instances", "1")
    before = (nodes / "nodes.tar.gz").read_bytes()
    done = command("backup", "nodes.tar.gz", "--instances", "2")
    assert done.code == 1
    assert "nodes.tar.gz exists; give another name, or replace it with --force" in done.err
    assert (nodes / "nodes.tar.gz").read_bytes() == before
    good("backup", "nodes.tar.gz", "--instances", "2", "--force")
    assert (nodes / "nodes.tar.gz").read_bytes() != before
    assert "is a folder" in command("backup", "rl-swarm-1", "--instances", "2", "--force").err


def test_half_written_login_data_are_left_out(nodes):
    (nodes / "rl-swarm-1" / USER).write_text('{"org": {"userId": "a-secret-of-mi')
    (nodes / "rl-swarm-1" / KEY).write_text('["a-private-key"]')
    (nodes / "rl-swarm-2" / "swarm.pem").chmod(0o600)
    (nodes / "rl-swarm-2" / "swarm.pem").write_bytes(b"")
    done = good("backup", "nodes.tar.gz", "--instances", "2")
    assert f"node 1: {USER} is only half written and is left out" in done.err
    assert f"node 1: {KEY} is only half written and is left out" in done.err
    assert "rl-swarm-2/swarm.pem is empty, so no identity is saved" in done.err
    with tarfile.open(nodes / "nodes.tar.gz") as tar:
        assert tar.getnames() == ["manifest.json", "node-1/swarm.pem"]
    silent(done.out, done.err)


def test_an_unknown_kind_of_key_is_saved_and_said(nodes):
    (nodes / "rl-swarm-2" / "swarm.pem").chmod(0o600)
    (nodes / "rl-swarm-2" / "swarm.pem").write_bytes(b"another kind of key")
    done = good("backup", "nodes.tar.gz", "--instances", "2")
    assert "not a binary libp2p RSA key" in done.err
    assert "it is saved as it is" in done.err


def test_a_dry_run_and_json(nodes):
    done = good("backup", "nodes.tar.gz", "--instances", "2", "--dry-run", "--json")
    shown = json.loads(done.out)
    assert shown["written"] is False
    assert shown["files"][0] == {
        "node": "1",
        "kind": "identity",
        "path": "swarm.pem",
        "size": len(identity(1)),
        "peer_id": peer_id_from_key(identity(1)),
    }
    assert not (nodes / "nodes.tar.gz").exists()
    shown = json.loads(good("backup", "nodes.tar.gz", "--instances", "2", "--json").out)
    assert shown["written"] is True
    assert shown["size"] == (nodes / "nodes.tar.gz").stat().st_size
    silent(done.out, done.err)


def test_nothing_to_save_is_an_error(nodes):
    done = command("backup", "nodes.tar.gz", "--instances", "1", "--folder", "elsewhere-{i}")
    assert done.code == 1
    assert "there is nothing to save" in done.err
    assert not (nodes / "nodes.tar.gz").exists()


def test_an_identity_elsewhere_is_saved(nodes):
    (nodes / "keys").mkdir()
    (nodes / "rl-swarm-2" / "swarm.pem").rename(nodes / "keys" / "two.pem")
    (nodes / "swarm.yml").write_text(
        "nodes:\n  - {name: two ü, folder: rl-swarm-2, identity_file: keys/two.pem}\n"
    )
    good("backup", "nodes.tar.gz", "--config", "swarm.yml")
    (nodes / "keys" / "two.pem").unlink()
    good("restore", "nodes.tar.gz", "--config", "swarm.yml")
    assert (nodes / "keys" / "two.pem").read_bytes() == identity(2)
