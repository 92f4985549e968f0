"""What one API process sees of the swarm's shared table (DHT).

Facts: hivemind answers from its cache, observed on a real RL Swarm v0.4.2 server
(tests/data/api/v0.4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm_exporter.model import Stage

#: What the peers published for one stage: peer id -> score. Nobody validates it: a score can be
#: anything that MessagePack holds, and a peer id any string.
Rewards = Mapping[str, Any]


class DhtCache:
    """Hivemind's cache: the first look at a stage that finds anything is all that is ever seen.

    Entries expire after 4 hours, which is longer than a simulated stage.
    """

    def __init__(self) -> None:
        """Begin as a process that has not looked yet."""
        self._stage: Stage | None = None
        self._seen: Rewards = {}

    def look(self, stage: Stage, published: Rewards) -> Rewards:
        """Return what a process gets for `stage` while the swarm holds `published`."""
        if stage != self._stage or not self._seen:
            self._stage, self._seen = stage, published
        return self._seen
