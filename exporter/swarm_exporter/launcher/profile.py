"""Profiles: how one generation of the training program is set up, started, recognised, stopped.

A profile is data, one YAML file. The package brings one for each upstream generation; a person's
own is given by its path. Facts of the built-in ones: RL Swarm v0.4.0 to v0.7.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.durations import parse_duration
from swarm_exporter.errors import ConfigError

T = TypeVar("T")

#: The profiles that the package brings, in the order of upstream's generations.
BUILT_IN = ("hivemind", "genrl", "codezero", "custom")
#: What `{…}` in a profile's texts may stand for.
FIELDS = ("node", "number", "folder", "identity", "logs", "ports")


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question that the command asks on its terminal, and the answer it gets."""

    name: str
    #: Regular expression that the question's text matches.
    pattern: str
    #: Empty is the Enter key alone.
    answer: str = ""


class Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a text file of the checkout; applying it twice is applying it once."""

    file: str
    #: Regular expression; every match is replaced. It matches its own result as well.
    find: str
    #: The new text; `{ports[login]}` and the other fields are filled in, `\\1` is a group.
    replace: str
    why: str
    #: True where a checkout of this generation may lack the file or the text.
    optional: bool = False


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it is recognised that a started node takes part in the swarm.

    Without a pattern a node is ready once its trainer has run for `after`.
    """

    #: Log file below the node's folder; empty is what the command itself prints.
    log: str = ""
    pattern: str = ""
    after: str = "30s"


class Submit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the trainer hands in what it has earned, and how its log tells."""

    #: Longest time that earned reward stays in memory; empty where the profile does not know.
    period: str = ""
    log: str = ""
    accepted: str = ""
    refused: str = ""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a node is ended: a signal to its process group, and the time it then has."""

    signal: str = "TERM"
    grace: str = "30s"


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys whose product is the effective batch size."""

    size: str
    accumulation: str
    #: The size must be a multiple of this key's value; empty where it need not.
    multiple_of: str = ""


class Tuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which training keys trade memory for time, as dotted paths in a YAML file."""

    file: str
    batch: Batch | None = None
    #: Keys that save memory, with the value that a node gets which shares the machine.
    keys: dict[str, int | float | str | bool] = {}


