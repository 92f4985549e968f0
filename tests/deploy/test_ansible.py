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
_RECAP = re.compile(r"^(\w+) +: .*?changed=(\d+) +unreachable=0 +failed=0", re.MULTILINE)


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
class Site:
    """A home on this machine, the stand-ins' memory, and what the host `here` has set."""

    home: Path
    memory: Path
    ansible: Path
    variables: dict[str, object]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.variables['swarm_exporter_port']}"

    @property
    def mac(self) -> dict[str, object]:
        """What a second host has set: launchd, and the same program with folders of its own."""
        return {
            **self.variables,
            "swarm_exporter_service_manager": "launchd",
            "swarm_exporter_launch": True,
            "swarm_exporter_wait": 0,
            "swarm_exporter_config_dir": str(self.home / "mac" / "<config> & more"),
            "swarm_exporter_state_dir": str(self.home / "mac" / "state"),
            "swarm_exporter_service_dir": str(self.home / "Library/LaunchAgents"),
        }

    def play(self, *arguments: str, check: bool = True, **hosts: dict[str, object]) -> str:
        """Run the playbook for hosts with their variables; return what it said."""
        inventory = self.home.parent / "inventory.yml"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        each = {name: {**local, **variables} for name, variables in hosts.items()}
        inventory.write_text(yaml.safe_dump({"swarm": {"hosts": each}}))
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SWARM_", "ANSIBLE_"))},
            "HOME": str(self.home),
            "PATH": f"{STANDINS}:{self.ansible}:{os.environ['PATH']}",
            "STANDINS": str(self.memory),
            "STANDIN_UNITS": str(self.home / ".config/systemd/user"),
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
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

    def changed(self, *arguments: str, **hosts: dict[str, object]) -> dict[str, int]:
        """Run the playbook; return how many tasks changed something, by host."""
        return {host: int(n) for host, n in _RECAP.findall(self.play(*arguments, **hosts))}

    def calls(self) -> list[str]:
        return (self.memory / "calls.log").read_text().splitlines()


def _pip_cache() -> Path:
    """What pip has fetched before needs no network again, though HOME is another."""
    return Path(os.environ.get("PIP_CACHE_DIR", Path.home() / ".cache" / "pip"))


@pytest.fixture(scope="module")
def site(ansible: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
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
    yield Site(folder / "home", folder / "memory", ansible, variables)
    for file in (folder / "memory").glob("*.pid"):
        os.kill(int(file.read_text()), signal.SIGTERM)


def test_the_first_run_installs_and_starts(site):
    assert site.changed(here=site.variables)["here"] > 5
    metrics = httpx.get(f"{site.url}/metrics").text
    assert re.findall(r'swarm_node_info\{.*?node="(\w)"', metrics) == ["a", "b"]
    assert sum("start" in call.split() for call in site.calls()) <= 1


def test_the_second_run_changes_nothing(site):
    calls = len(site.calls())
    assert site.changed(here=site.variables) == {"here": 0}
    again = [call for call in site.calls()[calls:] if "--user" in call]
    assert again
    assert not {"start", "stop", "restart", "enable"} & {w for call in again for w in call.split()}


def test_what_stands_where_is_the_persons_own(site):
    config = site.home / ".config/swarm-exporter/swarm.yml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(config.read_text()) == site.variables["swarm_exporter_config"]
    assert (site.home / ".local/state/swarm-exporter").stat().st_mode & 0o777 == 0o700
    assert "--user enable swarm-exporter" in site.calls()
    unit = (site.home / ".config/systemd/user/swarm-exporter.service").read_text()
    assert "WantedBy=default.target" in unit
    assert f'Environment="PATH={site.home}/.local/bin:/opt/homebrew/bin:' in unit
    assert "User=" not in unit


def test_another_configuration_restarts_the_exporter_and_nothing_else(site):
    calls = len(site.calls())
    three = {"nodes": [{"name": n} for n in "abc"], "collectors": []}
    here = {**site.variables, "swarm_exporter_config": three}
    # Beside it a Mac has its first run, with the program that is there.
    changed = site.changed("--tags", "configure,service", here=here, mac=site.mac)
    # The file, and the restart.
    assert changed["here"] == 2
    assert changed["mac"] >= 4
    assert [call for call in site.calls()[calls:] if "restart" in call] == [
        "--user restart swarm-exporter"
    ]
    assert httpx.get(f"{site.url}/metrics").text.count("swarm_node_info{") == 3


def test_on_a_mac_both_services_are_agents_with_the_same_program(site):
    """launchctl is stood in for: agents are written and loaded, and nothing of them is run."""
    agents = {
        path.stem.rpartition(".")[2]: plistlib.loads(path.read_bytes())
        for path in (site.home / "Library/LaunchAgents").glob("*.plist")
    }
    words = {name: agent["ProgramArguments"] for name, agent in agents.items()}
    for agent in agents.values():
        assert "/opt/homebrew/bin:" in agent["EnvironmentVariables"]["PATH"]
    assert words.keys() == {"serve", "nodes"}
    program = str(site.home / ".local/share/swarm-exporter/venv/bin/swarm-exporter")
    assert words["serve"][:2] == [program, "serve"]
    assert words["nodes"][:3] == [program, "launch", "--foreground"]
    for command in words.values():
        config = command[command.index("--config") + 1]
        assert config == f"{site.mac['swarm_exporter_config_dir']}/swarm.yml"
    loaded = [call.split()[-1] for call in site.calls() if call.startswith("bootstrap")]
    assert sorted(Path(path).stem.rpartition(".")[2] for path in loaded) == ["nodes", "serve"]


def test_a_wrong_configuration_changes_nothing_and_a_second_run_on_a_mac_neither(site):
    config = site.home / ".config/swarm-exporter/swarm.yml"
    before = config.read_text()
    wrong = {**site.variables, "swarm_exporter_config": {"instanzes": 1}}
    said = site.play("--tags", "configure,service", check=False, here=wrong, mac=site.mac)
    assert "did you mean" in said
    assert dict(_RECAP.findall(said)) == {"mac": "0"}
    assert config.read_text() == before
    assert reachable(f"{site.url}/-/healthy")


def test_it_is_removed_when_that_is_asked_for_and_what_was_earned_stays(site):
    # The runs before had every tag, and have removed nothing.
    asked = {"swarm_exporter_uninstall": True}
    # Two hosts that share one program cannot both remove it.
    mac = {**site.mac, **asked, "swarm_exporter_home": str(site.home / "mac" / "program")}
    changed = site.changed("--tags", "uninstall", here={**site.variables, **asked}, mac=mac)
    assert changed == {"here": 2, "mac": 2}
    assert not reachable(f"{site.url}/-/healthy")
    left = {path.relative_to(site.home).as_posix() for path in site.home.rglob("*swarm*")}
    assert left == {".local/state/swarm-exporter"}
    assert (site.home / "mac" / "state").is_dir()


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
