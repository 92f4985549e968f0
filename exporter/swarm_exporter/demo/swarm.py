"""A swarm by rules and dice: who publishes which score when, and whose API process is dead.

Deterministic: time passes by ticks of one API poll, and the same seed gives the same swarm. The
durations are those of a swarm of RL Swarm v0.4; whoever drives the ticks sets the speed.
"""

from __future__ import annotations

from collections.abc import Collection

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
        self._present = frozenset(range(own))
        self._processes: list[_ApiProcess | None] = [_ApiProcess() for _ in self.own]
        self._elapsed = 0
        self._begin(0)

    @property
    def boards(self) -> tuple[Leaderboard | None, ...]:
        """What each own node's API server holds, in node order; None while it is dead."""
        return tuple(process.board if process else None for process in self._processes)

    @property
    def stage(self) -> Stage:
        """The stage of the newest tick, the first one before any."""
        return Stage(
            _FIRST_ROUND + self._number // STAGES_PER_ROUND, self._number % STAGES_PER_ROUND
        )

    @property
    def own_scores(self) -> dict[int, float]:
        """What own nodes, from 0, have published for `stage`."""
        return {
            node: self._published[peer.id]
            for node, peer in enumerate(self.own)
            if peer.id in self._published
        }

    def gather(self, present: Collection[int]) -> None:
        """Let only these own nodes, from 0, take part from now on; at first all of them do.

        An absent node publishes nothing more, and its API process is gone. No time passes.
        """
        self._present = frozenset(present)
        self._end_and_start()

    def tick(self, now: float) -> None:
        """Let every living API server poll once, at Unix time `now`; then POLL_SECONDS pass."""
        number, since = self._clock()
        if number != self._number:
            self._begin(number)
        self._publish(since)
        self._end_and_start()
        published = dict(self._published)
        for process in self._processes:
            if process is not None:
                process.poll(now, self.stage, published)
        self._elapsed += POLL_SECONDS

    def _clock(self) -> tuple[int, int]:
        """Return the number of the stage, from 0, and the seconds since its start."""
        number = self._elapsed // STAGE_SECONDS
        if self._halt_after is not None:
            number = min(number, self._halt_after - 1)
        return number, self._elapsed - number * STAGE_SECONDS

    def _begin(self, number: int) -> None:
        """Begin stage `number`: nobody has published for it yet."""
        self._number = number
        self._plan = self._publications(number)
        self._published: dict[str, float] = {}

    def _publish(self, since: int) -> None:
        """Publish what is due `since` seconds after the stage's start; it stays for the stage."""
        absent = {peer.id for node, peer in enumerate(self.own) if node not in self._present}
        for peer_id, publication in self._plan.items():
            if publication.after <= since and peer_id not in absent:
                self._published[peer_id] = publication.score

    def _end_and_start(self) -> None:
        """End the API processes of nodes that are absent or dead, and start the others'."""
        for node, process in enumerate(self._processes):
            lives = node in self._present and conduct(node, self._number) is not Conduct.DEAD
            self._processes[node] = (process or _ApiProcess()) if lives else None

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
