from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from support import eventually, make_config, make_node
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.marker import MARKER

#: What a trainer's command line looks like (RL Swarm v0.5), and who waits for a line.
TRAINER = ["-c", "import time; time.sleep(600)", "-m", "rgym_exp.runner.swarm_launcher"]


#: Says how many nodes another user sees, and whether the one in a folder is watched.
STRANGER = """
import os, sys
from pathlib import Path
from support import make_config, make_node
from swarm_exporter.host.trees import NodeTrees
folder = Path(sys.argv[1])
config = make_config(make_node("1", folder=folder), state_dir=folder / "state")
trees = NodeTrees(shared=0.0)
trees.trainers({}, {})  # The other user may not be able to read this program's own files.
os.setuid(65534)
print(len(trees.look(config)), trees.is_watched(config, "1"))
"""


@pytest.fixture
def started():
    with ExitStack() as stack:

        def start(command, **how) -> subprocess.Popen:
            process = subprocess.Popen(command, start_new_session=True, **how)
            stack.callback(process.wait)
            stack.callback(lambda: [p.kill() for p in _family(process.pid)])
            return process

        yield start


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.Error:
        return []


def pids(trees: NodeTrees, config, name: str) -> set[int]:
    tree = trees.look(config).get(name)
    return {row.pid for row in tree.rows} if tree is not None else set()


def names_of(found: set[int]) -> set[str]:
    return {psutil.Process(pid).name() for pid in found}


def test_a_launched_node_is_all_that_carries_its_marker_and_what_has_lost_it(tmp_path, started):
    config = make_config(make_node("1"), make_node("2"), state_dir=tmp_path)
    script = "env -i sleep 600 & sleep 601 & wait"
    node = started(["bash", "-c", script], env={**os.environ, MARKER: "m1"})
    other = started(["sleep", "602"], env={**os.environ, MARKER: "m2"})
    files = LauncherFiles(tmp_path)
    for name, pid, marker in (("1", node.pid, "m1"), ("2", other.pid, "m2")):
        folder = files.node(name).folder
        folder.mkdir(parents=True)
        files.node(name).run.write_text(
            json.dumps({"runner": 1, "pid": pid, "marker": marker, "started": time.time()})
        )
    trees = NodeTrees(shared=0.0)
    eventually(lambda: len(pids(trees, config, "1")) == 3, "three processes")
    assert pids(trees, config, "2") == {other.pid}
    assert trees.look(config)["1"].root == node.pid
    members = trees.members(config)["1"]
    assert [m.pid for m in members if m.root] == [node.pid]


def test_a_node_that_somebody_started_is_the_script_around_its_trainer(tmp_path, started):
    folder = tmp_path / "rl-swarm-1"
    folder.mkdir()
    config = make_config(make_node("1", folder=folder), state_dir=tmp_path / "state")
    script = f"sleep 603 & {sys.executable} {' '.join(map(_quoted, TRAINER))} & wait"
    script = started(["bash", "-c", script], cwd=folder)
    editor = started(["sleep", "604"], cwd=folder)
    trees = NodeTrees(shared=0.0)
    found = eventually(lambda: pids(trees, config, "1"), "the node")
    eventually(lambda: len(pids(trees, config, "1")) == 3, "all of it")
    found = pids(trees, config, "1")
    assert script.pid in found
    assert editor.pid not in found
    assert names_of(found) >= {"bash", "sleep"}
    assert trees.look(config)["1"].root == script.pid


def test_the_shell_in_which_a_node_was_typed_is_not_of_the_node(tmp_path, started):
    folder = tmp_path / "rl-swarm-1"
    folder.mkdir()
    config = make_config(make_node("1", folder=folder), state_dir=tmp_path / "state")
    # With job control each command has a process group of its own, as in a terminal.
    typed = f"set -m; sleep 605 & {sys.executable} {' '.join(map(_quoted, TRAINER))} & wait"
    shell = started(["bash", "-c", typed], cwd=folder)
    trees = NodeTrees(shared=0.0)
    found = eventually(lambda: pids(trees, config, "1"), "the node")
    assert shell.pid not in found
    assert "sleep" not in names_of(found)


def test_a_loop_that_starts_three_nodes_is_of_none_of_them(tmp_path, started):
    nodes = []
    loop = ""
    for name in "123":
        folder = tmp_path / f"rl-swarm-{name}"
        folder.mkdir()
        nodes.append(make_node(name, folder=folder))
        loop += f"cd {folder}; {sys.executable} {' '.join(map(_quoted, TRAINER))} & "
    config = make_config(*nodes, state_dir=tmp_path / "state")
    shell = started(["bash", "-c", loop + "wait"])
    trees = NodeTrees(shared=0.0)
    eventually(lambda: len(trees.look(config)) == 3, "three nodes")
    found = [pids(trees, config, name) for name in "123"]
    assert all(len(one) == 1 for one in found)
    assert len(set().union(*found)) == 3
    assert shell.pid not in set().union(*found)


