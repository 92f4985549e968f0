"""The role run for real against a home of its own on this machine; only systemd is stood in for."""

from __future__ import annotations

import json
import os
import plistlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from support import ROOT, free_port, reachable
from swarm_exporter.sd.hosts import read_hosts

ANSIBLE = ROOT / "deploy" / "ansible"
STANDINS = Path(__file__).with_name("standins")
_RECAP = re.compile(r"changed=(\d+) +unreachable=0 +failed=0")


@pytest.fixture(scope="session")
def ansible() -> Path:
    """The folder with Ansible's commands, as `make ansible` has installed them."""
    folder = ROOT / ".ansible" / "bin"
    if not (folder / "ansible-playbook").exists():
        message = "Ansible is not installed (make ansible)"
        if os.environ.get("SWARM_TEST_REQUIRE_REAL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [str(Path(sys.executable).with_name("uv")), "build", "--wheel", "--quiet"]
    subprocess.run([*build, "--out-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@dataclass(frozen=True)
class Host:
    """A machine to be set up: a home, and the stand-ins' memory."""

    home: Path
    memory: Path
    ansible: Path
    variables: dict[str, object]

    def play(self, *arguments: str, check: bool = True, **more: object) -> str:
        """Run the playbook; return what it said."""
        inventory = self.home.parent / "inventory.yml"
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(
            yaml.safe_dump({"swarm": {"hosts": {"here": {**host, **self.variables, **more}}}})
        )
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SWARM_", "ANSIBLE_"))},
            "HOME": str(self.home),
            "PATH": f"{STANDINS}:{self.ansible}:{os.environ['PATH']}",
            "STANDINS": str(self.memory),
            "STANDIN_UNITS": str(self.home / ".config/systemd/user"),
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "PIP_CACHE_DIR": str(_pip_cache()),
        }
        done = subprocess.run(
            [self.ansible / "ansible-playbook", "-i", inventory, ANSIBLE / "swarm.yml", *arguments],
            env=environment,
            cwd=ANSIBLE,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def changed(self, *arguments: str, **more: object) -> int:
        """Run the playbook; return how many tasks changed something."""
        said = self.play(*arguments, **more)
        recap = _RECAP.search(said)
        assert recap is not None, said
        return int(recap[1])

    def calls(self) -> list[str]:
        return (self.memory / "calls.log").read_text().splitlines()


def _pip_cache() -> Path:
    """What pip has fetched before needs no network again, though HOME is another."""
    return Path(os.environ.get("PIP_CACHE_DIR", Path.home() / ".cache" / "pip"))


@pytest.fixture(scope="module")
def host(ansible: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("ansible")
    (folder / "home").mkdir()
    (folder / "memory").mkdir()
    variables = {
        "swarm_exporter_wheel": str(wheel),
        "swarm_exporter_pip_args": "--no-compile",
        "swarm_exporter_python": sys.executable,
        "swarm_exporter_port": free_port(),
        "swarm_exporter_listen": "127.0.0.1:{{ swarm_exporter_port }}",
        "swarm_exporter_config": {"nodes": [{"name": "a"}, {"name": "b"}], "collectors": []},
    }
    yield Host(folder / "home", folder / "memory", ansible, variables)
    for file in (folder / "memory").glob("*.pid"):
        os.kill(int(file.read_text()), signal.SIGTERM)


def test_the_first_run_installs_and_starts_and_the_second_changes_nothing(host):
    assert host.changed() > 5
    url = f"http://127.0.0.1:{host.variables['swarm_exporter_port']}"
    metrics = httpx.get(f"{url}/metrics").text
    assert re.findall(r'swarm_node_info\{.*?node="(\w)"', metrics) == ["a", "b"]
    calls = len(host.calls())
    assert host.changed() == 0
    again = host.calls()[calls:]
    assert not [call for call in again if re.search(r"\b(start|stop|restart|enable)\b", call)]


def test_what_stands_where_is_the_persons_own(host):
    config = host.home / ".config/swarm-exporter/swarm.yml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(config.read_text()) == host.variables["swarm_exporter_config"]
    assert (host.home / ".local/state/swarm-exporter").stat().st_mode & 0o777 == 0o700
    assert "--user enable swarm-exporter" in host.calls()
    unit = (host.home / ".config/systemd/user/swarm-exporter.service").read_text()
    assert "WantedBy=default.target" in unit
    assert "User=" not in unit


def test_another_configuration_restarts_the_exporter_and_a_wrong_one_changes_nothing(host):
    calls = len(host.calls())
    three = {"nodes": [{"name": n} for n in "abc"], "collectors": []}
    # The file, and the restart.
    assert host.changed("--tags", "configure,service", swarm_exporter_config=three) == 2
    assert sum("restart" in call for call in host.calls()[calls:]) == 1
    url = f"http://127.0.0.1:{host.variables['swarm_exporter_port']}"
    assert httpx.get(f"{url}/metrics").text.count("swarm_node_info{") == 3
    config = host.home / ".config/swarm-exporter/swarm.yml"
    before = config.read_text()
    wrong = {"swarm_exporter_config": {"instanzes": 1}}
    said = host.play("--tags", "configure", check=False, **wrong)
    assert "did you mean" in said
    assert config.read_text() == before
    assert reachable(f"{url}/-/healthy")


def test_it_is_removed_when_that_is_asked_for_and_what_was_earned_stays(host):
    # The runs before had every tag, and have removed nothing.
    assert host.changed("--tags", "uninstall", swarm_exporter_uninstall=True) == 2
    assert not reachable(f"http://127.0.0.1:{host.variables['swarm_exporter_port']}/-/healthy")
    left = {path.relative_to(host.home).as_posix() for path in host.home.rglob("*swarm*")}
    assert left == {".local/state/swarm-exporter"}


def test_on_a_mac_it_is_an_agent_with_the_same_program(host):
    """launchctl is stood in for, so that the agent is written and loaded, and nothing is run."""
    mac = {
        "swarm_exporter_service_manager": "launchd",
        "swarm_exporter_launch": True,
        "swarm_exporter_wait": 0,
        "swarm_exporter_home": str(host.home / "Program <&> Files"),
    }
    # The program is not installed a second time for this: what is written does not need it.
    arguments = ("--tags", "service", "--diff")
    assert host.changed(*arguments, **mac) > 3
    assert host.changed(*arguments, **mac) == 0
    folder = host.home / "Library/LaunchAgents"
    words = {
        path.stem.rpartition(".")[2]: plistlib.loads(path.read_bytes())["ProgramArguments"]
        for path in folder.glob("*.plist")
    }
    assert words.keys() == {"serve", "nodes"}
    assert words["nodes"][:2] == [f"{mac['swarm_exporter_home']}/venv/bin/swarm-exporter", "launch"]
    loaded = [call.rpartition(".")[0] for call in host.calls() if call.startswith("bootstrap")]
    assert len(loaded) == 2
    removing = {**mac, "swarm_exporter_uninstall": True}
    assert host.changed("--tags", "uninstall", **removing) == 2
    assert not list(folder.glob("*.plist"))


def test_the_example_of_an_inventory_is_one_for_ansible_and_for_sd(ansible):
    example = ANSIBLE / "inventory.example.yml"
    done = subprocess.run(
        [ansible / "ansible-inventory", "-i", example, "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout)["_meta"]["hostvars"]
    ours = read_hosts(example, form=None, group="swarm", default_port=10331)
    assert {machine.name for machine in ours} == theirs.keys()
    for machine in ours:
        address = theirs[machine.name].get("ansible_host", machine.name)
        assert machine.address.rpartition(":")[0].strip("[]") == address
        assert machine.labels == theirs[machine.name].get("swarm_exporter_labels", {})


def test_every_variable_has_the_roles_prefix_and_is_described():
    role = ANSIBLE / "roles/swarm_exporter"
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
    described = specs["argument_specs"]["main"]["options"]
    assert all(name.startswith("swarm_exporter_") for name in defaults)
    assert described.keys() == defaults.keys()
