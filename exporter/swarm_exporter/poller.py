"""When to ask what: one task for each target, with timeout, backoff and a word on each change.

A target that never answers delays no other: each waits for nothing but its own answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import httpx

from swarm_exporter.addresses import redact_url
from swarm_exporter.clock import Clock
from swarm_exporter.config import Config
from swarm_exporter.durations import format_duration
from swarm_exporter.model import Reading
from swarm_exporter.reasons import ACTION, MEANING, Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import LONGEST_RETRY_AFTER_SECONDS, SourceError
from swarm_exporter.tracker import Tracker

log = logging.getLogger(__name__)

#: A failing target is asked at least this often, however long it has failed.
LONGEST_BACKOFF_SECONDS = 60.0
#: A source bounds its requests by the timeout; this bounds the whole, whatever it does.
_POLL_TIMEOUTS = 3
#: First polls of many targets are this far apart, so that a start is no storm.
_START_SPACING_SECONDS = 0.005
#: What has not ended so long after it was asked to is asked again.
_CANCEL_AGAIN_SECONDS = 0.1


class Poller:
    """Asks every target of a configuration on its own clock, and gives the readings away."""

    def __init__(
        self,
        sources: Sequence[Source],
        client: httpx.AsyncClient,
        tracker: Tracker,
        clock: Clock,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Prepare; nothing is asked before `configure`."""
        self._sources = sources
        self._client = client
        self._tracker = tracker
        self._clock = clock
        self._uniform = uniform
        self._jobs: list[_Job] = []

    async def configure(self, config: Config) -> None:
        """Ask from now on what `config` names; targets that remain go on as they are."""
        wanted = [(source, target) for source in self._sources for target in source.targets(config)]
        targets = {(target.source, target.key): target for _, target in wanted}
        kept = {
            key: job
            for job in self._jobs
            if targets.get(key := (job.target.source, job.target.key)) == job.target
        }
        await _end(
            job for job in self._jobs if kept.get((job.target.source, job.target.key)) is not job
        )
        for source in self._sources:
            if all(asked is not source for asked, _ in wanted):
                await asyncio.to_thread(source.close)
        self._tracker.configure(config, targets.values())
        self._jobs = []
        spacing = min(_START_SPACING_SECONDS, config.interval / 2 / max(len(wanted), 1))
        shares = _shares(wanted)
        #: The jobs whose answers are for a node, in the order of the sources.
        serving: dict[str, list[_Job]] = {}
        for number, (source, target) in enumerate(wanted):
            job = kept.get((target.source, target.key))
            names = [node.name for node in target.nodes]
            if job is None:
                job = _Job(target, source, self._client, self._tracker, self._clock, self._uniform)
                earlier = [j for name in names for j in serving.get(name, ())]
                job.start(
                    [j for j in earlier if j.target.source != target.source],
                    number * spacing,
                    shares[number],
                )
            job.config = config
            self._jobs.append(job)
            for name in names:
                serving.setdefault(name, []).append(job)

    async def asked_once(self) -> None:
        """Wait until every target was asked at least once, with whatever success."""
        for job in self._jobs:
            await job.asked_once.wait()

    async def close(self) -> None:
        """Stop asking."""
        await _end(self._jobs)
        self._jobs = []
        for source in self._sources:
            await asyncio.to_thread(source.close)


