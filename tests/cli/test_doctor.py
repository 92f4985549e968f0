from __future__ import annotations

import getpass
import json
import os
import platform
import pty
import stat
import subprocess
import tarfile

import pytest

from command_line import command
from leaderboard_api import WHOLE, api
from private_keys import identity
from support import COMMAND, free_port
from swarm_exporter.doctor import examination
from swarm_exporter.identity import peer_id_from_key


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """An empty folder with a state folder, and nothing of this machine's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


def settings(folder, url: str) -> str:
    """Write a configuration of one node in good order; return its file."""
    node = folder / "secretfarm" / "rl-swarm-1"
    (node / "logs").mkdir(parents=True)
    (node / "run_rl_swarm.sh").write_text("python -m rgym_exp.runner.swarm_launcher\n")
    (node / "swarm.pem").touch(0o600)
    (node / "swarm.pem").write_bytes(identity(1))
    (folder / "env").write_text("MODE=anothercanary\n")
    file = folder / "swarm.yml"
    file.write_text(
        f"nodes: [{{name: canarynode, folder: {node}, api: '{url}'}}]\nstate_dir: ./state\n"
        f"listen: 127.0.0.1:{free_port()}\n"
        "launcher: {env: {HF_TOKEN: hf_canarycanarycanary}, env_file: env}\n"
    )
    return str(file)


def test_a_machine_in_good_order_ends_with_zero(machine):
    with api(WHOLE) as url:
        done = command("doctor", "--config", settings(machine, url))
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert groups[:-1] == [
        *("machine", "tools", "configuration", "ports", "nodes"),
        *("addresses", "clocks", "launcher", "collectors"),
    ]
    assert (
        f"  ✓ node canarynode: peer {peer_id_from_key(identity(1))} (from identity file)" in lines
    )
    assert any(line.startswith("  ✓ process: ") for line in lines)
    assert groups[-1].endswith("0 failures.")
    assert "\x1b" not in done.out
    assert done.err == ""


def test_what_is_broken_ends_with_one_and_names_the_fix(machine):
    done = command("doctor", "--folder", "gone-{i}", "--api-port", str(free_port()))
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "does not exist" in line]
    assert line.startswith("  ✗ node 1: its folder ")
    assert "→ correct --folder" in line


def test_a_configuration_that_cannot_be_used_does_not_end_the_examination(machine):
    (machine / "swarm.yml").write_text("interval: soon\n")
    done = command("doctor", "--config", "swarm.yml", "--json")
    assert done.code == 1
    document = json.loads(done.out)
    failed = [c for c in document["checks"] if c["outcome"] == "failure"]
    assert [c["group"] for c in failed] == ["configuration"]
    assert "interval" in failed[0]["what"]
    assert {c["group"] for c in document["checks"]} == {
        *("machine", "tools", "configuration", "clocks", "launcher", "collectors")
    }
    assert command("doctor", "--interval", "soon").code == 2


def test_json_counts_what_it_lists(machine):
    with api(WHOLE) as url:
        done = command("doctor", "--config", settings(machine, url), "--json")
    document = json.loads(done.out)
    assert done.code == 0
    assert sum(document["counts"].values()) == len(document["checks"])
    assert document["counts"]["failure"] == 0
    assert set(document["checks"][0]) == {"group", "subject", "outcome", "what", "fix"}


def test_a_fault_in_one_group_costs_that_group_alone(machine, monkeypatch):
    def fails(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(examination, "check_ports", fails)
    done = command("doctor", "--json", "--api-port", str(free_port()))
    checks = json.loads(done.out)["checks"]
    (ports,) = [c for c in checks if c["group"] == "ports"]
    assert ports["outcome"] == "failure"
    assert "ZeroDivisionError" in ports["what"]
    assert checks[-1]["group"] == "collectors"


def test_the_help_has_examples(machine):
    text = command("doctor", "--help").out
    assert "swarm-exporter doctor --record doctor.tar.gz" in text
    assert "doctor" in command("--help").out


def recorded(machine) -> dict[str, bytes]:
    folder = machine / "rec"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_recording_holds_readings_and_no_secret(machine):
    with api(WHOLE) as url:
        done = command("doctor", "--config", settings(machine, url), "--record", "rec")
    assert done.code == 0, done.out
    assert "Look through it before you send it." in done.err
    files = recorded(machine)
    assert {"doctor.json", "versions.json", "psutil.json"} < set(files)
    checks = json.loads(files["doctor.json"])
    assert len(checks) > 10
    assert {"exit_code", "command", "seconds"} == set(json.loads(files["tool-git-1.json"]))
    if platform.system() == "Linux":
        assert files["proc/stat"].startswith(b"cpu ")
    everything = b"\n".join([*files.values(), *(name.encode() for name in files)])
    for canary in (
        b"canary",
        b"secretfarm",
        str(machine).encode(),
        peer_id_from_key(identity(1)).encode(),
        b"hf_c",
    ):
        assert canary not in everything
    user = getpass.getuser()
    if user != "root":
        assert user.encode() not in everything
    assert stat.S_IMODE((machine / "rec").stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in (machine / "rec").rglob("*.json")} == {0o600}
    # A second one does not mix with it.
    done = command("doctor", "--record", "rec")
    assert done.code == 2
    assert "rec is not empty" in done.err


def test_a_recording_in_one_file(machine):
    done = command("doctor", "--api-port", str(free_port()), "--record", "mine.tar.gz", "--json")
    assert "Recorded in mine.tar.gz: " in done.err
    json.loads(done.out)
    with tarfile.open(machine / "mine.tar.gz") as archive:
        names = archive.getnames()
    assert "mine/doctor.json" in names
    assert all(name.startswith("mine/") for name in names)


@pytest.mark.parametrize("colours", [True, False])
def test_colours_on_a_terminal_unless_they_are_not_wanted(machine, colours):
    environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    if not colours:
        environ["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    arguments = [*COMMAND, "doctor", "--api-port", str(free_port())]
    with subprocess.Popen(arguments, stdout=theirs, stderr=subprocess.PIPE, env=environ) as process:
        os.close(theirs)
        seen = b""
        # Linux ends a terminal that nobody writes to any more with an error, macOS with nothing.
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.stderr is not None
        errors = process.stderr.read()
    os.close(ours)
    assert process.returncode == 1
    assert errors == b""
    assert "✗".encode() in seen
    assert (b"\x1b[31m" in seen) is colours


def test_progress_on_a_terminal_alone(machine):
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm-256color"}
    arguments = [*COMMAND, "doctor", "--api-port", str(free_port())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=theirs, env=environ) as process:
        os.close(theirs)
        assert process.stdout is not None
        printed = process.stdout.read()
    seen = os.read(ours, 65536)
    os.close(ours)
    assert b"looking at machine" in seen
    assert b"looking at" not in printed
    assert b"\x1b" not in printed
