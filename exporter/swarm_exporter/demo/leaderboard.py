"""The state of upstream's leaderboard server (RL Swarm v0.3.1 to v0.4.4, web/api), quirks included.

Pure: it is told the time and what the swarm published, and returns what each route answers.
Facts: bodies recorded from a real v0.4.2 server and from v0.4.4's code (tests/data/api).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from swarm_exporter.demo.dht import Rewards
from swarm_exporter.model import Stage

#: A body before it is encoded; the order of the keys is upstream's.
Json = dict[str, Any]

STAGES_PER_ROUND = 3
#: `scoreHistory` keeps so many polls; `rewards-history` keeps all of them.
HISTORY_POLLS = 30
#: `healthz` fails where the last poll is longer ago than this.
STALE_AFTER_SECONDS = 300.0


class ServerError(Exception):
    """The route answers 500 with `body`."""

    def __init__(self, **body: str) -> None:
        """Take the members of the body, in upstream's order."""
        super().__init__(body["detail"])
        self.body: Json = {**body}


class ScorePoint(msgspec.Struct, frozen=True):
    """One point of `scoreHistory`: whole Unix seconds of the poll, and the figure it led to."""

    x: int
    y: float


class CumulativeRow(msgspec.Struct, frozen=True, rename="camel"):
    """One peer of the cumulative board, as JSON lists it."""

    id: str
    nickname: str
    recorded_round: int
    recorded_stage: int
    cumulative_score: float
    last_score: float
    score_history: tuple[ScorePoint, ...]

    @property
    def recorded(self) -> Stage:
        """The stage in which the peer was last seen to have published."""
        return Stage(self.recorded_round, self.recorded_stage)


class Leaderboard:
    """What one API server remembers of its polls. A restarted server begins with a new one."""

    def __init__(self, nickname: Callable[[str], str]) -> None:
        """Begin without a poll; `nickname` tells a peer's three words from its id."""
        self._nickname = nickname
        self._stage = Stage(-1, -1)
        self._last_poll: float | None = None
        #: The scores of the newest stage, best first.
        self._listed: Rewards = {}
        #: Whole Unix seconds of each poll, and what it found.
        self._polls: list[tuple[int, Rewards]] = []
        #: The rows of the cumulative board by peer id, best first.
        self._rows: dict[str, CumulativeRow] = {}

    def poll(self, now: float, stage: Stage, rewards: Rewards) -> None:
        """Take in, at Unix time `now`, what the swarm answers for the chain's current stage.

        `rewards` is kept, not copied: give a mapping that nobody changes.
        """
        self._stage = stage
        self._last_poll = now
        self._list(int(now), rewards)
        self._accumulate(int(now), rewards)

    def leaderboard(self) -> Json:
        """Answer `/api/leaderboard`: who has published for the current stage."""
        return {
            "leaders": [
                {"id": peer, "nickname": self._nickname(peer), "score": score, "values": []}
                for peer, score in self._listed.items()
            ],
            "total": len(self._listed),
        }

    def leaderboard_cumulative(self) -> Json:
        """Answer `/api/leaderboard-cumulative`: who has published for this stage or the last."""
        return {
            "leaders": msgspec.to_builtins(list(self._rows.values())),
            "total": len(self._rows),
        }

    def rewards_history(self) -> Json:
        """Answer `/api/rewards-history`: every poll's score of the peers of the current stage."""
        return {
            "leaders": [
                {
                    "id": peer,
                    "nickname": self._nickname(peer),
                    "values": [
                        {"x": x, "y": rewards[peer]}
                        for x, rewards in self._polls
                        if peer in rewards
                    ],
                }
                for peer in self._listed
            ]
        }

    def round_and_stage(self) -> Json:
        """Answer `/api/round_and_stage`: the chain's clock, -1 and -1 before the first poll."""
        return {"round": self._stage.round, "stage": self._stage.stage}

    def gossip(self) -> Json:
        """Answer `/api/gossip`: in this swarm nobody says anything."""
        return {} if self._last_poll is None else {"messages": []}

    def name_to_id(self, name: str) -> Json:
        """Answer `/api/name-to-id`: the listed peer that is called `name`.

        Raises ServerError before the first poll: upstream then misses a key of its own.
        """
        if self._last_poll is None:
            raise ServerError(detail="Internal Server Error", message="'leaders'")
        return {"id": next((p for p in self._listed if self._nickname(p) == name), None)}

    def healthz(self, now: float) -> Json:
        """Answer `/api/healthz` at Unix time `now`: seconds since the last poll.

        Raises ServerError where there was none yet, or none for five minutes.
        """
        if self._last_poll is None:
            raise ServerError(detail="dht never polled")
        age = now - self._last_poll
        if age > STALE_AFTER_SECONDS:
            raise ServerError(detail="dht last poll exceeded 5 minutes")
        return {"message": "OK", "lastPolled": round(age, 6)}

    def _list(self, x: int, rewards: Rewards) -> None:
        try:
            ranked = sorted(rewards, key=lambda peer: (rewards[peer], peer), reverse=True)
        except TypeError:
            return  # Scores of several types have no order: upstream keeps what it had.
        self._listed = {peer: rewards[peer] for peer in ranked}
        self._polls.append((x, rewards))

    def _accumulate(self, x: int, rewards: Rewards) -> None:
        if not rewards:
            return  # Nobody has published yet: the whole old board stays.
        try:
            scores = {peer: float(score) for peer, score in rewards.items()}
        except (TypeError, ValueError):
            return  # A list, or words: upstream keeps what it had.
        rows = self._rows | {peer: self._row(x, peer, score) for peer, score in scores.items()}
        shown = (self._stage, _previous(self._stage))
        ranked = sorted(
            (row for row in rows.values() if row.recorded in shown),
            key=lambda row: (row.cumulative_score, row.id),
            reverse=True,
        )
        self._rows = {row.id: row for row in ranked}

    def _row(self, x: int, peer: str, score: float) -> CumulativeRow:
        """Return a peer's next row: the first poll of a stage adds to the figure, others set it."""
        before = self._rows.get(peer)
        figure = score
        if before is not None and before.recorded != self._stage:
            figure += before.cumulative_score
        points = before.score_history if before is not None else ()
        return CumulativeRow(
            id=peer,
            nickname=self._nickname(peer),
            recorded_round=self._stage.round,
            recorded_stage=self._stage.stage,
            cumulative_score=figure,
            last_score=score,
            score_history=(*points, ScorePoint(x, figure))[-HISTORY_POLLS:],
        )


def _previous(stage: Stage) -> Stage:
    """Return the stage before, as upstream counts: before the very first one it says (0, 2)."""
    if stage.stage > 0:
        return Stage(stage.round, stage.stage - 1)
    return Stage(max(0, stage.round - 1), STAGES_PER_ROUND - 1)
