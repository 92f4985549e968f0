from __future__ import annotations

import sys
from pathlib import Path

import pytest

from command_line import command, good

UNIT = Path("home/.config/systemd/user/swarm-exporter.service")


@pytest.fixture
def linux(tmp_path, monkeypatch) -> Path:
    """A folder to work in, on Linux, with a systemctl that writes down what it is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "bin").mkdir()
    for name in ("systemctl", "launchctl"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/told"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


def told(folder: Path) -> list[str]:
    path = folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_show_touches_nothing(linux):
    done = good("service", "show", "--", "--instances", "3")
    assert '"--foreground" "--keep-stopped" "--instances" "3"\n' in done.out
    assert f"{linux / UNIT} does not exist." in done.err
    assert not (linux / "home").exists()
    assert told(linux) == []


def test_install_says_how_to_start_and_show_agrees(linux):
    done = good("service", "install", "--", "--instances", "3")
    assert f"written: {linux / UNIT}" in done.out
    assert "systemctl --user enable --now swarm-exporter.service" in done.out
    assert "loginctl enable-linger" in done.out
    assert told(linux) == []
    assert good("service", "show", "--", "--instances", "3").out == (linux / UNIT).read_text()
    assert "is just this" in good("service", "show", "--", "--instances", "3").err
    assert "is another" in good("service", "show").err
    assert "already there" in good("service", "install", "--", "--instances", "3").out


def test_now_starts_and_stops(linux):
    good("service", "install", "--now", "--", "--instances", "3")
    assert told(linux) == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now swarm-exporter.service",
    ]
    good("service", "remove", "--now")
    assert told(linux)[2:] == [
        "systemctl --user disable --now swarm-exporter.service",
        "systemctl --user daemon-reload",
    ]
    assert not (linux / UNIT).exists()


def test_remove_without_now_leaves_what_runs(linux):
    good("service", "install")
    done = good("service", "remove")
    assert "stop it with: systemctl --user stop swarm-exporter.service" in done.out
    assert told(linux) == []
    assert "Nothing to do" in good("service", "remove").out


def test_a_service_manager_that_refuses_is_quoted(linux):
    (linux / "bin" / "systemctl").write_text("#!/bin/sh\necho 'no bus' >&2\nexit 1\n")
    done = command("service", "install", "--now")
    assert done.code == 1
    assert "`systemctl --user daemon-reload` failed: no bus" in done.err


def test_the_mac_has_an_agent(linux, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    good("service", "install", "--now", "--", "--state-dir", "my state")
    path = linux / "home/Library/LaunchAgents/io.github.swarm-exporter.plist"
    assert f"<string>{linux / 'my state' / 'launchd.log'}</string>" in path.read_text()
    assert (linux / "my state").is_dir()
    assert told(linux)[0].startswith("launchctl bootstrap gui/")
    done = good("service", "remove")
    assert "stop it with: launchctl bootout gui/" in done.out
    assert not path.exists()


def test_a_broken_configuration_is_said_before_the_next_boot(linux):
    (linux / "swarm.yml").write_text("instances: many\n")
    done = command("service", "install", "--", "--config", "swarm.yml")
    assert done.code == 1
    assert "swarm.yml:1: instances" in done.err
    assert not (linux / UNIT).exists()
    (linux / "swarm.yml").write_text("state_dir: there\n")
    good("service", "install", "--", "--config=swarm.yml")


def test_variables_that_will_be_missing_are_said(linux, monkeypatch):
    monkeypatch.setenv("SWARM_INSTANCES", "3")
    done = good("service", "install")
    assert "SWARM_INSTANCES is set here, but not at boot" in done.err
