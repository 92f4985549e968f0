"""What a source is: targets out of a configuration, and one poll of a target.

The frame around it (poller.py) adds time, timeout, backoff, status and logging, so that a source
is only the question and the meaning of the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import httpx
import msgspec

from swarm_exporter.clock import Clock
from swarm_exporter.config import Config
from swarm_exporter.model import Board, FactsOfNodes, HostFacts, Identity, Node, Processes
from swarm_exporter.reasons import Reason


class Target(msgspec.Struct, frozen=True):
    """One thing to ask, and the nodes that the answer is for."""

    source: str
    #: What is asked: an address, or a node's name. Unique within the source.
    key: str
    nodes: tuple[Node, ...]
    #: Seconds from one poll to the next.
    interval: float


class Context(msgspec.Struct, frozen=True):
    """What a poll may use."""

    client: httpx.AsyncClient
    clock: Clock
    config: Config
    #: The newest identity of each node of the target.
    identities: Mapping[str, Identity]
    #: True until a poll of this target has succeeded once.
    first: bool


class Facts(msgspec.Struct, frozen=True):
    """What a poll found, and the defects that cost single values."""

    value: Board | Identity | Processes | HostFacts | FactsOfNodes
    defects: tuple[Reason, ...] = ()
    #: What was found, in a few words for the log of the first success.
    summary: str = ""


class Source(ABC):
    """A place facts come from. It keeps no more between polls than counters need."""

    #: The `source` label.
    name: str

    @abstractmethod
    def targets(self, config: Config) -> list[Target]:
        """Return what is to be asked for this configuration."""

    @abstractmethod
    async def poll(self, target: Target, context: Context) -> Facts:
        """Ask once. Raises SourceError with a reason where there is no answer."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what was taken; it may wait, and may be polled again after."""
