from __future__ import annotations

import subprocess
import sys

import pytest

from support import COMMAND
from swarm_exporter import __version__
from swarm_exporter.cli import COMMANDS


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **environ},
    )


def test_help_names_every_command_with_examples():
    result = run("--help")
    assert result.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
    assert "RL Swarm (Gensyn)" in result.stdout
    assert "swarm-exporter --instances 3" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = run(name, "--help")
    assert result.returncode == 0
    assert f"swarm-exporter {name}" in result.stdout
    assert "Examples:" in result.stdout


def test_version():
    assert run("--version").stdout.strip() == f"swarm-exporter, version {__version__}"


def test_options_alone_mean_serve():
    result = run("--instances", "0")
    assert result.returncode == 2
    assert "--instances: must be between" in result.stderr


def test_a_wrong_command_or_flag_is_wrong_usage():
    assert run("nonsense").returncode == 2
    result = run("serve", "--intervall", "15s")
    assert result.returncode == 2
    assert "--interval" in result.stderr, "the nearest right flag"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    result = run("completion", shell)
    assert result.returncode == 0
    assert "_SWARM_EXPORTER_COMPLETE" in result.stdout


def test_completion_knows_the_commands_and_their_flags():
    words = "swarm-exporter serve --inst"
    result = run(_SWARM_EXPORTER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="2")
    assert "--instances" in result.stdout


def test_help_imports_nothing_of_the_service():
    code = (
        "import sys; from swarm_exporter.cli import cli; "
        "cli.main(['--help'], standalone_mode=False); "
        "heavy = {'httpx', 'uvicorn', 'starlette', 'rich', 'psutil', 'msgspec'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip().endswith("[]")
