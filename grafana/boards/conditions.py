"""The condition of a node as a number, so that tables sort by it and timelines show it.

Prometheus has it as a state set (`swarm_node_condition`); the numbers exist on the boards alone.
"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from boards.palette import BAD, GOOD, QUIET, WATCH
from boards.texts import Language, word

#: From the worst to the best, with the colour of each.
CONDITIONS: tuple[tuple[str, str], ...] = (
    ("crash_looping", BAD),
    ("down", BAD),
    ("wrong_identity", BAD),
    ("waiting_login", BAD),
    ("too_slow", WATCH),
    ("unknown", WATCH),
    ("swarm_halted", QUIET),
    ("stopped", QUIET),
    ("waiting_swarm", QUIET),
    ("training", GOOD),
    ("earning", GOOD),
)
#: Conditions that do not pass without a person.
NEEDS_YOU = (*(name for name, colour in CONDITIONS if colour == BAD), "too_slow")


def condition_number(selector: str, by: str) -> str:
    """Return PromQL: the number of the condition of each node, the highest is the worst."""
    worst = len(CONDITIONS)
    terms = (
        f'swarm_node_condition{{condition="{name}",{selector}}} * {worst - place}'
        for place, (name, _) in enumerate(CONDITIONS)
    )
    return f"max by ({by}) ({' or '.join(terms)})"


def condition_names(language: Language) -> ValueMap:
    """Return the mapping that shows the numbers as words, in colour."""
    worst = len(CONDITIONS)
    return ValueMap(
        options={
            str(worst - place): ValueMappingResult(
                text=word(name.replace("_", " "), language), color=colour, index=place
            )
            for place, (name, colour) in enumerate(CONDITIONS)
        }
    )
