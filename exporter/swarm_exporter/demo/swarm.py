"""A swarm by rules and dice: who publishes which score when, and whose API process is dead.

Deterministic: time passes by ticks of one API poll, and the same seed gives the same swarm. The
durations are those of a swarm of RL Swarm v0.4; whoever drives the ticks sets the speed.
"""

from __future__ import annotations

import msgspec

from swarm_exporter.demo.dht import DhtCache, Rewards
from swarm_exporter.demo.leaderboard import STAGES_PER_ROUND, Leaderboard
from swarm_exporter.demo.peers import Peer, dice, draw_peers, nickname
from swarm_exporter.demo.scenarios import Conduct, conduct
from swarm_exporter.model import Stage

#: Upstream's server polls, then sleeps so long (v0.4.4 web/api/server.py).
POLL_SECONDS = 10
STAGE_SECONDS = 600

#: A swarm that is not new: its clock is well past zero.
_FIRST_ROUND = 412
#: What becomes of the other peers' stages: a multiple of a good stage's gain, and its share.
_OUTCOMES = {1.0: 0.8, 0.0: 0.1, -0.5: 0.1}
_LATE_SHARE = 0.15


class _Publication(msgspec.Struct, frozen=True):
    """A score, and when it is published, seconds after the start of its stage."""

    score: float
    after: float


class _ApiProcess:
    """One running API server; what it remembers ends with it."""

    def __init__(self) -> None:
        self.board = Leaderboard(nickname)
        self._dht = DhtCache()

    def poll(self, now: float, stage: Stage, published: Rewards) -> None:
        self.board.poll(now, stage, self._dht.look(stage, published))


class Swarm:
    """The person's own nodes, each with its API server, among other peers."""

    def __init__(
        self, seed: int, *, own: int = 3, others: int = 20, halt_after: int | None = None
    ) -> None:
        """Draw `own` + `others` peers. After `halt_after` stages, if given, no stage follows."""
        peers = draw_peers(seed, own + others)
        #: The person's own peers, in the order of the nodes.
        self.own: tuple[Peer, ...] = peers[:own]
        self._others = peers[own:]
        self._seed = seed
        self._halt_after = halt_after
        self._processes: list[_ApiProcess | None] = [_ApiProcess() for _ in self.own]
        self._elapsed = 0
        self._planned: int | None = None
        self._plan: dict[str, _Publication] = {}

    @property
    def boards(self) -> tuple[Leaderboard | None, ...]:
        """What each own node's API server holds, in node order; None while it is dead."""
        return tuple(process.board if process else None for process in self._processes)

    def tick(self, now: float) -> None:
        """Let every living API server poll once, at Unix time `now`; then POLL_SECONDS pass."""
        number, since = self._clock()
        stage = Stage(_FIRST_ROUND + number // STAGES_PER_ROUND, number % STAGES_PER_ROUND)
        published = self._published(number, since)
        for node, process in enumerate(self._processes):
            if conduct(node, number) is Conduct.DEAD:
                self._processes[node] = None
            else:
                living = self._processes[node] = process or _ApiProcess()
                living.poll(now, stage, published)
        self._elapsed += POLL_SECONDS

    def _clock(self) -> tuple[int, int]:
        """Return the number of the stage, from 0, and the seconds since its start."""
        number = self._elapsed // STAGE_SECONDS
        if self._halt_after is not None:
            number = min(number, self._halt_after - 1)
        return number, self._elapsed - number * STAGE_SECONDS

    def _published(self, number: int, since: int) -> Rewards:
        if number != self._planned:
            self._planned, self._plan = number, self._publications(number)
        return {peer: p.score for peer, p in self._plan.items() if p.after <= since}

    def _publications(self, number: int) -> dict[str, _Publication]:
        """Throw the dice for one stage.

        A DHT cache keeps the first look that finds anything, so the punctual peers publish
        together, and the late ones are seen only by an API server that starts after them.
        """
        opening = dice(self._seed, number).randrange(2, 9) * POLL_SECONDS
        plan = {}
        for node, peer in enumerate(self.own):
            deed = conduct(node, number)
            if deed is Conduct.EARNS:
                plan[peer.id] = _Publication(self._gain(peer, number), opening)
            elif deed is Conduct.STALLS:
                plan[peer.id] = _Publication(0.0, opening)
        for peer in self._others:
            throw = dice(self._seed, number, peer.id, "luck")
            (outcome,) = throw.choices(list(_OUTCOMES), list(_OUTCOMES.values()))
            late = throw.random() < _LATE_SHARE
            after = throw.uniform(opening, STAGE_SECONDS) if late else opening
            plan[peer.id] = _Publication(outcome * self._gain(peer, number), after)
        return plan

    def _gain(self, peer: Peer, number: int) -> float:
        """Return what a peer earns in a good stage: above zero, by its skill and its day."""
        skill = dice(self._seed, peer.id).uniform(0.5, 4.0)
        return skill * dice(self._seed, number, peer.id).uniform(0.5, 1.5)
