from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from command_line import command, good
from private_keys import identity
from swarm_exporter.identity import peer_id_from_key

USER = "modal-login/temp-data/userData.json"
LOGIN = '{"org": {"userId": "a-secret-of-mine"}}'


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    """A backup of two nodes, and none of their folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for number in (1, 2):
        folder = tmp_path / f"rl-swarm-{number}"
        (folder / USER).parent.mkdir(parents=True)
        (folder / "swarm.pem").write_bytes(identity(number))
        (folder / USER).write_text(LOGIN)
    good("backup", "nodes.tar.gz", "--instances", "2")
    for number in (1, 2):
        shutil.rmtree(tmp_path / f"rl-swarm-{number}")
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_comes_back_with_its_permissions(saved):
    done = good("restore", "nodes.tar.gz", "--instances", "2")
    for number in (1, 2):
        node = saved / f"rl-swarm-{number}"
        assert (node / "swarm.pem").read_bytes() == identity(number)
        assert (node / USER).read_text() == LOGIN
        assert mode(node / "swarm.pem") == 0o400
        assert mode(node / USER) == 0o600
        assert mode(node) == mode(node / "modal-login") == 0o700
        assert f"swarm.pem ({peer_id_from_key(identity(number))}) is restored" in done.out
    assert "has no checkout yet; make it with `swarm-exporter init`" in done.err
    assert "a-secret-of-mine" not in done.out + done.err


def test_a_second_time_is_nothing_new(saved):
    good("restore", "nodes.tar.gz", "--instances", "2")
    before = (saved / "rl-swarm-1" / "swarm.pem").stat()
    done = good("restore", "nodes.tar.gz", "--instances", "2")
    assert done.out.count("is there already") == 4
    assert (saved / "rl-swarm-1" / "swarm.pem").stat().st_mtime_ns == before.st_mtime_ns


def test_another_identity_is_never_overwritten(saved):
    (saved / "rl-swarm-2").mkdir()
    (saved / "rl-swarm-2" / "swarm.pem").write_bytes(identity(3))
    done = command("restore", "nodes.tar.gz", "--instances", "2", "--login")
    assert done.code == 1
    assert f"node 2: {saved / 'rl-swarm-2' / 'swarm.pem'} is another identity" in done.err
    assert "move it away" in done.err
    assert (saved / "rl-swarm-2" / "swarm.pem").read_bytes() == identity(3)
    assert not (saved / "rl-swarm-1").exists(), "nothing is written before everything is checked"


def test_login_data_that_differ_are_replaced_on_demand_alone(saved):
    good("restore", "nodes.tar.gz", "--instances", "2")
    (saved / "rl-swarm-1" / USER).write_text('{"newer": {}}')
    done = good("restore", "nodes.tar.gz", "--instances", "2")
    assert f"{USER} differs and stays; replace it with --login" in done.out
    assert (saved / "rl-swarm-1" / USER).read_text() == '{"newer": {}}'
    done = good("restore", "nodes.tar.gz", "--instances", "2", "--login")
    assert f"{USER} differed and is replaced" in done.out
    assert (saved / "rl-swarm-1" / USER).read_text() == LOGIN
    assert mode(saved / "rl-swarm-1" / USER) == 0o600


def test_a_dry_run_and_json(saved):
    done = good("restore", "nodes.tar.gz", "--instances", "2", "--dry-run", "--json")
    shown = json.loads(done.out)
    assert shown["written"] is False
    assert shown["files"][0] == {
        "node": "1",
        "from_node": "1",
        "kind": "identity",
        "path": str(saved / "rl-swarm-1" / "swarm.pem"),
        "action": "write",
        "peer_id": peer_id_from_key(identity(1)),
    }
    assert not (saved / "rl-swarm-1").exists()
    done = good("restore", "nodes.tar.gz", "--instances", "2", "--json")
    assert json.loads(done.out)["written"] is True
    assert "a-secret-of-mine" not in done.out


def test_nodes_can_be_renamed(saved):
    done = command("restore", "nodes.tar.gz", "--instances", "1")
    assert done.code == 1
    assert 'the archive has a node "2", but here are 1' in done.err
    assert "--map 2=NAME" in done.err
    good("restore", "nodes.tar.gz", "--instances", "2", "--map", "1=2", "--map", "2=1")
    assert (saved / "rl-swarm-1" / "swarm.pem").read_bytes() == identity(2)
    assert (saved / "rl-swarm-2" / "swarm.pem").read_bytes() == identity(1)


@pytest.mark.parametrize(
    ("maps", "problem"),
    [
        (["1"], "must be OLD=NEW"),
        (["1="], "must be OLD=NEW"),
        (["1=2", "1=3"], "1 is given twice"),
        (["7=1"], "the archive has 1, 2; name one of them"),
        (["1=2"], "two nodes of the archive would become one"),
    ],
)
def test_a_wrong_renaming_is_wrong_usage(saved, maps, problem):
    flags = [word for text in maps for word in ("--map", text)]
    done = command("restore", "nodes.tar.gz", "--instances", "2", *flags)
    assert done.code == 2
    assert problem in done.err
    assert not (saved / "rl-swarm-1").exists()


def test_one_identity_does_not_come_into_two_nodes(saved):
    (saved / "rl-swarm-3").mkdir()
    (saved / "rl-swarm-3" / "swarm.pem").write_bytes(identity(1))
    done = command("restore", "nodes.tar.gz", "--instances", "3")
    assert done.code == 1
    assert "nodes 1 and 3 have the same identity" in done.err
    assert not (saved / "rl-swarm-1").exists()


def test_login_data_go_where_the_profile_says_alone(saved):
    (saved / "mine.yml").write_text(
        "title: mine\ncommand: [x]\nidentity: my.pem\nlogin: [a.json]\n"
    )
    done = command("restore", "nodes.tar.gz", "--instances", "2", "--profile", "mine.yml")
    assert done.code == 1
    assert f"the profile mine.yml knows no login data {USER}" in done.err
    (saved / "none.yml").write_text("title: mine\ncommand: [x]\n")
    done = command("restore", "nodes.tar.gz", "--instances", "2", "--profile", "none.yml")
    assert "the profile none.yml has no identity" in done.err


def test_a_damaged_archive_writes_nothing(saved):
    content = bytearray((saved / "nodes.tar.gz").read_bytes())
    content[len(content) // 2] ^= 1
    (saved / "nodes.tar.gz").write_bytes(content)
    done = command("restore", "nodes.tar.gz", "--instances", "2")
    assert done.code == 1
    assert "nodes.tar.gz" in done.err
    assert not (saved / "rl-swarm-1").exists()


def test_a_folder_that_cannot_be_made_is_said(saved):
    (saved / "file").write_text("")
    done = command("restore", "nodes.tar.gz", "--instances", "2", "--folder", "file/{i}")
    assert done.code == 1
    assert "cannot be written (not a directory)" in done.err
