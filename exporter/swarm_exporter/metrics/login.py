"""How the login of each node stands."""

from __future__ import annotations

from collections.abc import Callable

from swarm_exporter.metrics.catalogue import Kind, Metric, Reader, of_node_facts
from swarm_exporter.sources.login import LoginFacts

_NODE = ("node",)
_NEEDS = "Needs the node's folder with `modal-login` in it."


def _of_login(read: Callable[[LoginFacts], bool | None]) -> Reader:
    def figure(facts: LoginFacts) -> float | None:
        known = read(facts)
        return None if known is None else float(known)

    return of_node_facts(LoginFacts, lambda facts: [({}, figure(facts))])


METRICS: tuple[Metric, ...] = (
    Metric(
        "swarm_login_data",
        Kind.GAUGE,
        "1 where the node's login data are there, 0 where nobody has logged in.",
        _NODE,
        _of_login(lambda facts: facts.login_data),
        "Upstream's script deletes them on almost every exit. Absent where they cannot be read. "
        + _NEEDS,
    ),
    Metric(
        "swarm_login_activated",
        Kind.GAUGE,
        "1 where the node's login is activated, 0 where it is not: such a node earns nothing.",
        _NODE,
        _of_login(lambda facts: facts.activated),
        "By the login app's own word, which upstream's script waits for; by the login data where "
        "it does not answer. " + _NEEDS,
    ),
    Metric(
        "swarm_login_app_up",
        Kind.GAUGE,
        "1 where the login app answers at the port that the node uses, else 0.",
        _NODE,
        _of_login(lambda facts: facts.app_answers),
        "The port that the launcher gave the node, else 3000. 0 also where something else listens "
        "there. " + _NEEDS,
    ),
)
