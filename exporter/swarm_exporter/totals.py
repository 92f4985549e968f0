"""Sums of rewards that others keep -> what a node has earned: contracts and dashboards.

A sum may fall (RL Swarm submits signed integers), so rises and falls are counted apart. Nothing is
counted of what happened before the first look, or while the keeper or the peer was another one.
"""

from __future__ import annotations

import msgspec

from swarm_exporter.model import Earnings, RewardTotal

_DAY_SECONDS = 86_400.0
_REMEMBERED_GAINS = 2000
_REMEMBERED_SCORES = 30


class TotalAccount(msgspec.Struct):
    """The running account of one node in one source's sums. It survives restarts."""

    earned: float = 0.0
    lost: float = 0.0
    since: float | None = None
    last_increase: float | None = None
    #: The newest sum, whose it is and who keeps it.
    reward: float | None = None
    keeper: str = ""
    peer_id: str | None = None
    #: Time and size of each change within a day, and since the exporter was started.
    gains: list[tuple[float, float]] = []
    #: The newest changes, oldest first.
    scores: list[float] = []
    #: Since when this program has watched: what came before is not in `gains`.
    watched_since: float | None = None

    def observe(self, total: RewardTotal, peer_id: str | None, now: float) -> bool:
        """Take note of a sum; return True where anything was learned that is worth saving."""
        if self.watched_since is None:
            self.watched_since = now
        before, self.reward = self.reward, total.reward
        same = (self.keeper, self.peer_id) == (total.keeper, peer_id)
        self.keeper, self.peer_id = total.keeper, peer_id
        if self.since is None:
            self.since = now
        if before is None or not same:
            return True
        change = total.reward - before
        if change == 0.0:
            return False
        self.earned += max(change, 0.0)
        self.lost += max(-change, 0.0)
        if change > 0.0:
            self.last_increase = now
        recent = [gain for gain in self.gains if gain[0] >= now - _DAY_SECONDS]
        self.gains = [*recent, (now, change)][-_REMEMBERED_GAINS:]
        self.scores = [*self.scores, change][-_REMEMBERED_SCORES:]
        return True

    def earnings(self, now: float) -> Earnings:
        """Return what the account holds, as plain figures."""
        return Earnings(
            earned=self.earned,
            lost=self.lost,
            since=self.since,
            last_increase=self.last_increase,
            per_hour=self._per_hour(now),
            scores=tuple(self.scores),
        )

    def _per_hour(self, now: float) -> float | None:
        """Rises within a day over the time since the first of them: what it paid for is unseen."""
        recent = [(t, max(gain, 0.0)) for t, gain in self.gains if t >= now - _DAY_SECONDS]
        if not recent:
            return 0.0 if self.gains else None
        elapsed = now - recent[0][0]
        # RL Swarm submits every three hours: less tells nothing.
        if len(recent) < 2 or elapsed < 1.0:
            return None
        return sum(gain for _, gain in recent[1:]) / elapsed * 3600.0