class _Job:
    """One target being asked for ever."""

    config: Config

    def __init__(
        self,
        target: Target,
        source: Source,
        client: httpx.AsyncClient,
        tracker: Tracker,
        clock: Clock,
        uniform: Callable[[float, float], float],
    ) -> None:
        self.target = target
        self._source = source
        self._client = client
        self._tracker = tracker
        self._clock = clock
        self._uniform = uniform
        self._failures = 0
        #: How long the last failure asked to be left alone, seconds.
        self._retry_after = 0.0
        self._failing_since = 0.0
        self._succeeded = False
        self._failure: Reason | None = None
        self._said_defects: set[Reason] = set()
        self.asked_once = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self, earlier: Iterable[_Job], delay: float, share: float) -> None:
        """Begin once `earlier` jobs have asked, for the same nodes: a board needs identities.

        The second poll comes by a `share` of the interval sooner: a quick start of many targets is
        one storm, but not one for ever.
        """
        awaited = [job.asked_once for job in earlier]
        self.task = asyncio.create_task(self._run(awaited, delay, share))

    async def _run(self, awaited: Sequence[asyncio.Event], delay: float, share: float) -> None:
        for event in awaited:
            await event.wait()
        await self._clock.sleep(delay)
        due = self._clock.monotonic() - share * self.target.interval
        while True:
            reading = await self._ask()
            await self._tracker.record(self.target, reading)
            self._say_changes(reading)
            self.asked_once.set()
            if reading.failure is None:
                self._failures = 0
                self._succeeded = True
                # Keep the beat, but do not catch up on what was slept through.
                due = max(due + self.target.interval, self._clock.monotonic())
            else:
                self._failures += 1
                due = self._clock.monotonic() + self._backoff()
            await self._clock.sleep(due - self._clock.monotonic())

    def _backoff(self) -> float:
        longest = max(self.target.interval, LONGEST_BACKOFF_SECONDS)
        doubled = self.target.interval * 2.0 ** min(self._failures - 1, 16)
        own = min(doubled * self._uniform(0.75, 1.25), longest)
        # Whoever else was told the same does not come back at the same moment.
        asked = min(self._retry_after * self._uniform(1.0, 1.1), LONGEST_RETRY_AFTER_SECONDS)
        return max(own, asked)

    async def _ask(self) -> Reading:
        began = self._clock.monotonic()
        facts: Facts | None = None
        failure: Reason | None = None
        detail = ""
        self._retry_after = 0.0
        context = Context(
            client=self._client,
            clock=self._clock,
            config=self.config,
            identities=self._tracker.identities(self.target.nodes),
            first=not self._succeeded,
        )
        try:
            facts = await asyncio.wait_for(
                self._source.poll(self.target, context), _POLL_TIMEOUTS * self.config.timeout
            )
        except SourceError as error:
            failure, detail = error.reason, error.detail
            self._retry_after = error.retry_after or 0.0
        except asyncio.TimeoutError:
            failure = Reason.TIMEOUT
            detail = f"no end within {format_duration(_POLL_TIMEOUTS * self.config.timeout)}"
        except Exception as error:
            failure, detail = Reason.INTERNAL, type(error).__name__
            log.debug("internal fault", exc_info=error)
        return Reading(
            time=self._clock.time(),
            duration=self._clock.monotonic() - began,
            value=facts.value if facts is not None else None,
            failure=failure,
            detail=detail,
            defects=facts.defects if facts is not None else (),
            summary=facts.summary if facts is not None else "",
        )

    def _say_changes(self, reading: Reading) -> None:
        """Write one line where the state changed, and none while it stays."""
        nodes = ", ".join(node.name for node in self.target.nodes)
        where = f"{self.target.source} of {f'node {nodes}' if nodes else 'this machine'}"
        if "://" in self.target.key:
            where += f" ({redact_url(self.target.key)})"
        before, self._failure = self._failure, reading.failure
        if reading.failure is None:
            if before is not None:
                silence = max(reading.time - self._failing_since, 0.0)
                log.info("%s: answers again after %s", where, format_duration(silence))
            elif not self.asked_once.is_set():
                log.info("%s: %s", where, reading.summary)
        elif reading.failure != before:
            if before is None:
                self._failing_since = reading.time
            meaning, action = MEANING[reading.failure], ACTION[reading.failure]
            reason = f"{reading.failure.value}: {reading.detail}"
            log.warning("%s: %s [%s]. %s", where, meaning, reason, action)
        # A stranger's bad value may come and go with every poll: each kind is said once.
        for defect in sorted(set(reading.defects) - self._said_defects):
            self._said_defects.add(defect)
            log.warning("%s: %s [%s]. %s", where, MEANING[defect], defect.value, ACTION[defect])


def _shares(wanted: Sequence[tuple[Source, Target]]) -> list[float]:
    """Return, for each target, its place among those of its source, from 0 to below 1."""
    count = Counter(target.source for _, target in wanted)
    seen: Counter[str] = Counter()
    shares = []
    for _, target in wanted:
        shares.append(seen[target.source] / count[target.source])
        seen[target.source] += 1
    return shares


async def _end(jobs: Iterable[_Job]) -> None:
    pending = {job.task for job in jobs if job.task is not None}
    while pending:
        for task in pending:
            task.cancel()
        # Before Python 3.12 `wait_for` loses a cancellation that comes just as the answer does.
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