def test_a_trainer_elsewhere_is_found_by_the_path_of_its_identity(tmp_path, started):
    folder, checkout = tmp_path / "node-1", tmp_path / "checkout"
    folder.mkdir()
    checkout.mkdir()
    config = make_config(make_node("1", folder=folder), state_dir=tmp_path / "state")
    # The trainer's p2pd has the path (RL Swarm v0.5 to v0.7); nobody else's argument counts.
    p2pd = f"-id={folder}/swarm.pem"
    script = tmp_path / "p2pd"
    script.write_text("#!/bin/bash\nsleep 606 & wait\n")
    script.chmod(0o755)
    code = f"import subprocess; subprocess.run([{str(script)!r}, {p2pd!r}])"
    trainer = started([sys.executable, TRAINER[0], code, *TRAINER[2:]], cwd=checkout)
    viewer = started(["tail", "-f", "/dev/null", str(folder / "swarm.pem")], stderr=-3, stdout=-3)
    trees = NodeTrees(shared=0.0)
    eventually(lambda: len(pids(trees, config, "1")) == 3, "trainer, p2pd and what it started")
    found = pids(trees, config, "1")
    assert trainer.pid in found
    assert viewer.pid not in found


@pytest.mark.parametrize("first_has_a_file", [True, False])
def test_two_nodes_in_one_folder_are_told_apart_by_their_identities(
    tmp_path, started, first_has_a_file
):
    nodes = [
        make_node("1", folder=tmp_path, identity_file=tmp_path / "swarm.pem"),
        make_node("2", folder=tmp_path, identity_file=tmp_path / "second.pem"),
    ]
    if not first_has_a_file:
        nodes[0] = make_node("1", folder=tmp_path)
    config = make_config(*nodes, state_dir=tmp_path / "state")
    first, second = (
        started([sys.executable, *TRAINER, "--identity_path", f"{tmp_path}/{name}"], cwd=tmp_path)
        for name in ("swarm.pem", "second.pem")
    )
    trees = NodeTrees(shared=0.0)
    eventually(lambda: len(trees.look(config)) == 2, "both")
    assert pids(trees, config, "1") == {first.pid}
    assert pids(trees, config, "2") == {second.pid}


def test_a_child_in_the_background_that_has_lost_its_parent_is_still_of_the_node(tmp_path, started):
    config = make_config(make_node("1", folder=tmp_path), state_dir=tmp_path / "state")
    trainer = f"{sys.executable} {' '.join(map(_quoted, TRAINER))}"
    script = started(["bash", "-c", f"(sleep 607 &); {trainer}; true"], cwd=tmp_path)
    trees = NodeTrees(shared=0.0)
    eventually(lambda: len(pids(trees, config, "1")) == 3, "script, trainer and orphan")
    os.killpg(script.pid, 9)


def test_a_forked_twin_that_has_left_for_a_session_of_its_own_is_of_the_node(tmp_path, started):
    config = make_config(make_node("1", folder=tmp_path), state_dir=tmp_path / "state")
    leave = "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\n"
    code = f"{leave}time.sleep(608)"
    trainer = started([sys.executable, "-c", code, *TRAINER[2:]], cwd=tmp_path)
    trees = NodeTrees(shared=0.0)

    def left() -> set[int]:
        table = {row.pid: row for tree in trees.look(config).values() for row in tree.rows}
        return {pid for pid, row in table.items() if row.session != trainer.pid and not row.zombie}

    (twin,) = eventually(left, "the twin")
    try:
        assert trees.look(config)["1"].root == trainer.pid
    finally:
        psutil.Process(twin).kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as /proc refuses")
def test_a_node_is_unknown_where_a_trainer_may_not_be_asked_for_its_folder(tmp_path, started):
    config = make_config(make_node("1", folder=tmp_path), state_dir=tmp_path / "state")
    started([sys.executable, *TRAINER], cwd=tmp_path)
    trees = NodeTrees(shared=0.0)
    eventually(lambda: pids(trees, config, "1"), "the node")
    assert trees.is_watched(config, "1")
    said = subprocess.run(
        [sys.executable, "-c", STRANGER, str(tmp_path)],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == ["0", "False"]


def test_who_asks_at_once_shares_one_look():
    looks = []

    def read():
        looks.append(1)
        return {}

    trees = NodeTrees(read)
    config = make_config(make_node("1"))
    trees.look(config)
    trees.members(config)
    trees.trainers({}, {})
    assert len(looks) == 1


def test_a_new_configuration_finds_its_own_nodes_in_the_same_look(tmp_path):
    trees = NodeTrees(dict)
    first = make_config(make_node("1"), state_dir=tmp_path)
    second = make_config(make_node("2"), state_dir=tmp_path)
    assert trees.look(first) == trees.look(second) == {}


def test_a_node_is_watched_where_its_folder_is_known(tmp_path):
    config = make_config(
        make_node("1", folder=tmp_path), make_node("2"), make_node("3"), state_dir=tmp_path
    )
    files = LauncherFiles(tmp_path).node("3")
    files.folder.mkdir(parents=True)
    files.spec.write_text(json.dumps({"folder": str(tmp_path)}))
    trees = NodeTrees()
    assert [trees.is_watched(config, name) for name in "1234"] == [True, False, True, False]


def _quoted(text: str) -> str:
    return f"'{text}'"
