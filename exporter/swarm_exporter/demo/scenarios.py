"""What the person's own nodes do in the simulated swarm: one earns, one stalls, one drops out."""

from __future__ import annotations

from enum import Enum


class Conduct(str, Enum):
    """What a node does in one stage."""

    EARNS = "publishes a positive score"
    STALLS = "publishes the score 0.0"
    SILENT = "publishes nothing"
    DEAD = "publishes nothing, and its API process is gone"


#: What nodes 1, 2 and 3 do from stage to stage, over and over; nodes 4, 5, 6 do it again.
SCENARIOS: tuple[tuple[Conduct, ...], ...] = (
    (Conduct.EARNS,),
    (Conduct.EARNS,) * 4 + (Conduct.STALLS,) * 8,
    (Conduct.EARNS,) * 6 + (Conduct.SILENT, Conduct.DEAD, Conduct.DEAD, Conduct.SILENT),
)

#: By so many stages node 4 is ahead of node 1, node 7 of node 4, and so on.
_PHASE_STAGES = 3


def conduct(node: int, stage: int) -> Conduct:
    """Return what node number `node` does in stage number `stage` of the run, both from 0."""
    scenario = SCENARIOS[node % len(SCENARIOS)]
    phase = node // len(SCENARIOS) * _PHASE_STAGES
    return scenario[(stage + phase) % len(scenario)]
