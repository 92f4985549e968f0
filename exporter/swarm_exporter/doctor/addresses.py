"""The swarm APIs, each asked once as the exporter asks it, and what time they think it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

import httpx
import msgspec
from msgspec.structs import replace

from swarm_exporter.addresses import redact_url
from swarm_exporter.clock import Clock
from swarm_exporter.config import Config
from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.durations import format_duration
from swarm_exporter.reasons import ACTION, MEANING, Reason
from swarm_exporter.sources.base import Context, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.leaderboard import Leaderboard

GROUP = Group("addresses")
#: Reasons that pass, or that nobody here can mend.
_PASSING = (Reason.NAN, Reason.NOT_READY, Reason.STALE)
#: A poll asks three times, each within the timeout.
_POLL_TIMEOUTS = 3


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one API answered."""

    api: str
    #: Names of the nodes that it is asked for.
    nodes: tuple[str, ...]
    #: Seconds until all was answered.
    seconds: float = 0.0
    summary: str = ""
    defects: tuple[Reason, ...] = ()
    #: Why there is no board.
    reason: Reason | None = None
    detail: str = ""
    #: By how much the local clock is ahead of the API's, seconds; None where it does not tell.
    ahead: float | None = None


def ask_apis(config: Config, clock: Clock) -> list[Answer]:
    """Ask every API of a configuration once, all at the same time."""

    async def ask_all() -> list[Answer]:
        source = Leaderboard()
        return list(
            await asyncio.gather(*(_ask(source, t, config, clock) for t in source.targets(config)))
        )

    return asyncio.run(ask_all())


async def _ask(source: Leaderboard, target: Target, config: Config, clock: Clock) -> Answer:
    ahead: list[float] = []

    async def look(response: httpx.Response) -> None:
        found = clock_ahead(response.headers, clock.time())
        if found is not None:
            ahead.append(found)

    begun = clock.monotonic()
    answer = Answer(api=target.key, nodes=tuple(node.name for node in target.nodes))
    # A client of its own, so that each answer's time is known as its own.
    async with new_client() as client:
        client.event_hooks = {"request": [], "response": [look]}
        context = Context(client=client, clock=clock, config=config, identities={}, first=False)
        try:
            facts = await asyncio.wait_for(
                source.poll(target, context), _POLL_TIMEOUTS * config.timeout
            )
            answer = replace(answer, summary=facts.summary, defects=facts.defects)
        except SourceError as error:
            answer = replace(answer, reason=error.reason, detail=error.detail)
        except asyncio.TimeoutError:
            answer = replace(answer, reason=Reason.TIMEOUT, detail="no whole answer")
    return replace(
        answer, seconds=clock.monotonic() - begun, ahead=min(ahead, key=abs, default=None)
    )


def clock_ahead(headers: httpx.Headers, now: float) -> float | None:
    """Return by how many seconds `now` is ahead of an answer's Date (RFC 9110, section 6.6.1).

    A cache on the way adds its Age. None without a date.
    """
    age = headers.get("age", "")
    held = float(age) if age.isdecimal() and len(age) < 10 else 0.0
    try:
        return now - parsedate_to_datetime(headers["date"]).timestamp() - held
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return None


def check_addresses(answers: Iterable[Answer]) -> list[Check]:
    """Return the checks of what the APIs answered."""
    return [check for answer in answers for check in _answer(answer)]


def _answer(answer: Answer) -> list[Check]:
    names = f"node{'s' * (len(answer.nodes) > 1)} {', '.join(answer.nodes)}"
    subject = f"{redact_url(answer.api)} of {names}"
    if answer.reason is not None:
        what = f"{MEANING[answer.reason]} ({answer.detail})"
        make = GROUP.warning if answer.reason in _PASSING else GROUP.failure
        return [make(subject, what, ACTION[answer.reason])]
    took = format_duration(answer.seconds)
    return [
        GROUP.good(subject, f"{answer.summary}, answered in {took}"),
        *(
            GROUP.warning(subject, MEANING[reason], ACTION[reason])
            for reason in dict.fromkeys(answer.defects)
        ),
    ]
