"""The one answer for a node: a pure function from what is known to a condition.

"Earning" is the definition of up. Where the facts do not tell, the answer is unknown, with what
to do to know more.
"""

from __future__ import annotations

import msgspec

from swarm_exporter.durations import format_duration
from swarm_exporter.model import (
    Board,
    Condition,
    Earnings,
    Identity,
    NodeProcess,
    SourceStatus,
    Standing,
    Verdict,
)
from swarm_exporter.reasons import ACTION, MEANING

#: Upstream's own health route calls its data too old after this time (v0.2 to v0.4.4).
FROZEN_AFTER_SECONDS = 300.0
#: So many ends in a row are a loop.
CRASH_LOOP_ENDS = 3
#: A node that is so many rounds behind the swarm takes longer than the swarm waits.
TOO_SLOW_ROUNDS = 2


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one node at one moment."""

    now: float
    identity: Identity
    identified: bool
    conflicts: tuple[str, ...]
    leaderboard: SourceStatus | None
    #: What runs of it on this machine; None where that is not known.
    process: NodeProcess | None = None
    board: Board | None
    standing: Standing | None
    earnings: Earnings
    #: Since when nobody in the swarm is known to have earned, Unix seconds.
    swarm_idle_since: float
    stall_after: float


def judge(facts: Facts) -> Verdict:
    """Return the condition of a node; the first rule that applies decides."""
    if facts.conflicts:
        others = ", ".join(facts.conflicts)
        return Verdict(
            Condition.WRONG_IDENTITY,
            f"node {others} is the same peer of the swarm",
            "Give each node its own folder with its own swarm.pem, or correct peer_id.",
        )
    if facts.process is not None:
        verdict = _judge_process(facts.process, facts.now)
        if verdict is not None:
            return verdict
    status = facts.leaderboard
    if status is None:
        return Verdict(Condition.UNKNOWN, "the first answer is still awaited")
    if not status.up or facts.board is None:
        verdict = _judge_submissions(facts.process, facts) if facts.process else None
        if verdict is not None:
            return verdict
        if status.reason is None:
            return Verdict(Condition.UNKNOWN, "the last answer is too old to count")
        return Verdict(Condition.UNKNOWN, MEANING[status.reason], ACTION[status.reason])
    if not facts.identified:
        return Verdict(
            Condition.UNKNOWN,
            facts.identity.problem or "which peer is this node's is not known",
            "Give --peer-id or --nickname, or the node's --folder; the board's first peers are "
            "listed below.",
        )
    return _judge_by_board(facts, facts.board)


def _judge_process(process: NodeProcess, now: float) -> Verdict | None:
    """Return the condition of a node that does not train, or None where it does."""
    if process.state == "stopped":
        return Verdict(Condition.STOPPED, process.reason, "Start it with `swarm-exporter launch`.")
    if process.state == "fatal":
        looping = process.failures >= CRASH_LOOP_ENDS
        return Verdict(
            Condition.CRASH_LOOPING if looping else Condition.DOWN,
            process.reason,
            "Look at `swarm-exporter logs`, mend what it says, then `swarm-exporter restart`.",
        )
    if process.state in ("backoff", "exited"):
        looping = process.failures >= CRASH_LOOP_ENDS
        wait = process.next_start - now if process.next_start is not None else 0.0
        again = f"; it is started again in {format_duration(max(wait, 1.0))}"
        return Verdict(
            Condition.CRASH_LOOPING if looping else Condition.DOWN,
            process.reason + again,
            "Look at `swarm-exporter logs` for what ended it." if process.failures else "",
        )
    if process.question:
        return Verdict(
            Condition.DOWN,
            f'its command asks "{process.question}", and nobody has configured an answer',
            "Add the question under `prompts` of a profile of your own, then restart the node.",
        )
    if process.waiting_login:
        port = process.login_port
        where = f" at http://localhost:{port}" if port is not None else ""
        return Verdict(
            Condition.WAITING_LOGIN,
            "its command waits for a person to log in",
            f"Log in{where}; from another computer: ssh -L {port}:localhost:{port} to this one."
            if port is not None
            else "Log in as the node's log says.",
        )
    if process.trainer_up is False:
        return Verdict(
            Condition.DOWN,
            process.reason or "no trainer runs",
            "Wait: the launcher sees to it."
            if process.launched and process.state in ("starting", "running", "stopping")
            else "Start it with `swarm-exporter launch`.",
        )
    if process.state == "starting":
        return Verdict(Condition.TRAINING, process.reason)
    return None


def _judge_submissions(process: NodeProcess, facts: Facts) -> Verdict | None:
    """Judge by what the trainer hands in where no board tells (RL Swarm v0.5 and later)."""
    age = _age(facts.now, process.last_submit)
    if process.trainer_up is not True or (age is None and process.submit_period is None):
        return None
    if age is not None and age <= facts.stall_after:
        return Verdict(Condition.EARNING)
    if age is not None:
        return Verdict(
            Condition.TRAINING,
            f"its trainer runs, but has handed nothing in for {format_duration(age)}",
            "Look at the node's log for refused submissions, and at its login.",
        )
    return Verdict(
        Condition.TRAINING,
        "its trainer runs; whether it earns is not known yet: it has handed nothing in, and no "
        "leaderboard answers",
        "Wait: RL Swarm v0.5.7 and later hand in every 3 hours. If you have a leaderboard, give "
        "its address with --api-port or --api-url.",
    )


def _judge_by_board(facts: Facts, board: Board) -> Verdict:
    age = _age(facts.now, board.data_timestamp)
    if age is not None and age > FROZEN_AFTER_SECONDS:
        return Verdict(
            Condition.UNKNOWN,
            f"the API answers, but with data that are {format_duration(age)} old",
            "Restart the swarm API, or look at its log: it lost the chain or the swarm.",
        )
    swarm_idle = facts.now - facts.swarm_idle_since
    if swarm_idle > facts.stall_after:
        return Verdict(
            Condition.SWARM_HALTED,
            f"nobody in the swarm has earned for {format_duration(swarm_idle)}",
            "Nothing to do at this node: look at the swarm's own announcements.",
        )
    if facts.standing is None:
        return _judge_absence(board)
    return _judge_earnings(facts, facts.standing, board)


def _judge_absence(board: Board) -> Verdict:
    if board.newest is None or (board.clock is not None and board.clock > board.newest):
        return Verdict(
            Condition.WAITING_SWARM, "nobody has published a score in the swarm's stage yet"
        )
    return Verdict(
        Condition.UNKNOWN,
        f"not on the board, while {len(board.newest_scores)} peers are in its newest stage",
        "A node is listed once it has published its first score of a stage; if it stays away, "
        "look at its log.",
    )


def _judge_earnings(facts: Facts, standing: Standing, board: Board) -> Verdict:
    if standing.recorded is not None and board.clock is not None:
        behind = board.clock.round - standing.recorded.round
        if behind >= TOO_SLOW_ROUNDS and board.clock.stage >= 0:
            return Verdict(
                Condition.TOO_SLOW,
                f"last recorded in round {standing.recorded.round}, while the swarm is in round "
                f"{board.clock.round}",
                "Give it more of the machine: fewer nodes, or a smaller model.",
            )
    if standing.recorded is None:
        return Verdict(
            Condition.UNKNOWN,
            "listed, but this API does not say in which stage a peer is recorded, so what it earns "
            "cannot be counted",
        )
    earnings = facts.earnings
    idle = _age(facts.now, earnings.last_increase)
    if idle is not None and idle <= facts.stall_after:
        return Verdict(Condition.EARNING)
    scored = (standing.last_score or 0.0) > 0.0 and standing.recorded == board.newest
    if idle is None and scored:
        return Verdict(Condition.EARNING)
    watched = idle if idle is not None else _age(facts.now, earnings.since) or 0.0
    if idle is None and watched <= facts.stall_after:
        return Verdict(
            Condition.TRAINING,
            f"listed, but it has not earned in the {format_duration(watched)} it was watched",
            "Wait: a stage can take an hour.",
        )
    return Verdict(
        Condition.TRAINING,
        f"listed, but it has not earned for {format_duration(watched)} while others have",
        "Look at the node's log for failed submissions, and at its login; a restart may lose up "
        "to three hours of reward that was not submitted yet.",
    )


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else max(now - then, 0.0)
