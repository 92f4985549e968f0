"""Standings over time -> what a node really earned.

Upstream's cumulative number jumps at a stage's first poll and falls back at the second, and it
restarts when a peer was absent (v0.2 to v0.4.4, web/api/server_cache.py). The score of one stage
is honest, so each finished (round, stage) is counted once, with the last score seen for it.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import msgspec

from swarm_exporter.model import Board, Earnings, Point, Stage, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A swarm whose clock fell behind for this long, and moves on from there, was restarted: its
#: stages are new ones although their numbers were seen before. A lagging API is back sooner.
RESTART_AFTER_SECONDS = 1800.0

#: How many counted stages are remembered, to recognise one that is shown again.
REMEMBERED_STAGES = 256
_REMEMBERED_SCORES = 32
_RATE_WINDOW_SECONDS = 86_400.0
_REMEMBERED_GAINS = 2048


class StageScore(msgspec.Struct):
    """A stage and the last score seen for it."""

    stage: Stage
    score: float
    #: True where the stage was counted already when it was seen again behind a newer one.
    repeated: bool = False


class Ledger(msgspec.Struct):
    """Which stages of one peer were seen, and which of them are counted."""

    #: Seen and not yet counted, oldest first; the last one is the stage in progress.
    open: list[StageScore] = []
    #: The newest counted stages with what was counted, in the order of counting.
    counted: list[StageScore] = []
    #: When the recorded stage fell behind the stage in progress, Unix seconds; None while it leads.
    behind_since: float | None = None
    #: Stages seen since then, in the order of their first sight.
    behind: list[StageScore] = []

    def observe(self, stage: Stage, score: float | None, now: float) -> list[float]:
        """Take note of one standing; return the scores of the stages that it finished.

        `score` is None where the API gave no usable one: the stage then only finishes others.
        """
        front = max((seen.stage for seen in (*self.open, *self.counted)), default=None)
        repeated = self._is_counted(stage)
        if score is not None and not repeated:
            _put(self.open, StageScore(stage, score))
            self.open.sort(key=lambda seen: seen.stage)
        settled = self._settle_before(stage)

        if front is None or stage >= front:
            self.behind_since = None
            self.behind = []
            return settled
        moved_on = bool(self.behind) and stage > max(seen.stage for seen in self.behind)
        if self.behind_since is None:
            self.behind_since = now
        if score is not None:
            _put(self.behind, StageScore(stage, score, repeated))
        waited = now - self.behind_since >= RESTART_AFTER_SECONDS
        if moved_on and (waited or len(self.behind) >= REMEMBERED_STAGES) and not self._is_lag():
            settled += self._begin_anew(stage)
        del self.behind[:-REMEMBERED_STAGES]
        return settled

    def _is_lag(self) -> bool:
        """Tell whether what is seen behind is the known past: the same stage with the same score.

        A restarted swarm gives other scores for the numbers it uses again.
        """
        known = {(seen.stage, seen.score) for seen in self.counted if seen.score != 0.0}
        return any((seen.stage, seen.score) in known for seen in self.behind)

    def _begin_anew(self, stage: Stage) -> list[float]:
        """Accept that the swarm was restarted; return the scores that its new life still owes."""
        owed = [seen for seen in self.open if seen.stage > stage]
        owed += [seen for seen in self.behind if seen.repeated and seen.stage < stage]
        self.open = [StageScore(s.stage, s.score) for s in self.behind if s.stage == stage]
        self.counted = [StageScore(s.stage, s.score) for s in self.behind if s.stage < stage]
        self.behind_since = None
        self.behind = []
        return [seen.score for seen in owed]

    def _settle_before(self, stage: Stage) -> list[float]:
        finished = [seen for seen in self.open if seen.stage < stage]
        if finished:
            self.open = self.open[len(finished) :]
            self.counted += finished
            del self.counted[:-REMEMBERED_STAGES]
        return [seen.score for seen in finished]

    def _is_counted(self, stage: Stage) -> bool:
        stages = [seen.stage for seen in self.counted]
        # Older than the memory reaches: whether it was counted is unknown, and never counting
        # twice weighs more than one stage.
        return stage in stages or (len(stages) >= REMEMBERED_STAGES and stage < min(stages))


class Account(msgspec.Struct):
    """The running account of one node. It survives restarts in the state file."""

    earned: float = 0.0
    lost: float = 0.0
    since: float | None = None
    last_increase: float | None = None
    #: True where the last board was without the node's peer: what shows next was earned since.
    absence_seen: bool = False
    #: One ledger for each peer identity that the node has had.
    ledgers: dict[str, Ledger] = {}
    #: Time and gain (0 for a stage that earned nothing) of each stage settled within a day, and
    #: since the exporter was started: a time when nobody watched would thin the rate.
    gains: list[tuple[float, float]] = []
    #: Last scores of the newest settled stages, oldest first.
    scores: list[float] = []

    def observe(self, standing: Standing | None, board: Board, now: float) -> bool:
        """Take note of one answered board; return True where anything was learned.

        `standing` is None where the node's peer is not on the board, which is no zero.
        """
        if standing is None:
            # An empty board tells nothing: so begins every API that was restarted.
            if board.newest is None:
                return False
            learned = not self.absence_seen
            self.absence_seen = True
            return learned
        if standing.recorded is None:
            return False
        first_sight = standing.peer_id not in self.ledgers
        ledger = self.ledgers.setdefault(standing.peer_id, Ledger())
        before = msgspec.json.encode(self)
        worth_before = self._worth(ledger)

        for score in ledger.observe(standing.recorded, standing.last_score, now):
            self._settle(score, now)
        if self.since is None:
            self.since = now
        witnessed = self.absence_seen or not first_sight
        self.absence_seen = False
        if witnessed and self._worth(ledger) > worth_before:
            self.last_increase = now
        elif first_sight:
            self._remember(standing, board)
        return msgspec.json.encode(self) != before

    def earnings(self, peer_id: str | None, now: float) -> Earnings:
        """Return what the account holds, as plain figures."""
        ledger = self.ledgers.get(peer_id) if peer_id is not None else None
        open_scores = [ledger.open[-1].score] if ledger is not None and ledger.open else []
        return Earnings(
            earned=self.earned,
            lost=self.lost,
            since=self.since,
            last_increase=self.last_increase,
            per_hour=self._per_hour(now),
            scores=(*self.scores, *open_scores),
        )

    def _worth(self, ledger: Ledger) -> float:
        return self.earned + sum(max(seen.score, 0.0) for seen in ledger.open)

    def _settle(self, score: float, now: float) -> None:
        gain = max(score, 0.0)
        self.earned += gain
        self.lost += max(-score, 0.0)
        self.gains.append((now, gain))
        oldest = now - _RATE_WINDOW_SECONDS
        self.gains = [entry for entry in self.gains if entry[0] >= oldest][-_REMEMBERED_GAINS:]
        self.scores = [*self.scores, score][-_REMEMBERED_SCORES:]

    def _per_hour(self, now: float) -> float | None:
        """Gains after the first settled stage, over the time since: that stage began unseen."""
        recent = [entry for entry in self.gains if entry[0] >= now - _RATE_WINDOW_SECONDS]
        if not recent:
            return 0.0 if self.gains else None
        elapsed = now - recent[0][0]
        if elapsed < 1.0 or (len(recent) == 1 and elapsed < 3600.0):
            return None
        return sum(gain for _, gain in recent[1:]) / elapsed * 3600.0

    def _remember(self, standing: Standing, board: Board) -> None:
        """Take over what the API remembers from before the first sight of a peer."""
        scores = board.score_history.get(standing.peer_id, ())
        figures = board.cumulative_history.get(standing.peer_id, ())
        if not self.scores:
            runs = [score for score, _ in groupby(point.y for point in scores)]
            self.scores = runs[:-1][-_REMEMBERED_SCORES:]
        known = [self.last_increase, last_publication(scores), last_rise(figures)]
        self.last_increase = max((t for t in known if t is not None), default=None)


def last_rise(figures: Sequence[Point]) -> float | None:
    """When a cumulative figure last rose, Unix seconds; None where it never did.

    A new stage shows as a rise for one poll even where its score is below the last one's
    (`cumulativeScore`, UPSTREAM v0.4.4 server_cache.py:147-152).
    """
    rises = [b.x for a, b in pairwise(figures) if b.y > max(a.y, 0.0)]
    return rises[-1] if rises else None


def last_publication(scores: Sequence[Point]) -> float | None:
    """When a peer last published a positive stage score, Unix seconds; None where it never did.

    Scores stand still within a stage, so a change to a positive score is a publication.
    """
    changes = [b.x for a, b in pairwise(scores) if b.y != a.y and b.y > 0]
    return changes[-1] if changes else None


class SwarmWatch(msgspec.Struct):
    """When anybody on one board last earned: tells a stuck node from a stuck swarm."""

    #: The newest stage of the last board; it survives a restart, the scores do not.
    newest: Stage | None = None
    scores: dict[str, float] | None = None

    def observe(self, board: Board) -> bool:
        """Compare with the board before; return True where somebody earned in between."""
        before, self.newest = self.newest, board.newest
        scores_before, self.scores = self.scores, dict(board.newest_scores)
        if before is None or board.newest is None or board.newest < before:
            return False
        if board.newest > before:
            return any(score > 0 for score in self.scores.values())
        return scores_before is not None and any(
            score > max(scores_before.get(peer, 0.0), 0.0) for peer, score in self.scores.items()
        )


def _put(seen: list[StageScore], new: StageScore) -> None:
    for entry in seen:
        if entry.stage == new.stage:
            entry.score = new.score
            return
    seen.append(new)
