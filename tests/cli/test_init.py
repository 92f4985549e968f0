from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from command_line import command, good
from launcher_repository import GENERATIONS, SUBMITS, commit, make_repository, run_git
from private_keys import identity
from support import COMMAND
from swarm_exporter.config import Flags, load_config
from swarm_exporter.identity import peer_id_from_key
from swarm_exporter.launcher.nodes import launch_nodes

_WAIT_SECONDS = 30


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in; nothing of the person's own is seen."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [*os.environ]:
        if name.startswith(("SWARM_", "XDG_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    return folder


@pytest.fixture
def upstream(tmp_path) -> Path:
    return make_repository(tmp_path / "upstream", "codezero")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("generation", GENERATIONS)
def test_three_nodes_from_a_checkout(here, tmp_path, generation):
    source = make_repository(tmp_path / "source", generation)
    done = good("init", str(source), "--instances", "3")
    for number in (1, 2, 3):
        node = here / f"rl-swarm-{number}"
        port = f"localhost:{2999 + number}"
        assert (node / "run_rl_swarm.sh").read_text().count(port) == 2
        assert port in (node / SUBMITS[generation]).read_text()
        assert (node / "logs").stat().st_mode & 0o777 == 0o700
        assert f"node {number}: http://{port}" in done.out
    assert f"from {source}" in done.out
    assert "ssh -L 3000:localhost:3000 -L 3001:localhost:3001 -L 3002:localhost:3002" in done.out
    assert "swarm-exporter launch --instances 3" in done.out
    config = load_config(Flags(instances="3"), {}, here)
    nodes = launch_nodes(config, here)
    assert [node.profile_name for node in nodes] == [generation] * 3
    assert not list(here.glob(".*")), "nothing is left beside the nodes"


def test_a_second_run_has_nothing_to_do(here, upstream):
    good("init", str(upstream), "--instances", "2")
    before = tree(here)
    done = good("init", str(upstream), "--instances", "2")
    assert "Nothing to do: every node is set up." in done.out
    assert "+++" not in done.out
    assert tree(here) == before


def test_a_dry_run_shows_everything_and_changes_nothing(here, upstream, tmp_path):
    before = tree(tmp_path)
    done = good("init", str(upstream), "--instances", "2", "--dry-run")
    assert "+open http://localhost:3001\n" in done.out
    assert "-open http://localhost:3000\n" in done.out
    assert "+  num_transplant_trees: 1\n" in done.out
    assert "Dry run: nothing was changed." in done.out
    assert tree(tmp_path) == before
    assert not (tmp_path / "home").exists()


def test_a_dry_run_with_a_url_downloads_nothing(here, tmp_path):
    done = good("init", "https://me:secret@127.0.0.1:1/rl-swarm.git", "--dry-run")
    assert "from https://127.0.0.1:1/rl-swarm.git" in done.out
    assert "secret" not in done.out + done.err
    assert not (tmp_path / "home").exists()


def test_a_url_is_downloaded_once_for_all_nodes(here, upstream, tmp_path):
    good("init", f"file://{upstream}", "--instances", "2")
    upstream.rename(tmp_path / "away")
    done = good("init", f"file://{upstream}", "--instances", "2")
    assert "Nothing to do" in done.out, "a node that is there needs no download"
    done = good("init", f"file://{upstream}", "--revision", "v1.0", "--instances", "3")
    assert "rl-swarm-3 is set up" in done.out
    assert run_git(here / "rl-swarm-3", "remote", "get-url", "origin") == f"file://{upstream}"


def test_nodes_are_added_to_those_that_are_there(here, tmp_path):
    good("init", str(make_repository(tmp_path / "genrl", "genrl")), "--instances", "1")
    first = tree(here / "rl-swarm-1")
    done = good("init", str(here / "rl-swarm-1"), "--instances", "2", "--no-tune")
    assert "rl-swarm-2 is set up" in done.out
    assert "not committed" in done.err, "node 1 is patched, and node 2 is cloned from its commit"
    assert tree(here / "rl-swarm-1") == first
    assert "localhost:3001" in (here / "rl-swarm-2" / "run_rl_swarm.sh").read_text()
    assert "num_transplant_trees: 2" in (here / "rl-swarm-2" / SUBMITS["genrl"]).read_text()


def test_one_node_alone_is_not_tuned(here, upstream):
    good("init", str(upstream))
    assert "num_transplant_trees: 2" in (here / "rl-swarm-1" / SUBMITS["codezero"]).read_text()


def test_folders_with_spaces_and_unicode(here, upstream):
    done = good("init", str(upstream), "--instances", "2", "--folder", "ein Knoten {i} ü 节点")
    assert "localhost:3001" in (here / "ein Knoten 2 ü 节点" / "run_rl_swarm.sh").read_text()
    assert "launch --instances 2 --folder 'ein Knoten {i} ü 节点'" in done.out


def test_a_persons_own_changes_stay(here, upstream):
    good("init", str(upstream))
    script = here / "rl-swarm-1" / "run_rl_swarm.sh"
    script.write_text(script.read_text().replace("3000", "3005") + "# mine ü\n")
    (here / "rl-swarm-1" / "mine.txt").write_text("mine")
    done = good("init")
    assert "-open http://localhost:3005\n" in done.out
    text = script.read_text()
    assert "localhost:3000" in text
    assert text.endswith("# mine ü\n")
    assert script.stat().st_mode & 0o100
    assert (here / "rl-swarm-1" / "mine.txt").read_text() == "mine"


def test_identity_and_login_data_are_never_touched(here, upstream):
    good("init", str(upstream), "--instances", "2")
    node = here / "rl-swarm-1"
    for name in ("swarm.pem", "modal-login/temp-data/userData.json"):
        path = node / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(identity(1))
        path.chmod(0o400)
    secret = {path: path.stat() for path in (node / "swarm.pem", path)}
    (node / "run_rl_swarm.sh").write_text(
        (node / "run_rl_swarm.sh").read_text().replace("3000", "9")
    )
    good("init", "--instances", "2")
    for path, before in secret.items():
        now = path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert path.read_bytes() == identity(1)


def test_a_restored_folder_gets_its_checkout(here, upstream):
    login = here / "rl-swarm-1" / "modal-login" / "temp-data" / "userData.json"
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    (here / "rl-swarm-1" / "swarm.pem").write_bytes(identity(1))
    good("init", str(upstream))
    assert login.read_text() == "{}"
    assert (here / "rl-swarm-1" / "swarm.pem").read_bytes() == identity(1)
    assert (here / "rl-swarm-1" / ".git").is_dir()


def test_a_copied_identity_names_both_nodes(here, upstream):
    good("init", str(upstream), "--instances", "2")
    for number in (1, 2):
        (here / f"rl-swarm-{number}" / "swarm.pem").write_bytes(identity(1))
    before = tree(here)
    done = command("init", "--instances", "3")
    assert done.code == 1
    assert "nodes 1 and 2 have the same identity" in done.err
    assert peer_id_from_key(identity(1)) in done.err
    assert tree(here) == before


def test_a_folder_that_is_something_else_is_left(here, upstream, tmp_path):
    other = make_repository(tmp_path / "other", "hivemind")
    good("init", str(other))
    (here / "rl-swarm-2").mkdir()
    (here / "rl-swarm-2" / "letters.txt").write_text("mine")
    (here / "rl-swarm-3").write_text("a file")
    before = tree(here)
    for folder, problem in (
        ("rl-swarm-1", "node 1: .* is no checkout of RL Swarm v0.7"),
        ("rl-swarm-2", "node 1: .* is no git checkout, but holds letters.txt"),
        ("rl-swarm-3", "node 1: .*rl-swarm-3 is no folder"),
    ):
        done = command("init", str(upstream), "--folder", folder)
        assert done.code == 1
        assert re.search(problem, done.err)
    assert tree(here) == before


def test_a_source_of_no_known_generation_is_refused(here, tmp_path):
    source = make_repository(tmp_path / "source", "genrl")
    (source / "run_rl_swarm.sh").write_text("echo another program\n")
    commit(source, "Change")
    done = command("init", str(source))
    assert done.code == 1
    assert "is no checkout of" in done.err
    assert "--profile" in done.err
    assert not (here / "rl-swarm-1").exists()


def test_a_profile_of_ones_own_is_used_and_written(here, upstream):
    (here / "mine.yml").write_text(
        "title: mine\ncommand: [bash, ./run_rl_swarm.sh]\nports: {login: 4000}\npatches:\n"
        "  - {file: run_rl_swarm.sh, find: 'localhost:(3|4)\\d+', "
        "replace: 'localhost:{ports[login]}', why: ports}\n"
    )
    good("init", str(upstream), "--profile", "mine.yml", "--write-config", "swarm.yml")
    assert "localhost:4000" in (here / "rl-swarm-1" / "run_rl_swarm.sh").read_text()
    config = load_config(Flags(config="swarm.yml"), {}, here)
    assert launch_nodes(config, here)[0].profile.title == "mine"


def test_a_patch_that_does_not_apply_leaves_no_node(here, upstream):
    script = upstream / "run_rl_swarm.sh"
    script.write_text(script.read_text().replace("localhost:3000", "host"))
    commit(upstream, "Change")
    done = command("init", str(upstream), "--instances", "2")
    assert done.code == 1
    assert "node 1: run_rl_swarm.sh has no text that matches" in done.err
    assert not list(here.iterdir())


def test_a_linked_file_is_not_written_through(here, upstream, tmp_path):
    good("init", str(upstream))
    script = here / "rl-swarm-1" / "run_rl_swarm.sh"
    script.rename(tmp_path / "shared.sh")
    script.symlink_to(tmp_path / "shared.sh")
    done = command("init")
    assert done.code == 1
    assert "is a link, and its target may be another node's" in done.err


def test_a_checkout_is_not_moved_to_another_revision(here, upstream):
    good("init", str(upstream))
    head = run_git(here / "rl-swarm-1", "rev-parse", "HEAD")
    assert "stays at" not in good("init", "--revision", "v1.0").err
    (upstream / "more").write_text("more")
    commit(upstream, "More")
    run_git(upstream, "tag", "v2.0")
    done = good("init", str(upstream), "--revision", "v2.0")
    assert "node 1: stays at v1.0" in done.err
    assert run_git(here / "rl-swarm-1", "rev-parse", "HEAD") == head


def test_what_an_interrupted_run_left_is_said_and_removed(here, upstream):
    left = here / ".rl-swarm-1.unfinished"
    (left / ".git").mkdir(parents=True)
    done = good("init", str(upstream))
    assert f"{left} was left by an interrupted run" in done.err
    assert not left.exists()


def test_two_runs_at_once_are_refused(here, upstream, tmp_path):
    from swarm_exporter.launcher.workspace import only_one

    with only_one(tmp_path / "state"):
        done = command("init", str(upstream), "--state-dir", str(tmp_path / "state"))
    assert done.code == 1
    assert "another `swarm-exporter init` is running" in done.err
    assert not list(here.iterdir())
    good("init", str(upstream), "--state-dir", str(tmp_path / "state"))


def test_the_configuration_that_is_written_is_the_nodes(here, upstream):
    done = good(
        "init",
        str(upstream),
        "--instances",
        "2",
        "--folder",
        'n "{i}" #ü',
        "--write-config",
        "s.yml",
    )
    assert f"launch --config {here / 's.yml'}" in done.out
    before = launch_nodes(
        load_config(Flags(instances="2", folder='n "{i}" #ü'), {}, here), here, "codezero"
    )
    config = load_config(Flags(config=str(here / "s.yml")), {}, Path("/"))
    assert launch_nodes(config, Path("/")) == before
    assert "#" in (here / "s.yml").read_text()
    written = (here / "s.yml").read_bytes()
    again = command("init", "--instances", "2", "--write-config", "s.yml")
    assert again.code == 2
    assert "exists; give another name" in again.err
    both = command("init", "--config", "s.yml", "--write-config", "t.yml")
    assert both.code == 2
    assert (here / "s.yml").read_bytes() == written
    assert "Nothing to do" in good("init", "--config", "s.yml").out


def test_nodes_of_two_generations_are_written_as_such(here, upstream, tmp_path):
    other = make_repository(tmp_path / "other", "genrl")
    good("init", str(other), "--instances", "1")
    run_git(here, "clone", "--quiet", str(upstream), "rl-swarm-2")
    good("init", "--instances", "2", "--write-config", "swarm.yml")
    nodes = launch_nodes(load_config(Flags(config="swarm.yml"), {}, here), here)
    assert [node.profile_name for node in nodes] == ["genrl", "codezero"]
    assert [node.ports["login"] for node in nodes] == [3000, 3001]


def test_source_and_revision_can_stand_in_the_configuration(here, upstream):
    (here / "swarm.yml").write_text(
        f"instances: 1\nlauncher: {{repository: '{upstream}', revision: v1.0, umask: '022'}}\n"
    )
    done = good("init", "--config", "swarm.yml")
    assert "at v1.0 (" in done.out
    assert (here / "rl-swarm-1" / "run_rl_swarm.sh").stat().st_mode & 0o777 == 0o755


def test_a_profile_without_a_repository_needs_a_source(here):
    done = command("init", "--profile", "custom")
    assert done.code == 1
    assert "nothing to run" in done.err
    (here / "swarm.yml").write_text("launcher: {command: [sleep, '9']}\n")
    done = command("init", "--config", "swarm.yml")
    assert done.code == 1
    assert "give a SOURCE" in done.err


def on_a_terminal(arguments: list[str], answer: str, **environ: str) -> tuple[int, str]:
    """Run the command on a terminal of its own, and answer its question."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environ},
    ) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        output = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # The terminal's other end is closed.
                break
            if not part:
                break
            output += part
        os.close(ours)
        return process.wait(_WAIT_SECONDS), output.decode()


def test_a_terminal_is_asked_and_shown_colours(here, upstream):
    run_git(here, "clone", "--quiet", str(upstream), "rl-swarm-1")
    before = (here / "rl-swarm-1" / "modal-login" / "package.json").read_bytes()
    code, output = on_a_terminal(["init"], "n\n")
    assert code == 1
    assert "Change the files in" in output
    assert "nothing was changed, as you have answered" in output
    assert "\x1b[32m+" in output
    assert (here / "rl-swarm-1" / "modal-login" / "package.json").read_bytes() == before
    code, output = on_a_terminal(["init", "--yes"], "", NO_COLOR="1")
    assert code == 0
    assert "Change the files" not in output
    assert "\x1b[" not in output
    assert (here / "rl-swarm-1" / "modal-login" / "package.json").read_bytes() != before


def test_a_terminal_sees_how_the_download_goes(here, upstream):
    code, output = on_a_terminal(["init", f"file://{upstream}"], "")
    assert code == 0
    assert "Cloning into bare repository" in output
    assert "Receiving objects" in output
    code, output = on_a_terminal(["init", f"file://{here}/none", "--folder", "n{i}"], "")
    assert code == 1
    assert "git clone failed: see what it says above" in output
