"""Configuration and profile put together, and profiles as data."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import standin
from swarm_exporter.config import Flags, load_config
from swarm_exporter.config.launcher import Launcher
from swarm_exporter.errors import ConfigError
from swarm_exporter.launcher.nodes import launch_nodes, read_env_file
from swarm_exporter.launcher.profile import BUILT_IN, detect_profile, load_profile
from swarm_exporter.launcher.spec import node_spec

FOREVER = "  command: [sleep, '600']\n"


@pytest.fixture
def configured(tmp_path):
    def nodes(text: str = "", count: int = 1, profile: str | None = None):
        file = tmp_path / "swarm.yml"
        file.write_text(f"instances: {count}\n" + textwrap.dedent(text))
        return launch_nodes(load_config(Flags(config=str(file)), {}, tmp_path), tmp_path, profile)

    return nodes


def test_a_command_alone_is_a_custom_profile(configured, tmp_path):
    (node,) = configured("launcher:\n" + FOREVER)
    assert (node.profile_name, node.command, node.folder) == (
        "custom",
        ("sleep", "600"),
        tmp_path / "rl-swarm-1",
    )


def test_the_generation_of_a_checkout_is_recognised(configured, tmp_path):
    for number, name in enumerate(standin.MODULES, 1):
        standin.build_standin(tmp_path / f"rl-swarm-{number}", name)
    nodes = configured(count=3)
    assert [node.profile_name for node in nodes] == list(standin.MODULES)
    first = nodes[0]
    assert first.identity == tmp_path / "rl-swarm-1" / "swarm.pem"
    assert first.env["IDENTITY_PATH"] == str(first.identity)
    assert [node.ports["login"] for node in nodes] == [3000, 3001, 3002]
    assert [node.env["PORT"] for node in nodes] == ["3000", "3001", "3002"]
    assert first.answers["testnet"] == "Y"


def test_an_unknown_folder_says_what_to_do(configured):
    with pytest.raises(ConfigError, match="set it up with `swarm-exporter init`"):
        configured()


def test_own_values_of_a_node_win_over_the_common_ones(configured):
    nodes = configured(
        """
        launcher:
          profile: genrl
          env: {COLOUR: red, SIZE: "1", WHERE: "{folder}"}
          answers: {model: common}
          ports: {login: 4000}
        nodes:
          - launch: {env: {COLOUR: blue}, ports: {login: 5000}, answers: {model: own/model}}
          - {}
        """,
        2,
    )
    assert [node.env["COLOUR"] for node in nodes] == ["blue", "red"]
    assert nodes[1].env["WHERE"] == str(nodes[1].folder)
    assert [node.ports["login"] for node in nodes] == [5000, 4001]
    assert [node.answers["model"] for node in nodes] == ["own/model", "common"]
    assert nodes[0].answers["push_to_hub"] == "N"
    assert nodes[0].own_env == {"COLOUR", "SIZE", "WHERE"}
    assert "IDENTITY_PATH" not in nodes[0].own_env


def test_an_env_file_gives_variables_and_the_configuration_wins(configured, tmp_path):
    (tmp_path / "node.env").write_text(
        "# a comment\n\nexport HF_TOKEN='s3cret'\nCOLOUR=red\nEMPTY=\n"
    )
    (node,) = configured("launcher:\n  env_file: node.env\n  env: {COLOUR: blue}\n" + FOREVER)
    assert (node.env["HF_TOKEN"], node.env["COLOUR"], node.env["EMPTY"]) == ("s3cret", "blue", "")


@pytest.mark.parametrize(
    ("given", "inherited", "rest"),
    [
        ("", None, []),
        ("", "/mine:/too", ["/mine", "/too"]),
        ("  env: {PYTHONPATH: '{folder}/lib'}\n", "/mine", ["{folder}/lib"]),
    ],
)
def test_the_torch_helper_is_first_on_the_path_before_the_persons_own(
    configured, tmp_path, monkeypatch, given, inherited, rest
):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if inherited is not None:
        monkeypatch.setenv("PYTHONPATH", inherited)
    text = f"state_dir: state\nlauncher:\n  torch_helper: true\n{given}{FOREVER}"
    (node,) = configured(text)
    first, *others = node.env["PYTHONPATH"].split(":")
    assert (Path(first) / "sitecustomize.py").is_file()
    assert others == [place.format(folder=node.folder) for place in rest]
    assert node.env["SWARM_EXPORTER_TORCH_DIR"] == str(tmp_path / "state/launcher/torch")
    assert not {"SWARM_EXPORTER_TORCH_DIR"} & node.own_env


def test_the_torch_helper_is_off_unless_said_and_a_nodes_own_word_wins(configured):
    nodes = configured(
        """
        launcher:
          torch_helper: true
          command: [sleep, '600']
        nodes:
          - {}
          - launch: {torch_helper: false}
        """,
        2,
    )
    assert ["SWARM_EXPORTER_TORCH_DIR" in node.env for node in nodes] == [True, False]
    (node,) = configured("launcher:\n" + FOREVER)
    assert not {"PYTHONPATH", "SWARM_EXPORTER_TORCH_DIR"} & set(node.env)


def test_switching_the_torch_helper_restarts_a_node(configured):
    off, on = (
        node_spec(
            configured(f"launcher:\n  torch_helper: {switch}\n{FOREVER}")[0],
            Launcher(),
            slug="node-1",
            marker="m",
        )
        for switch in ("false", "true")
    )
    assert on.is_changed(off)
    assert not on.is_changed(on)


@pytest.mark.parametrize("line", ["s3cret without equals", "1X=s3cret", "A B=s3cret"])
def test_a_bad_env_file_names_the_line_and_never_the_value(tmp_path, line):
    (tmp_path / "node.env").write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(ConfigError, match=r"node\.env:2: write NAME=value") as error:
        read_env_file(tmp_path / "node.env")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("launcher: {profile: genrll}", r'"genrll" is not known; give hivemind, genrl, codezero'),
        ("launcher: {profile: absent.yml}", "absent.yml: no such file"),
        ("launcher: {profile: custom}", "the profile custom has no command"),
        ("launcher: {command: 'sleep \"'}", r"swarm.yml:2: launcher.command: has an open quote"),
        ("launcher: {command: [x, '{nonsense}']}", r'"\{nonsense\}" may hold \{node\}'),
        ("launcher: {ramp_interval: soon}", r'swarm.yml:2: launcher.ramp_interval: "soon" is no'),
        ("launcher: {reserve: lots}", 'launcher.reserve: "lots" is no size; write 6.5GiB'),
        ("launcher: {restart: {attempts: 0}}", "launcher.restart.attempts: must be between 1"),
        ("launcher: {watchdog: {silent: 1}}", "launcher.watchdog.silent: must be text"),
        ("launcher: {umask: '9'}", "launcher.umask"),
        ("launcher: {ports: {login: 70000}}", "launcher.ports.login: must be between 1 and 65535"),
        ("launcher: {torch_helper: sometimes}", "launcher.torch_helper"),
        ("launcher: {wachdog: {}}", 'unknown key; did you mean "watchdog"?'),
        ("nodes: [{launch: {profil: genrl}}]", 'did you mean "profile"?'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(configured, settings, problem):
    with pytest.raises(ConfigError, match=problem):
        configured(settings)


def test_two_nodes_need_folders_identities_and_ports_of_their_own(configured, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ConfigError, match="nodes 1 and 2 have the same folder"):
        configured("launcher: {profile: genrl}\nnodes: [{folder: real}, {folder: link}]", 2)
    with pytest.raises(ConfigError, match="port 3001 is the login port of node 1 and the login"):
        configured("launcher: {profile: genrl}\nnodes: [{launch: {ports: {login: 3001}}}]", 2)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_profile_is_valid_and_complete(name, tmp_path):
    profile = load_profile(name, tmp_path)
    if name == "custom":
        assert profile.command == []
        return
    assert profile.repository
    assert profile.trainer
    assert profile.ready.pattern
    assert len(profile.login) == 2
    assert all(patch.why for patch in profile.patches)
    assert {p.name for p in profile.prompts} >= {"push_to_hub"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title: x\nready: {pattern: '('}", r"own.yml:2: ready.pattern: missing \)"),
        ("title: x\nstop: {signal: BOOM}", 'stop.signal: "BOOM" is not known; give TERM, INT'),
        ("title: x\nidentity: /etc/passwd", "must be a path below the node's folder"),
        ("title: x\nlogin: [../../x]", r"login\[0\]: .* below the node's folder"),
        ("title: x\nneed: {memory: big, tuned_memory: 1GiB, disk: 1GiB}", "need.memory"),
        ("title: x\nstart_timeout: 10", "start_timeout: must be text, not a whole number"),
        ("title: x\ntuning: {file: ../x.yml}", "tuning.file"),
        ("ready: {}", "missing required field `title`"),
    ],
)
def test_a_profile_of_ones_own_is_checked_with_its_lines(tmp_path, text, problem):
    (tmp_path / "own.yml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_profile("own.yml", tmp_path)


def test_a_folder_without_a_checkout_has_no_generation(tmp_path):
    assert detect_profile(tmp_path) is None
    assert detect_profile(Path("/nonexistent")) is None
