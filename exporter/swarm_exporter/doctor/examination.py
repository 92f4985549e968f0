"""All groups of checks in their order, and the recording of what they met."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import pwd
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from swarm_exporter.clock import Clock, SystemClock
from swarm_exporter.config import Config
from swarm_exporter.doctor.addresses import Answer, ask_apis, check_addresses
from swarm_exporter.doctor.check import Check, Outcome
from swarm_exporter.doctor.clocks import check_clocks
from swarm_exporter.doctor.collectors import check_collectors
from swarm_exporter.doctor.configuration import check_configuration
from swarm_exporter.doctor.launcher import check_launcher
from swarm_exporter.doctor.machine import check_machine, read_about
from swarm_exporter.doctor.nodes import check_nodes
from swarm_exporter.doctor.ports import check_ports
from swarm_exporter.doctor.readings import as_json, extra_readings, versions
from swarm_exporter.doctor.record import Recording
from swarm_exporter.doctor.scrub import Secrets
from swarm_exporter.doctor.tools import check_tools
from swarm_exporter.errors import ConfigError
from swarm_exporter.host.collector import Collector, Look, Members
from swarm_exporter.launcher.control import Launcher
from swarm_exporter.launcher.nodes import read_env_file
from swarm_exporter.reasons import ACTION, MEANING, Reason

#: Words of a person's own settings that are shorter are no secret, and stand everywhere.
_SHORTEST_SECRET = 8
#: Groups that say nothing without the person's own configuration.
_OF_NAMED_NODES = ("ports", "nodes", "addresses")


class Examination:
    """One look at everything."""

    def __init__(
        self,
        config: Config,
        problem: str,
        collectors: Sequence[Collector],
        members: Callable[[], Members],
        clock: Clock | None = None,
    ) -> None:
        """Examine by `config`; `problem` says why the person's own could not be used, or is "".

        Then `config` is what holds without one, and nothing is said of nodes that nobody named.
        `members` tells the processes of the nodes that run.
        """
        self._config = config
        self._problem = problem
        self._collectors = collectors
        self._members = members
        self._clock = clock or SystemClock()

    def groups(self) -> Iterator[tuple[str, Callable[[], list[Check]]]]:
        """Yield each group's name, and what makes its checks; nothing is done before."""
        config = self._config
        folders = [node.folder for node in config.nodes if node.folder is not None]
        written = [*folders, config.state_dir]
        examine: dict[str, Callable[[], list[Check]]] = {
            "machine": lambda: check_machine(written),
            "tools": lambda: check_tools(folders),
            "configuration": lambda: check_configuration(config, self._problem),
            "ports": lambda: check_ports(config, Launcher(config.state_dir).state()),
            "nodes": lambda: check_nodes(config),
            "addresses": lambda: check_addresses(self._answers),
            "clocks": lambda: check_clocks(self._answers, config.state_dir, self._clock.time),
            "launcher": lambda: check_launcher(config.state_dir, self._clock.time()),
            "collectors": lambda: check_collectors(self._collectors, self.look, config.timeout),
        }
        for name, run in examine.items():
            if self._problem and name in _OF_NAMED_NODES:
                continue
            yield name, partial(_guarded, name, run)

    def record(self, recording: Recording, checks: Iterable[Check]) -> None:
        """Add to a recording what the checks have not, and the checks themselves."""
        for collector in self._collectors:
            with contextlib.suppress(Exception):
                for name, content in collector.record(self.look).items():
                    recording.add(f"{collector.name}-{name}", content)
        try:
            pids = [member.pid for own in self._members().values() for member in own]
        except Exception:  # noqa: BLE001 - the collectors' checks tell of it
            pids = []
        for name, content in extra_readings(Path("/"), pids).items():
            recording.add(name, content)
        names = [collector.name for collector in self._collectors]
        recording.add("versions.json", versions(read_about(), names))
        recording.add("doctor.json", as_json(msgspec.to_builtins(list(checks))))

    @property
    def look(self) -> Look:
        """What a collector may use."""
        return Look(
            config=self._config,
            now=self._clock.time(),
            monotonic=self._clock.monotonic(),
            members=self._members,
        )

    @cached_property
    def _answers(self) -> list[Answer]:
        return [] if self._problem else ask_apis(self._config, self._clock)


def _guarded(name: str, run: Callable[[], list[Check]]) -> list[Check]:
    """Run one group; a fault of ours costs that group alone."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - said, with what to do
        said = f"{MEANING[Reason.INTERNAL]} ({type(error).__name__}: {error})"[:300]
        return [Check(name, name, Outcome.FAILURE, said, ACTION[Reason.INTERNAL])]


def known_secrets(config: Config, cwd: Path) -> Secrets:
    """Return what this person and this machine are called, and where their files are."""
    words = [*_people(), *_hosts()]
    texts = [str(Path.home()), str(cwd), str(config.state_dir), str(config.source_file or "")]
    for node in config.nodes:
        words += [node.name, node.nickname or "", *node.labels.values()]
        texts += [str(node.folder or ""), str(node.identity_file or ""), node.peer_id or ""]
        words.append(urlsplit(node.api).hostname or "")
    # The key of an RPC is a part of its path, or its query.
    addresses = [config.chain.network.rpc, *(c.rpc for c in config.chain.nodes.values() if c)]
    addresses += [config.hosted.url] if config.hosted is not None else []
    for address in addresses:
        texts += [address, *_long_parts(address)]
    for launch in (config.launcher.launch, *config.launcher.nodes.values()):
        given: dict[str, str] = {**launch.env, **launch.answers}
        if launch.env_file is not None:
            with contextlib.suppress(ConfigError):
                given |= read_env_file(launch.env_file)
        texts += [value for value in given.values() if len(value) >= _SHORTEST_SECRET]
    real = [os.path.realpath(text) for text in texts if text.startswith("/")]
    # "/" and the like are no secret, and stand everywhere.
    long = [text for text in (*texts, *real) if len(Path(text).parts) > 2 or "/" not in text]
    return Secrets(words=_distinct(words), texts=_distinct(long))


def _long_parts(url: str) -> list[str]:
    """Return what of an address may be a secret: all but scheme and host, cut at its marks."""
    parts = urlsplit(url)
    rest = [parts.username or "", parts.password or "", *re.split(r"[/&=?;]", parts.path)]
    rest += re.split(r"[/&=?;]", parts.query)
    return [part for part in rest if len(part) >= _SHORTEST_SECRET]


def _people() -> list[str]:
    found = [os.environ.get(name, "") for name in ("SUDO_USER", "LOGNAME", "USER")]
    with contextlib.suppress(KeyError, OSError):
        found.append(getpass.getuser())
    with contextlib.suppress(KeyError):
        entry = pwd.getpwuid(os.getuid())
        full = entry.pw_gecos.split(",")[0]
        found += [entry.pw_name, full, *full.split()]
    return found


def _hosts() -> list[str]:
    names = {platform.node(), socket.gethostname()}
    return [part for name in names for part in (name, name.split(".")[0])]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
