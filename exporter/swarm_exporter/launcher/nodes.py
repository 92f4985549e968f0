"""Configuration and profiles -> what each node is started with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.config.launcher import Launch
from swarm_exporter.errors import ConfigError
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.profile import Profile, detect_profile, fill, load_profile
from swarm_exporter.model import Node
from swarm_exporter.torch_helper.sitecustomize import FOLDER_VARIABLE as TORCH_FOLDER

#: Where a node lives unless something says otherwise, below the current folder.
DEFAULT_FOLDER = "rl-swarm-{i}"
#: First on PYTHONPATH, it lets PyTorch tell from inside what it holds.
TORCH_HELPER = Path(__file__).parents[1] / "torch_helper"
#: Output of a node's command, below its folder's `logs`.
LAUNCHER_LOG = "console.log"
_HIGHEST_PORT = 65_535


class LaunchNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it is started: configuration and profile put together."""

    name: str
    #: 1 for the first node.
    number: int
    folder: Path
    #: Where its logs are: the command's output, and what the trainer writes itself.
    logs: Path
    profile_name: str
    profile: Profile
    command: tuple[str, ...]
    #: The profile's variables and then the person's own, which win.
    env: Mapping[str, str]
    #: Names of the variables that the person has set, in the configuration or the environment.
    own_env: frozenset[str]
    #: Answer by the prompt's name.
    answers: Mapping[str, str]
    #: Number by the port's name.
    ports: Mapping[str, int]
    identity: Path | None

    @property
    def fields(self) -> dict[str, Any]:
        """What the texts of a profile can be filled with."""
        return {
            "node": self.name,
            "number": self.number,
            "folder": str(self.folder),
            "identity": str(self.identity or ""),
            "logs": str(self.logs),
            "ports": dict(self.ports),
        }


def launch_nodes(config: Config, cwd: Path, profile: str | None = None) -> tuple[LaunchNode, ...]:
    """Return every node of `config` as it is started. `profile` is what a flag says.

    Raises ConfigError: no known profile, nothing to run, a port or a folder given twice.
    """
    nodes = tuple(
        _launch_node(config, node, number, cwd, profile)
        for number, node in enumerate(config.nodes, 1)
    )
    _refuse_twins(nodes)
    return nodes


def _launch_node(
    config: Config, node: Node, number: int, cwd: Path, flag: str | None
) -> LaunchNode:
    common = config.launcher.launch
    own = config.launcher.nodes.get(node.name, Launch())
    folder = node.folder or cwd / DEFAULT_FOLDER.format(i=number)
    base = config.source_file.parent if config.source_file is not None else cwd
    name = flag or own.profile or common.profile
    if name is None and (own.command or common.command):
        name = "custom"
    name = name or detect_profile(folder)
    if name is None:
        state = "holds no known generation of RL Swarm" if folder.is_dir() else "does not exist"
        raise ConfigError(
            f"node {node.name}: {folder} {state}; set it up with `swarm-exporter init`, or say "
            "what to run with --profile or `launcher: command:`"
        )
    profile = load_profile(name, cwd if flag else base)
    ports = {key: first + number - 1 for key, first in (profile.ports | common.ports).items()}
    ports |= own.ports
    identity = node.identity_file
    if identity is None and profile.identity:
        identity = folder / profile.identity
    draft = LaunchNode(
        name=node.name,
        number=number,
        folder=folder,
        logs=folder / "logs",
        profile_name=name,
        profile=profile,
        command=(),
        env={},
        own_env=frozenset(),
        answers={p.name: p.answer for p in profile.prompts} | common.answers | own.answers,
        ports=ports,
        identity=identity,
    )
    helper = common.torch_helper if own.torch_helper is None else own.torch_helper
    filled = _filled(draft, common, own)
    return _with_torch_helper(filled, LauncherFiles(config.state_dir).torch) if helper else filled


def _filled(draft: LaunchNode, common: Launch, own: Launch) -> LaunchNode:
    """Return the node with its command and its variables, the fields in their texts filled in."""
    given: dict[str, str] = {}
    for launch in (common, own):
        if launch.env_file is not None:
            given |= read_env_file(launch.env_file)
        given |= launch.env
    command = own.command or common.command or tuple(draft.profile.command)
    if not command:
        raise ConfigError(
            f"node {draft.name}: nothing to run; the profile {draft.profile_name} has no command: "
            "give `launcher: command:` in the configuration"
        )
    for name, port in draft.ports.items():
        if not 1 <= port <= _HIGHEST_PORT:
            raise ConfigError(f"node {draft.name}: port {name} would be {port}; give lower ports")
    try:
        fields = draft.fields
        return msgspec.structs.replace(
            draft,
            command=tuple(fill(word, fields) for word in command),
            env={k: fill(v, fields) for k, v in (draft.profile.env | given).items()},
            own_env=frozenset(given),
        )
    except ValueError as problem:
        raise ConfigError(f"node {draft.name}: {problem}") from None


def _with_torch_helper(node: LaunchNode, folder: Path) -> LaunchNode:
    """Return the node with the variables that let PyTorch tell from inside what it holds."""
    path = node.env.get("PYTHONPATH")
    if path is None and "PYTHONPATH" not in node.profile.unset:
        path = os.environ.get("PYTHONPATH")
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(TORCH_HELPER), path))),
        TORCH_FOLDER: str(folder.absolute()),
    }
    return msgspec.structs.replace(node, env={**node.env, **own})


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file of `NAME=value` lines; `#` begins a comment line.

    Raises ConfigError with the line. Values never appear in its text: they may be secrets.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"env_file {path}: {what}; correct the path") from None
    variables = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"env_file {path}:{number}: write NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        variables[name.strip()] = value
    return variables


def _refuse_twins(nodes: tuple[LaunchNode, ...]) -> None:
    folders: dict[str, str] = {}
    identities: dict[str, str] = {}
    ports: dict[int, tuple[str, str]] = {}
    for node in nodes:
        other = folders.setdefault(os.path.realpath(node.folder), node.name)
        if other != node.name and node.profile_name != "custom":
            raise ConfigError(
                f"nodes {other} and {node.name} have the same folder {node.folder}; nodes in one "
                "checkout delete each other's login: give each its own"
            )
        if node.identity is not None:
            other = identities.setdefault(os.path.realpath(node.identity), node.name)
            if other != node.name:
                raise ConfigError(
                    f"nodes {other} and {node.name} have the same identity {node.identity}; give "
                    "each its own"
                )
        for key, port in node.ports.items():
            owner = ports.setdefault(port, (node.name, key))
            if owner != (node.name, key):
                raise ConfigError(
                    f"port {port} is the {owner[1]} port of node {owner[0]} and the {key} port of "
                    f"node {node.name}; give each its own under `ports`"
                )
