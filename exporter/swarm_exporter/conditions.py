"""The one answer for a node: a pure function from what is known to a condition.

"Earning" is the definition of up. Where the facts do not tell, the answer is unknown, with what
to do to know more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from swarm_exporter.sources.login import LoginFacts
    from swarm_exporter.sources.training_log import TrainingLogFacts

#: Upstream's own health route calls its data too old after this time (v0.2 to v0.4.4).
FROZEN_AFTER_SECONDS = 300.0
#: So many ends in a row are a loop.
CRASH_LOOP_ENDS = 3
#: A node that is so many rounds behind the swarm takes longer than the swarm waits.
TOO_SLOW_ROUNDS = 2
#: A trainer writes a line at least this often: every wait for a round is told, 15 minutes at most
#: (RL Swarm v0.5 to v0.7).
LOG_FRESH_SECONDS = 1800.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one node at one moment."""

    now: float
    identity: Identity
    identified: bool
    conflicts: tuple[str, ...]
    #: Whether it is read through a leaderboard at all: later generations have none.
    reads_leaderboard: bool = True
    leaderboard: SourceStatus | None
    #: What runs of it on this machine; None where that is not known.
    process: NodeProcess | None = None
    board: Board | None
    standing: Standing | None
    earnings: Earnings
    #: Whether its reward comes as a running sum, and not stage by stage.
    keeps_sums: bool = False
    #: What its logs and its login data tell; None where they are not read.
    log: TrainingLogFacts | None = None
    login: LoginFacts | None = None
    #: What cannot be known of it, each with what to configure.
    blind: tuple[str, ...] = ()
    #: Whether something other than a board tells the swarm's round.
    swarm_round_known: bool = False
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
    verdict = _judge_earning(facts)
    if verdict.condition in (Condition.TRAINING, Condition.UNKNOWN) and _is_logged_out(facts):
        return Verdict(
            Condition.WAITING_LOGIN,
            "it is logged out: what it earns cannot be handed in",
            f"Log in{_login_place(facts.process)}, or put its login data back with "
            "`swarm-exporter restore`.",
        )
    return verdict


def _is_logged_out(facts: Facts) -> bool:
    login = facts.login
    return login is not None and (login.login_data is False or login.activated is False)


def _login_place(process: NodeProcess | None) -> str:
    port = process.login_port if process is not None else None
    return f" at http://localhost:{port}" if port is not None else " at the node's login app"


def _judge_earning(facts: Facts) -> Verdict:
    """Judge a node of which nothing tells that it does not train."""
    if not facts.reads_leaderboard:
        return _judge_without_board(facts)
    status = facts.leaderboard
    if status is None:
        return Verdict(Condition.UNKNOWN, "the first answer is still awaited")
    if not status.up or facts.board is None:
        verdict = _judge_submissions(facts)
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


def _last_submit(facts: Facts) -> float | None:
    """When the node last handed anything in that was accepted, by its launcher or its log."""
    process = facts.process
    told = (
        process.last_submit if process is not None and process.trainer_up is True else None,
        facts.log.last_submit_at if facts.log is not None else None,
    )
    return max((moment for moment in told if moment is not None), default=None)


def _judge_submissions(facts: Facts) -> Verdict | None:
    """Judge by what the trainer hands in where no board tells (RL Swarm v0.5 and later)."""
    process, age = facts.process, _age(facts.now, _last_submit(facts))
    if age is not None and age <= facts.stall_after:
        return Verdict(Condition.EARNING)
    runs = process.trainer_up is True if process is not None else _log_is_fresh(facts)
    expected = process is not None and process.submit_period is not None
    if not runs or (age is None and not expected):
        return None
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


def _log_is_fresh(facts: Facts) -> bool:
    silent = _age(facts.now, facts.log.last_line_at) if facts.log is not None else None
    return silent is not None and silent <= LOG_FRESH_SECONDS


def _judge_without_board(facts: Facts) -> Verdict:
    """Judge by sums of rewards, submissions and the log (RL Swarm v0.5 and later)."""
    idle = _age(facts.now, facts.earnings.last_increase)
    if idle is not None and idle <= facts.stall_after:
        return Verdict(Condition.EARNING)
    log, fresh = facts.log, _log_is_fresh(facts)
    silent = _age(facts.now, log.last_line_at) if log is not None else None
    waiting = _age(facts.now, log.waiting_since) if log is not None and fresh else None
    by_submissions = _judge_submissions(facts)
    if by_submissions is not None and by_submissions.condition is Condition.EARNING:
        return by_submissions
    swarm_idle = facts.now - facts.swarm_idle_since
    if facts.swarm_round_known and swarm_idle > facts.stall_after:
        return Verdict(
            Condition.SWARM_HALTED,
            f"the swarm's round has stood still for {format_duration(swarm_idle)}",
            "Nothing to do at this node: look at the swarm's own announcements.",
        )
    if waiting is not None:
        return Verdict(
            Condition.WAITING_SWARM,
            f"it has finished its round and waits for the swarm's next, for "
            f"{format_duration(max(waiting, 1.0))}",
        )
    if by_submissions is not None:
        return by_submissions
    if fresh:
        return Verdict(
            Condition.TRAINING,
            "its log grows; whether it earns is not known yet",
            "Wait: RL Swarm v0.5.7 and later hand in every 3 hours.",
        )
    if silent is not None:
        return Verdict(
            Condition.DOWN if facts.process is None else Condition.TRAINING,
            f"its log has been silent for {format_duration(silent)}",
            "Look whether its trainer runs, and at the end of its log.",
        )
    return Verdict(
        Condition.UNKNOWN,
        "nothing tells how it does",
        f"Not known: {facts.blind[0]}." if facts.blind else "",
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
    if standing.recorded is None and not facts.keeps_sums:
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
