"""What a trainer's log has told so far: the newest of each, and counts since it was first read.

Pure: events in, the next state out. Times are Unix seconds.
"""

from __future__ import annotations

import msgspec

from swarm_exporter.sources.log_events import Told
from swarm_exporter.sources.log_patterns import Event


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What one node's logs have told. Unknown is None."""

    joined_round: int | None = None
    joined_at: float | None = None
    #: False until a trainer that greeted has said that it joins a round.
    joined_in_run: bool = False
    #: Since when the trainer has waited for the swarm's next round; None while it trains.
    waiting_since: float | None = None
    loss: float | None = None
    reward: float | None = None
    accepted: int = 0
    refused: int = 0
    winners_accepted: int = 0
    winners_refused: int = 0
    last_submit_at: float | None = None
    #: By kind.
    errors: dict[str, int] = {}
    starts: int = 0


def after(progress: Progress, told: Told, now: float, undated: float) -> Progress:
    """Return `progress` after one event; a line without a time was written at `undated`.

    A line from the future counts as now: the clock of the machine that wrote it, or its zone, is
    another.
    """
    at = min(told.time if told.time is not None else undated, now)
    if told.kind is not None:
        errors = dict(progress.errors)
        errors[told.kind.value] = errors.get(told.kind.value, 0) + 1
        progress = msgspec.structs.replace(progress, errors=errors)
    return msgspec.structs.replace(progress, **_changes(progress, told, at))


def _changes(before: Progress, told: Told, at: float) -> dict[str, object]:
    event = told.event
    if event is Event.TRAINER_STARTED:
        return {"starts": before.starts + 1, "joined_in_run": False, "waiting_since": None}
    if event is Event.JOINED_ROUND:
        return {
            "joined_round": told.round,
            "joined_at": at,
            "joined_in_run": True,
            "waiting_since": None,
        }
    if event is Event.ROUND_STARTED:
        # The first round of a trainer has no other line.
        joins = not before.joined_in_run and told.round != before.joined_round
        joins = joins or (not before.joined_in_run and told.round is None)
        joined = {"joined_round": told.round, "joined_at": at} if joins else {}
        return {"waiting_since": None, **joined}
    if event is Event.WAITING:
        since = before.waiting_since
        return {"waiting_since": at if since is None else since}
    if event is Event.METRICS:
        return {
            "loss": told.loss if told.loss is not None else before.loss,
            "reward": told.reward if told.reward is not None else before.reward,
        }
    if event is Event.SUBMIT_ACCEPTED:
        return {"accepted": before.accepted + 1, "last_submit_at": at}
    counts = {
        Event.SUBMIT_REFUSED: "refused",
        Event.WINNER_ACCEPTED: "winners_accepted",
        Event.WINNER_REFUSED: "winners_refused",
        Event.WINNER_REFUSAL: "winners_refused",
    }
    name = counts.get(event)
    return {name: getattr(before, name) + 1} if name is not None else {}
