"""The `launcher` part of the configuration: as it is written in a file, and resolved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError

Scalar = str | int | float | bool


class FileLaunch(msgspec.Struct, forbid_unknown_fields=True):
    """What a file says of starting nodes: of all under `launcher`, of one under its `launch`."""

    profile: str | None = None
    command: str | list[str] | None = None
    env: dict[str, Scalar] = {}
    env_file: str | None = None
    answers: dict[str, Scalar] = {}
    ports: dict[str, int] = {}
    torch_helper: bool | None = None


class FileRestart(msgspec.Struct, forbid_unknown_fields=True):
    """`launcher.restart` in a file."""

    first_delay: str | None = None
    longest_delay: str | None = None
    healthy_after: str | None = None
    attempts: int | None = None


class FileWatchdog(msgspec.Struct, forbid_unknown_fields=True):
    """`launcher.watchdog` in a file."""

    stalled: str | None = None
    silent: str | None = None
    memory: str | None = None
    per_day: int | None = None


class FileLauncher(FileLaunch, forbid_unknown_fields=True):
    """`launcher` in a file."""

    repository: str | None = None
    revision: str | None = None
    tune: bool | None = None
    ramp_interval: str | None = None
    reserve: str | None = None
    look_interval: str | None = None
    log_size: str | None = None
    log_files: int | None = None
    umask: str | None = None
    restart: FileRestart | None = None
    watchdog: FileWatchdog | None = None


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are started, as far as the configuration says; the profile has the rest."""

    profile: str | None = None
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    env_file: Path | None = None
    answers: dict[str, str] = {}
    ports: dict[str, int] = {}
    #: Whether PyTorch tells from inside what it holds; None where nothing is said.
    torch_helper: bool | None = None


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """When a node that ended is started again. Times in seconds."""

    first_delay: float = 10.0
    longest_delay: float = 900.0
    #: After so long the delay begins anew.
    healthy_after: float = 1800.0
    #: So many ends in a row, none of them after a healthy time, are fatal.
    attempts: int = 10


class Watchdog(msgspec.Struct, frozen=True, kw_only=True):
    """When a node that runs is restarted; None is never. Times in seconds, memory in bytes."""

    stalled: float | None = None
    silent: float | None = None
    memory: int | None = None
    #: At most so many such restarts of one node in 24 hours.
    per_day: int = 3


class Launcher(msgspec.Struct, frozen=True, kw_only=True):
    """The launcher's settings."""

    launch: Launch = Launch()
    #: By the node's name.
    nodes: dict[str, Launch] = {}
    repository: str | None = None
    revision: str | None = None
    #: Whether `init` sets the training keys that save memory.
    tune: bool = True
    #: Seconds from one node's start to the next one's: their submissions must not collide.
    ramp_interval: float = 60.0
    #: Memory that is left to the machine, bytes; None is the plan's own figure.
    reserve: int | None = None
    #: Seconds from one look at the nodes' processes to the next.
    look_interval: float = 5.0
    #: A node's output is kept in so many files of this size, bytes.
    log_size: int = 20 * 1024 * 1024
    log_files: int = 5
    umask: int = 0o077
    restart: Restart = Restart()
    watchdog: Watchdog = Watchdog()


_Reader = Callable[[object], object]
_READERS: dict[str, _Reader] = {
    "ramp_interval": values.duration(shortest=0.0),
    "reserve": values.size_of_anything,
    "look_interval": values.duration(shortest=0.1),
    "log_size": values.size_of_anything,
    "log_files": values.whole_number(1, 1000),
    "umask": values.octal,
    "repository": str,
    "revision": str,
    "tune": bool,
}
_RESTART: dict[str, _Reader] = {
    "first_delay": values.duration(shortest=0.01),
    "longest_delay": values.duration(shortest=0.01),
    "healthy_after": values.duration(shortest=0.01),
    "attempts": values.whole_number(1, 1000),
}
_WATCHDOG: dict[str, _Reader] = {
    "stalled": values.duration(shortest=60.0),
    "silent": values.duration(shortest=1.0),
    "memory": values.size_of_anything,
    "per_day": values.whole_number(1, 1000),
}


def resolve_launcher(
    file: FileLauncher | None,
    launches: dict[str, tuple[str, FileLaunch]],
    document: Document | None,
) -> Launcher:
    """Return the settings. `launches` has, by node name, the key and the value of its `launch`.

    Raises ConfigError with line and key.
    """
    if document is None:
        return Launcher()
    file = file or FileLauncher()
    restart = _read(file.restart, _RESTART, "launcher.restart", document)
    watchdog = _read(file.watchdog, _WATCHDOG, "launcher.watchdog", document)
    return Launcher(
        launch=_launch(file, "launcher", document),
        nodes={name: _launch(own, key, document) for name, (key, own) in launches.items()},
        restart=Restart(**restart),  # type: ignore[arg-type]
        watchdog=Watchdog(**watchdog),  # type: ignore[arg-type]
        **_read(file, _READERS, "launcher", document),  # type: ignore[arg-type]
    )


def _launch(file: FileLaunch, key: str, document: Document) -> Launch:
    base = document.path.parent

    def setting(name: str) -> Setting:
        where = document.where(f"{key}.{name}")
        return Setting(getattr(file, name), where, ConfigError, base, from_file=True)

    profile = file.profile
    if profile is not None and profile.endswith((".yml", ".yaml")):
        profile = str(setting("profile").parse(lambda value: values.path(str(value), base)))
    env_file = None
    if file.env_file is not None:
        env_file = setting("env_file").parse(lambda value: values.path(str(value), base))
    return Launch(
        profile=profile,
        command=setting("command").parse(values.command_line) if file.command else (),
        env={name: _text(value) for name, value in file.env.items()},
        env_file=env_file,
        answers={name: _text(value) for name, value in file.answers.items()},
        ports={
            name: Setting(port, document.where(f"{key}.ports.{name}"), ConfigError, base).parse(
                values.whole_number(1, 65_535)
            )
            for name, port in file.ports.items()
        },
        torch_helper=file.torch_helper,
    )


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(
    file: msgspec.Struct | None, readers: dict[str, _Reader], key: str, document: Document
) -> dict[str, object]:
    given = {}
    for name, reader in readers.items():
        value = getattr(file, name, None)
        if value is not None:
            where = document.where(f"{key}.{name}")
            given[name] = Setting(value, where, ConfigError, document.path.parent).parse(reader)
    return given
