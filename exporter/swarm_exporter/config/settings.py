"""The types of the configuration: as it is written in a file, as flags, and resolved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from swarm_exporter.config.chain import Chain, FileChain, FileNodeChain
from swarm_exporter.config.hosted import FileHosted, Hosted
from swarm_exporter.config.launcher import FileLaunch, FileLauncher, Launcher
from swarm_exporter.config.leaderboard import FileLeaderboard, MappedBoard
from swarm_exporter.config.logs import FileTrainingLog, TrainingLog
from swarm_exporter.config.sources import REWARD_SOURCES, Choice
from swarm_exporter.model import Node


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What was given on the command line, or in the environment; None where nothing was."""

    config: str | None = None
    instances: str | None = None
    listen: str | None = None
    interval: str | None = None
    timeout: str | None = None
    body_limit: str | None = None
    stall_after: str | None = None
    top_peers: str | None = None
    state_dir: str | None = None
    log_level: str | None = None
    log_format: str | None = None
    reload_endpoint: str | None = None
    api_port: str | None = None
    api_url: str | None = None
    folder: str | None = None
    collectors: str | None = None
    sources: str | None = None
    #: In the order of the nodes.
    peer_id: tuple[str, ...] = ()
    nickname: tuple[str, ...] = ()
    #: --collector.NAME and --no-collector.NAME.
    collector: tuple[tuple[str, bool], ...] = ()


class FileNode(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `nodes:` in a file."""

    name: str | int | None = None
    folder: str | None = None
    api: str | None = None
    port: int | None = None
    peer_id: str | None = None
    nickname: str | None = None
    identity_file: str | None = None
    labels: dict[str, str | int | float | bool] = {}
    launch: FileLaunch | None = None
    #: As of all nodes, for this one.
    sources: str | list[str] | dict[str, bool] | None = None
    chain: FileNodeChain | None = None
    log: FileTrainingLog | None = None


class FileSettings(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file."""

    instances: int | None = None
    listen: str | None = None
    interval: str | int | float | None = None
    timeout: str | int | float | None = None
    body_limit: str | int | None = None
    stall_after: str | int | float | None = None
    top_peers: int | None = None
    state_dir: str | None = None
    log_level: str | None = None
    log_format: str | None = None
    reload_endpoint: bool | None = None
    api_port: int | None = None
    api_url: str | None = None
    folder: str | None = None
    #: Only these, or each switched on or off.
    collectors: list[str] | dict[str, bool] | None = None
    #: auto, only these, or each switched on or off.
    sources: str | list[str] | dict[str, bool] | None = None
    leaderboard: FileLeaderboard | None = None
    hosted: FileHosted | None = None
    chain: FileChain | None = None
    nodes: list[FileNode] | None = None
    launcher: FileLauncher | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force, every value resolved."""

    nodes: tuple[Node, ...]
    state_dir: Path
    listen_host: str = "127.0.0.1"
    listen_port: int = 10331
    #: Seconds from one poll of a source to the next.
    interval: float = 15.0
    #: Seconds after which a poll has failed.
    timeout: float = 10.0
    #: Largest answer that is read, bytes.
    body_limit: int = 64 * 1024 * 1024
    #: Seconds without earning after which a node counts as stalled: 1.5 times the 3 hours after
    #: which RL Swarm v0.5.7 and later submit.
    stall_after: float = 16_200.0
    #: How many of the board's first peers are exported.
    top_peers: int = 10
    log_level: str = "info"
    log_format: str = "text"
    #: Whether POST /-/reload is answered.
    reload_endpoint: bool = False
    #: The only collectors that read this machine; None for those that are on by default.
    only_collectors: tuple[str, ...] | None = None
    #: Collectors that were switched on or off one by one; this wins.
    switched_collectors: Mapping[str, bool] = {}
    #: Which sources each node is read through and why, by its name.
    choices: Mapping[str, tuple[Choice, ...]] = {}
    #: The shape of the leaderboards, where it is not upstream's.
    leaderboard: MappedBoard | None = None
    #: None where no dashboard is configured.
    hosted: Hosted | None = None
    #: Contracts, those that were found in the nodes' folders among them.
    chain: Chain = Chain()
    #: Where the nodes' logs are, by name.
    logs: Mapping[str, TrainingLog] = {}
    launcher: Launcher = Launcher()
    #: The file it came from, if any.
    source_file: Path | None = None
    #: What is odd about it but no error, a sentence each.
    warnings: tuple[str, ...] = ()

    def collects(self, name: str, by_default: bool) -> bool:
        """Tell whether a collector reads this machine."""
        chosen = by_default if self.only_collectors is None else name in self.only_collectors
        return self.switched_collectors.get(name, chosen)

    def reads(self, node: str, source: str) -> bool:
        """Tell whether a node is read through a source; where nothing was chosen, through all."""
        choices = self.choices.get(node, ())
        return next((choice.on for choice in choices if choice.source == source), True)

    def reward_source(self, node: str) -> str:
        """Return the source that gives a node its reward, chosen once; empty where none does."""
        return next((source for source in REWARD_SOURCES if self.reads(node, source)), "")

    def keeps_sums(self, node: str) -> bool:
        """Tell whether a node's reward comes as a running sum, and not stage by stage."""
        if self.reward_source(node) == "leaderboard":
            return self.leaderboard is not None and self.leaderboard.keeps_sums
        return True

    def read_alike(self) -> dict[tuple[Choice, ...], list[str]]:
        """Return the names of the nodes of each way to be read, in their order."""
        alike: dict[tuple[Choice, ...], list[str]] = {}
        for node in self.nodes:
            alike.setdefault(self.choices.get(node.name, ()), []).append(node.name)
        return alike
