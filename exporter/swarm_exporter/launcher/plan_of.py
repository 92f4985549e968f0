"""A configuration and this machine -> the plan: which folders, which profile, what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from swarm_exporter.config import Config
from swarm_exporter.config.launcher import Launch
from swarm_exporter.launcher.machine import read_machine
from swarm_exporter.launcher.measure import measured_memory
from swarm_exporter.launcher.nodes import DEFAULT_FOLDER, read_env_file
from swarm_exporter.launcher.plan import Plan, make_plan, read_training
from swarm_exporter.launcher.profile import Profile, detect_profile, load_profile
from swarm_exporter.launcher.settings import PLANNED_VARIABLES

#: The generation that is planned for where no folder tells one: the newest.
_NEWEST_PROFILE = "codezero"


def plan_of(
    config: Config,
    cwd: Path,
    environ: Mapping[str, str],
    profile_name: str | None = None,
    asked: int | None = None,
) -> Plan:
    """Return the plan for `asked` nodes of a configuration, or for as many as fit.

    The profile is that of `profile_name`, of the configuration or of the first node's folder, else
    the newest. Raises ConfigError.
    """
    folders = _folders(config, asked, cwd)
    profile = _profile(config, profile_name, folders[0], cwd)
    present = [folder for folder in folders if folder.is_dir()]
    return make_plan(
        read_machine(folders[0].parent),
        profile,
        nodes=asked,
        measured=measured_memory(present, profile.trainer),
        reserve=config.launcher.reserve,
        explicit=_explicit(config, environ),
        training=read_training(present[0], profile) if present else None,
        existing=len(present),
    )


def _folders(config: Config, asked: int | None, cwd: Path) -> list[Path]:
    """Return the nodes' folders; where no number is asked for, all of the default names."""
    folders = [
        node.folder or cwd / DEFAULT_FOLDER.format(i=number)
        for number, node in enumerate(config.nodes, 1)
    ]
    while asked is None and (more := cwd / DEFAULT_FOLDER.format(i=len(folders) + 1)).is_dir():
        folders.append(more)
    return folders


def _profile(config: Config, flag: str | None, folder: Path, cwd: Path) -> Profile:
    common = config.launcher.launch
    own = config.launcher.nodes.get(config.nodes[0].name, Launch())
    name = flag or own.profile or common.profile
    if name is None and (own.command or common.command):
        name = "custom"
    base = config.source_file.parent if config.source_file is not None else cwd
    name = name or detect_profile(folder) or _NEWEST_PROFILE
    profile = load_profile(name, cwd if flag else base)
    return profile if config.launcher.tune else msgspec.structs.replace(profile, tuning=None)


def _explicit(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the person has set for all nodes, and a plan would."""
    common = config.launcher.launch
    given = dict(environ)
    if common.env_file is not None:
        given |= read_env_file(common.env_file)
    given |= common.env
    return {name: given[name] for name in PLANNED_VARIABLES if name in given}