class Need(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one node takes of the machine until it has been measured."""

    #: As upstream comes.
    memory: str
    #: With the tuned keys.
    tuned_memory: str
    #: The checkout, its environment, models and a month of logs.
    disk: str


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of the training program."""

    #: What it is, for a person: `RL Swarm v0.7 (CodeZero)`.
    title: str
    command: list[str] = []
    #: Where upstream is cloned from; empty where there is nothing to clone.
    repository: str = ""
    #: The newest revision of this generation.
    revision: str = ""
    #: Regular expressions on the text of files of a checkout that tell this generation.
    detect: dict[str, str] = {}
    env: dict[str, str] = {}
    #: Variables that must not reach the command.
    unset: list[str] = []
    prompts: list[Prompt] = []
    #: Port by name -> the first node's number; node n has n-1 more.
    ports: dict[str, int] = {}
    #: Services of the machine that all nodes share: port by name.
    services: dict[str, int] = {}
    #: The trainer's identity, below the node's folder; empty where it has none.
    identity: str = ""
    #: Login data that the command deletes when it ends, below the node's folder.
    login: list[str] = []
    #: The command's output and these are the node's logs, below its folder; `*` is allowed.
    logs: list[str] = []
    #: Regular expression on the command line of the trainer; empty where it is the command itself.
    trainer: str = ""
    #: The trainer may be away so long while the command replaces it.
    trainer_grace: str = "30s"
    #: Regular expression on the output: the node waits for a person to log in.
    waiting_login: str = ""
    #: Regular expression on the output: it does no longer.
    logged_in: str = ""
    ready: Ready = Ready()
    submit: Submit = Submit()
    stop: Stop = Stop()
    #: Time within which a trainer must be there: installing and building count.
    start_timeout: str = "1h"
    need: Need = Need(memory="1GiB", tuned_memory="1GiB", disk="1GiB")
    tuning: Tuning | None = None
    patches: list[Patch] = []
    #: True where the trainer uses PyTorch, so that its limits of threads and MPS memory count.
    torch: bool = True


def load_profile(name: str, base: Path) -> Profile:
    """Return the built-in profile `name`, or the one in the file `name`, relative to `base`.

    Raises ConfigError with file, line and the fix.
    """
    if name in BUILT_IN:
        with as_file(files(__package__) / "profiles" / f"{name}.yml") as path:
            return _read(path, f"profile {name}")
    if not name.endswith((".yml", ".yaml")):
        known = ", ".join(BUILT_IN)
        raise ConfigError(f'profile: "{name}" is not known; give {known} or the path of a .yml')
    try:
        path = values.path(name, base)
    except ValueError as problem:
        raise ConfigError(f"profile: {name} {problem}") from None
    return _read(path, name)


def detect_profile(folder: Path) -> str | None:
    """Return the built-in profile of a checkout, or None where no generation is recognised."""
    return recognise(lambda file: _text(folder / file))


def recognise(read: Callable[[str], str | None]) -> str | None:
    """Return the built-in profile of the checkout whose files `read` reads, or None."""
    for name in BUILT_IN:
        profile = load_profile(name, Path())
        if profile.detect and fits(profile, read):
            return name
    return None


def fits(profile: Profile, read: Callable[[str], str | None]) -> bool:
    """Tell whether a checkout is of a profile's generation; `read` gives None for no file."""
    return all(
        (text := read(file)) is not None and re.search(pattern, text) is not None
        for file, pattern in profile.detect.items()
    )


def fill(text: str, fields: Mapping[str, Any]) -> str:
    """Fill `{node}`, `{ports[login]}` and so on in. Raises ValueError with the fix."""
    try:
        return text.format_map(fields)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise ValueError(
            f'"{text}" may hold {known} and no other brace; a brace itself is written twice'
        ) from None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _read(path: Path, name: str) -> Profile:
    document = Document(path, name)
    profile = document.convert(Profile)
    for key, text, reader in _checks(profile):
        if text:
            try:
                reader(text)
            except (ValueError, re.error) as problem:
                raise document.error(key, str(problem)) from None
    _check_tuning(profile, document)
    return profile


def _checks(profile: Profile) -> list[tuple[str, str, Callable[[str], object]]]:
    """Return key, text and reader of every text that has a form of its own."""
    checks: list[tuple[str, str, Callable[[str], object]]] = [
        ("trainer", profile.trainer, re.compile),
        ("waiting_login", profile.waiting_login, re.compile),
        ("logged_in", profile.logged_in, re.compile),
        ("ready.pattern", profile.ready.pattern, re.compile),
        ("ready.after", profile.ready.after, parse_duration),
        ("submit.accepted", profile.submit.accepted, re.compile),
        ("submit.refused", profile.submit.refused, re.compile),
        ("submit.period", profile.submit.period, parse_duration),
        ("stop.signal", profile.stop.signal, signal_number),
        ("stop.grace", profile.stop.grace, parse_duration),
        ("trainer_grace", profile.trainer_grace, parse_duration),
        ("start_timeout", profile.start_timeout, parse_duration),
        ("need.memory", profile.need.memory, values.size_of_anything),
        ("need.tuned_memory", profile.need.tuned_memory, values.size_of_anything),
        ("need.disk", profile.need.disk, values.size_of_anything),
        ("identity", profile.identity, _inside),
        ("ready.log", profile.ready.log, _inside),
        ("submit.log", profile.submit.log, _inside),
    ]
    for number, prompt in enumerate(profile.prompts):
        checks.append((f"prompts[{number}].pattern", prompt.pattern, re.compile))
    for number, patch in enumerate(profile.patches):
        checks.append((f"patches[{number}].find", patch.find, re.compile))
        checks.append((f"patches[{number}].file", patch.file, _inside))
    checks += [(f"login[{n}]", text, _inside) for n, text in enumerate(profile.login)]
    checks += [(f"logs[{n}]", text, _inside) for n, text in enumerate(profile.logs)]
    checks += [(f"detect.{file}", text, re.compile) for file, text in profile.detect.items()]
    return checks


def signal_number(name: str) -> int:
    """Return the number of a signal that ends processes. Raises ValueError."""
    import signal

    known = ("TERM", "INT", "QUIT", "HUP", "KILL")
    if name not in known:
        raise ValueError(f'"{name}" is not known; give {", ".join(known)}')
    return int(signal.Signals[f"SIG{name}"])


def _inside(path: str) -> str:
    if path.startswith(("/", "~")) or ".." in Path(path).parts:
        raise ValueError(f'"{path}" must be a path below the node\'s folder')
    return path


def _check_tuning(profile: Profile, document: Document) -> None:
    if profile.tuning is not None:
        try:
            _inside(profile.tuning.file)
        except ValueError as problem:
            raise document.error("tuning.file", str(problem)) from None
