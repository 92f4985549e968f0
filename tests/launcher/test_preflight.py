from __future__ import annotations

import socket
import subprocess

import psutil
import pytest

from launcher_support import make_spec
from swarm_exporter.launcher.foreign import find_trainers
from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.preflight import identity_of, obstacle


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_nothing_stands_in_the_way(tmp_path):
    assert obstacle(make_spec(folder=str(tmp_path)), [], []) is None


def test_a_folder_that_is_not_there_is_final(tmp_path):
    problem = obstacle(make_spec(folder=str(tmp_path / "absent")), [], [])
    assert problem.final
    assert "make it with `swarm-exporter init`" in problem.problem


def test_one_identity_runs_once(tmp_path):
    specs = []
    for name in "12":
        (tmp_path / name).mkdir()
        (tmp_path / name / "swarm.pem").write_bytes(b"key")
        specs.append(
            make_spec(name, str(tmp_path / name), identity=str(tmp_path / name / "swarm.pem"))
        )
    problem = obstacle(specs[1], [specs[0]], [])
    assert problem.final
    assert problem.problem.startswith("it has the same identity as node 1")
    (tmp_path / "2" / "swarm.pem").write_bytes(b"another")
    assert obstacle(specs[1], [specs[0]], []) is None
    assert "key" not in (identity_of(specs[0]) or "")


def test_nodes_without_an_identity_yet_are_no_twins(tmp_path):
    one, two = (make_spec(n, str(tmp_path), identity=str(tmp_path / n / "swarm.pem")) for n in "12")
    assert obstacle(one, [two], []) is None


def test_a_port_is_taken_on_whatever_address(listener):
    assert is_taken(listener)
    assert holder(listener).startswith(f"process {psutil.Process().pid} (")


def test_a_port_is_free_once_its_holder_is_gone(listener):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    assert not is_taken(port)


def test_a_trainer_that_somebody_else_started_is_found_by_its_folder(tmp_path):
    (tmp_path / "mine" / "deeper").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    spec = make_spec(folder=str(tmp_path / "mine"), trainer="^sleep 2011")
    with (
        subprocess.Popen(["sleep", "2011"], cwd=tmp_path / "mine" / "deeper") as mine,
        subprocess.Popen(["sleep", "2011"], cwd=tmp_path / "other") as other,
    ):
        try:
            processes = [psutil.Process(mine.pid), psutil.Process(other.pid)]
            problem = obstacle(spec, [], processes)
            assert not problem.final
            assert f"process {mine.pid} (sleep), which was not started here" in problem.problem
            folders = {"1": tmp_path / "mine", "2": tmp_path / "none"}
            found = find_trainers(folders, {"genrl": "^sleep 2011"})
            assert {name: (t.pid, t.profile) for name, t in found.items()} == {
                "1": (mine.pid, "genrl")
            }
        finally:
            mine.kill()
            other.kill()


def test_an_editor_in_the_folder_is_no_trainer(tmp_path):
    with subprocess.Popen(["sleep", "2012"], cwd=tmp_path) as editor:
        try:
            assert find_trainers({"1": tmp_path}) == {}
        finally:
            editor.kill()
