from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.boot import install, is_installed, own_program, remove, run, unit

ODD = "a b%n $HOME ü'\"\\"


def planned(tmp_path: Path, *options: str, platform: str = "linux", **more):
    facts = {
        "environ": {"HOME": str(tmp_path / "home"), "PATH": '/usr/bin:/opt/a b%n$X"'},
        "cwd": tmp_path,
        "program": ["/usr/bin/true"],
        "state_dir": tmp_path / "state",
    }
    return unit(options, platform=platform, **{**facts, **more})


def lines(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_unit_runs_the_launcher_in_front_with_the_same_options(tmp_path):
    new = planned(tmp_path, "--instances", "3")
    found = lines(new.text)
    assert found["ExecStart"] == (
        '"/usr/bin/true" "launch" "--foreground" "--keep-stopped" "--instances" "3"'
    )
    assert found["WorkingDirectory"] == str(tmp_path)
    assert (found["KillMode"], found["TimeoutStopSec"], found["Restart"]) == (
        "mixed",
        "120",
        "on-failure",
    )
    assert found["WantedBy"] == "default.target"
    assert new.path == tmp_path / "home/.config/systemd/user/swarm-exporter.service"
    assert new.start[-1] == ("systemctl", "--user", "enable", "--now", "swarm-exporter.service")
    assert any("loginctl enable-linger" in hint for hint in new.hints)


def test_systemds_own_quoting(tmp_path):
    found = lines(planned(tmp_path, "--folder", ODD).text)
    assert found["ExecStart"].endswith(r'''"--folder" "a b%%n $$HOME ü'\"\\"''')
    assert found["Environment"] == r'"PATH=/usr/bin:/opt/a b%%n$X\""'
    folder = tmp_path / "a b%n $HOME ü'"
    assert lines(planned(tmp_path, cwd=folder).text)["WorkingDirectory"] == (
        str(folder).replace("%", "%%")
    )


@pytest.mark.parametrize("folder", ["plain", "a b%n $HOME ü'\"\\c"])
def test_systemd_itself_finds_program_and_folder(tmp_path, real_binary, folder):
    """`systemd-analyze verify` reads the unit as the manager does, and looks for the program."""
    analyze = real_binary("systemd-analyze")
    cwd = tmp_path / folder
    cwd.mkdir()
    program = tmp_path / "pro gram %n $HOME ü"
    shutil.copy(sys.executable, program)
    (tmp_path / "run").mkdir(mode=0o700)

    def verify() -> subprocess.CompletedProcess[str]:
        new = planned(tmp_path, "--folder", ODD, "", cwd=cwd, program=[str(program)])
        path = tmp_path / new.path.name
        path.write_text(new.text)
        return subprocess.run(
            [analyze, "verify", "--user", "--man=no", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        )

    done = verify()
    assert (done.returncode, done.stderr) == (0, "")
    program.unlink()
    done = verify()
    assert done.returncode != 0
    assert f"Command {program} is not executable" in done.stderr, "it was really looked for"


def test_units_are_where_xdg_says(tmp_path):
    environ = {"HOME": "/home/x", "XDG_CONFIG_HOME": "/etc/mine"}
    assert planned(tmp_path, environ=environ).path == Path(
        "/etc/mine/systemd/user/swarm-exporter.service"
    )
    environ["XDG_CONFIG_HOME"] = "relative"
    assert str(planned(tmp_path, environ=environ).path).startswith("/home/x/.config/")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"cwd": Path("/a\nExecStart=x")}, "control character"),
        ({"cwd": Path("/a ")}, "last character"),
        ({"cwd": Path("/a\\")}, "last character"),
        ({"program": ["/a\udcff"]}, "must be UTF-8"),
        ({"program": ['/a"b']}, "runs no program with a quote"),
    ],
)
def test_what_a_unit_cannot_hold_is_said(tmp_path, more, problem):
    with pytest.raises(SwarmExporterError, match=problem):
        planned(tmp_path, **more)


def test_an_agent_is_a_property_list_that_says_the_same(tmp_path):
    new = planned(tmp_path, "--folder", ODD + "<&>", platform="darwin")
    content = plistlib.loads(new.text.encode())
    assert content["Label"] == "io.github.swarm-exporter"
    assert content["ProgramArguments"] == [
        "/usr/bin/true",
        "launch",
        "--foreground",
        "--keep-stopped",
        "--folder",
        ODD + "<&>",
    ]
    assert content["WorkingDirectory"] == str(tmp_path)
    assert content["EnvironmentVariables"] == {"PATH": '/usr/bin:/opt/a b%n$X"'}
    assert content["RunAtLoad"] is True
    assert content["KeepAlive"] == {"SuccessfulExit": False}
    assert content["ExitTimeOut"] == 120
    assert content["ProcessType"] == "Interactive"
    assert content["StandardOutPath"] == str(tmp_path / "state" / "launchd.log")
    assert new.path == tmp_path / "home/Library/LaunchAgents/io.github.swarm-exporter.plist"
    assert new.start == (("launchctl", "bootstrap", f"gui/{os.getuid()}", str(new.path)),)
    with pytest.raises(SwarmExporterError, match="property list cannot hold"):
        planned(tmp_path, "\x01", platform="darwin")


def test_another_system_is_told_what_to_do(tmp_path):
    with pytest.raises(SwarmExporterError, match="launch --foreground"):
        planned(tmp_path, platform="freebsd14")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_installing_and_removing_undo_each_other(tmp_path, platform):
    new = planned(tmp_path, platform=platform)
    assert not is_installed(new)
    assert install(new)
    assert is_installed(new)
    assert not install(new), "a second time changes nothing"
    assert install(planned(tmp_path, "--instances", "2", platform=platform))
    for link in new.links:
        link.parent.mkdir()
        link.symlink_to(new.path)
    if new.log is not None:
        assert new.log.parent.is_dir(), "launchd makes no folders"
    assert remove(new)
    assert not remove(new)
    assert not new.path.exists()
    assert not any(link.is_symlink() for link in new.links)


def test_a_folder_in_the_way_is_said(tmp_path):
    new = planned(tmp_path)
    new.path.mkdir(parents=True)
    with pytest.raises(SwarmExporterError, match="cannot be written"):
        install(new)
    with pytest.raises(SwarmExporterError, match="cannot be removed"):
        remove(new)


def test_what_a_service_manager_says_is_passed_on(tmp_path):
    run(["true"])
    with pytest.raises(SwarmExporterError, match="`sh -c echo no >&2; exit 3` failed: no"):
        run(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(SwarmExporterError, match="cannot be run"):
        run([str(tmp_path / "none")])


def test_the_program_is_named_by_absolute_paths(tmp_path, monkeypatch):
    assert own_program() == [sys.executable, "-m", "swarm_exporter"], "pytest is another program"
    program = tmp_path / "bin" / "swarm-exporter"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(program.parent)
    monkeypatch.setattr(sys, "argv", ["./swarm-exporter"])
    assert own_program() == [str(program)]
