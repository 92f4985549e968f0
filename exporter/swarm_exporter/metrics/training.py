"""What each node's own logs tell: rounds, waiting, loss and reward, submissions, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from swarm_exporter.metrics.catalogue import Kind, Labels, Metric, Reader, of_node_facts
from swarm_exporter.sources.log_patterns import ErrorKind
from swarm_exporter.sources.training_log import TrainingLogFacts


def _one(read: Callable[[TrainingLogFacts], float | None]) -> Reader:
    return of_node_facts(TrainingLogFacts, lambda facts: [({}, read(facts))])


def _submissions(facts: TrainingLogFacts) -> Iterable[tuple[Labels, float | None]]:
    return [({"result": result}, count) for result, count in facts.submissions.items()]


def _winners(facts: TrainingLogFacts) -> Iterable[tuple[Labels, float | None]]:
    return [({"result": result}, count) for result, count in facts.winner_submissions.items()]


def _errors(facts: TrainingLogFacts) -> Iterable[tuple[Labels, float | None]]:
    return [({"kind": kind}, count) for kind, count in facts.errors.items()]


METRICS = (
    Metric(
        "swarm_training_joined_round",
        Kind.GAUGE,
        "The round that the trainer's log last told of joining.",
        ("node",),
        _one(lambda facts: facts.joined_round),
        "Absent until the log has told of one.",
    ),
    Metric(
        "swarm_training_last_joined_timestamp_seconds",
        Kind.GAUGE,
        "When the trainer last joined a round, by its log, Unix time.",
        ("node",),
        _one(lambda facts: facts.joined_at),
        "RL Swarm v0.2 to v0.4.2 writes no times: there it is when the line was read.",
    ),
    Metric(
        "swarm_training_last_line_timestamp_seconds",
        Kind.GAUGE,
        "When the trainer's log or its terminal was last written to, Unix time.",
        ("node",),
        _one(lambda facts: facts.last_line_at),
        "A silent log is no error of the source: its age grows.",
    ),
    Metric(
        "swarm_training_waiting_since_timestamp_seconds",
        Kind.GAUGE,
        "Since when the trainer has waited for the swarm's next round, Unix time.",
        ("node",),
        _one(lambda facts: facts.waiting_since),
        "Absent while it trains. Waiting is healthy: the node is ahead of the swarm.",
    ),
    Metric(
        "swarm_training_loss",
        Kind.GAUGE,
        "Loss that the trainer last printed.",
        ("node",),
        _one(lambda facts: facts.loss),
        "RL Swarm v0.2 to v0.4 prints it; later versions do not. The newest finite value.",
    ),
    Metric(
        "swarm_training_reward",
        Kind.GAUGE,
        "Reward that the trainer last printed: of its own training step, not of the swarm.",
        ("node",),
        _one(lambda facts: facts.reward),
        "RL Swarm v0.2 to v0.4 prints it; later versions do not. The newest finite value.",
    ),
    Metric(
        "swarm_training_starts_total",
        Kind.COUNTER,
        "Trainers that have greeted in the log since it was first read.",
        ("node",),
        _one(lambda facts: facts.starts),
    ),
    Metric(
        "swarm_training_submissions_total",
        Kind.COUNTER,
        "Submissions of reward that the log tells of, by result, since it was first read.",
        ("node", "result"),
        of_node_facts(TrainingLogFacts, _submissions),
        "Results: `accepted` (RL Swarm v0.6 and later; earlier ones log no success), `refused`.",
    ),
    Metric(
        "swarm_training_winner_submissions_total",
        Kind.COUNTER,
        "Votes for a round's winners that the log tells of, by result, since it was first read.",
        ("node", "result"),
        of_node_facts(TrainingLogFacts, _winners),
        "Results: `accepted`, `refused`. RL Swarm v0.6 and later.",
    ),
    Metric(
        "swarm_training_last_submit_timestamp_seconds",
        Kind.GAUGE,
        "When the log last told of an accepted submission of reward, Unix time.",
        ("node",),
        _one(lambda facts: facts.last_submit_at),
        "RL Swarm v0.6 and later; absent before the first.",
    ),
    Metric(
        "swarm_training_errors_total",
        Kind.COUNTER,
        "Errors that the log tells of, by kind, since it was first read.",
        ("node", "kind"),
        of_node_facts(TrainingLogFacts, _errors),
        "Kinds: " + ", ".join(f"`{kind.value}`" for kind in ErrorKind) + ". A traceback that no "
        "pattern knows is one of kind `other`. Every kind is there, with 0, once a log is read.",
    ),
)
