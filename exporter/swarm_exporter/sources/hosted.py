"""A dashboard that others run, asked for one peer at a time: reward, score, online.

Shape: `/api/v1/peer?id=` or `?name=` of Gensyn's dashboard, read from public clients. It is
somebody else's machine: nodes of one peer share a request, and a refusal holds for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import quote as encode

from swarm_exporter.addresses import redact_url
from swarm_exporter.config import Config
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.durations import format_duration
from swarm_exporter.model import FactsOfNodes, Identity, Node
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.hosted_json import HostedFacts, decode_peer
from swarm_exporter.sources.http import Answer, get, refuse_other_than_json

#: Without a word of its own (Retry-After) a dashboard in trouble is left alone up to so long.
LONGEST_PAUSE_SECONDS = 900.0
#: What a server says, or does, that is asked for too much.
_OVERLOADED = (Reason.RATE_LIMITED, Reason.HTTP_5XX, Reason.TIMEOUT)
#: Decoding takes some milliseconds for each megabyte.
_LARGE_BODY = 512 * 1024
_ALMOST_NOW = 0.001

Decoded = tuple[HostedFacts, tuple[Reason, ...]]


class HostedDashboard(Source):
    """What a hosted dashboard says of each node's peer."""

    name = "hosted"

    def __init__(self, settings: Callable[[Config, Node], Hosted | None]) -> None:
        """Ask for the nodes for which `settings` returns a dashboard."""
        self._settings = settings
        self._answers: dict[tuple[Hosted, str], _Shared] = {}
        self._gates: dict[str, _Gate] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each node that a dashboard is configured for."""
        # Peers that nobody asks for any more are forgotten; a dashboard's refusal is not.
        self._answers.clear()
        targets = []
        for node in config.nodes:
            hosted = self._settings(config, node)
            if hosted is not None:
                targets.append(Target(self.name, node.name, (node,), hosted.interval))
        return targets

    async def poll(self, target: Target, context: Context) -> Facts:
        """Ask for one node's peer, unless another node has just done so."""
        (node,) = target.nodes
        hosted = self._settings(context.config, node)
        identity = context.identities.get(node.name, Identity())
        if hosted is None or not identity.known:
            problem = identity.problem or "give it a peer_id or a nickname"
            raise SourceError(Reason.NOT_READY, f"which peer the node is, is not known: {problem}")
        url = peer_url(hosted, identity)
        shared = self._answers.setdefault((hosted, url), _Shared())
        facts, defects = await shared.get(
            node.name,
            context.clock.monotonic,
            hosted.interval,
            lambda: self._ask(hosted, url, identity, context),
        )
        return Facts(FactsOfNodes({node.name: facts}), defects, _summary(facts))

    async def _ask(self, hosted: Hosted, url: str, identity: Identity, context: Context) -> Decoded:
        gate = self._gates.setdefault(hosted.url, _Gate())
        began = context.clock.monotonic()
        gate.refuse_before(began)
        try:
            answer = await _get(url, context)
        except SourceError as error:
            if error.reason is Reason.NOT_FOUND:
                gate.opened_by(began)
            if error.reason not in _OVERLOADED:
                raise
            now = context.clock.monotonic()
            raise gate.closed_by(error, began, now, hosted.interval) from None
        gate.opened_by(began)
        arguments = (answer.body, hosted.mapping, identity.peer_id, identity.nickname)
        if len(answer.body) > _LARGE_BODY:
            return await asyncio.to_thread(decode_peer, *arguments)
        return decode_peer(*arguments)


class _Shared:
    """The newest answer for one peer. Each node takes it once: then it asks for a newer one."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._outcome: Decoded | SourceError | None = None
        self._asked_at = 0.0
        self._taken_by: set[str] = set()

    async def get(
        self,
        node: str,
        monotonic: Callable[[], float],
        lasts: float,
        ask: Callable[[], Awaitable[Decoded]],
    ) -> Decoded:
        """Return the answer, asked for at most `lasts` seconds ago. Raises SourceError."""
        async with self._lock:
            old = monotonic() - self._asked_at >= lasts
            if self._outcome is None or old or node in self._taken_by:
                self._asked_at = monotonic()
                self._outcome = None
                self._taken_by = set()
                try:
                    self._outcome = await ask()
                except SourceError as error:
                    self._outcome = error
            self._taken_by.add(node)
            outcome = self._outcome
        if isinstance(outcome, SourceError):
            raise SourceError(outcome.reason, outcome.detail, retry_after=outcome.retry_after)
        return outcome


class _Gate:
    """Closed while a dashboard is to be left alone, for longer each time. Times are monotonic."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = 0.0
        self._opens_at = 0.0
        self._error = SourceError(Reason.NOT_READY, "")

    def refuse_before(self, now: float) -> None:
        """Raise again what closed the gate, unless it is open."""
        rest = self._opens_at - now
        if rest > _ALMOST_NOW:
            raise SourceError(self._error.reason, self._error.detail, retry_after=rest)

    def closed_by(self, error: SourceError, began: float, now: float, first: float) -> SourceError:
        """Close after a request that began at `began`; return what to raise.

        `first` is the shortest pause, seconds. Requests that were under way together count once.
        """
        if self._failures == 0 or began > self._closed_at:
            self._failures += 1
            self._closed_at = now
        pause = min(first * 2.0 ** min(self._failures - 1, 16), max(first, LONGEST_PAUSE_SECONDS))
        self._opens_at = max(self._opens_at, now + max(pause, error.retry_after or 0.0))
        self._error = SourceError(
            error.reason, error.detail, retry_after=max(self._opens_at - now, 0.0)
        )
        return self._error

    def opened_by(self, began: float) -> None:
        """Forget earlier failures after a request that began when they were known."""
        if began > self._closed_at:
            self._failures = 0


def peer_url(hosted: Hosted, identity: Identity) -> str:
    """Return what to ask for a peer: by its id, or by its nickname where that is all there is."""
    if identity.peer_id is not None:
        return f"{hosted.url}{hosted.path}?id={encode(identity.peer_id, safe='')}"
    return f"{hosted.url}{hosted.path}?name={encode(identity.nickname or '', safe='')}"


async def _get(url: str, context: Context) -> Answer:
    """Return an answer with JSON in it. Raises SourceError.

    What a refusal says is not quoted: it may repeat the request, and with it credentials.
    """
    config = context.config
    where = redact_url(url)
    request = get(context.client, url, timeout=config.timeout, limit=config.body_limit)
    try:
        answer = await asyncio.wait_for(request, config.timeout)
    except asyncio.TimeoutError:
        waited = format_duration(config.timeout)
        raise SourceError(Reason.TIMEOUT, f"no answer within {waited} from {where}") from None
    try:
        refuse_other_than_json(answer)
    except SourceError as error:
        detail = error.detail
        if error.reason is Reason.NOT_FOUND:
            detail = f"HTTP 404: {where} does not know this node's peer"
        elif error.reason in (Reason.RATE_LIMITED, Reason.HTTP_4XX, Reason.HTTP_5XX, Reason.NAN):
            detail = f"HTTP {answer.status} from {where}"
        raise SourceError(error.reason, detail, retry_after=error.retry_after) from None
    return answer


def _summary(facts: HostedFacts) -> str:
    figures = {"reward": facts.reward, "score": facts.score}
    known = [f"{name} {figure:g}" for name, figure in figures.items() if figure is not None]
    if facts.online is not None:
        known.append("online" if facts.online else "offline")
    return ", ".join(known) or "the peer is known, its figures are not"
