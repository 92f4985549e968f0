"""What a dashboard says of one peer: bytes -> figures of that peer, and of no other.

Shape: `/api/v1/peer` of Gensyn's dashboard as public clients read it, or any other by a mapping.
"""

from __future__ import annotations

from swarm_exporter.config.mapping import Mapping
from swarm_exporter.identity import normalise_nickname
from swarm_exporter.json_path import Missing
from swarm_exporter.model import NodeFacts, RewardTotal
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import quote
from swarm_exporter.sources.json_mapping import Row, Values, decode_json, fields_in, rows_of

_FIGURES = ("reward", "score", "online")


class HostedFacts(NodeFacts, frozen=True, kw_only=True):
    """What the dashboard says of a node's peer; both figures may fall."""

    #: Total rewards, no unit; may be below zero.
    reward: float | None = None
    #: Participation: how often the peer submitted winners.
    score: float | None = None
    online: bool | None = None
    peer_id: str | None = None
    nickname: str | None = None
    #: When reward and score were last changed, Unix seconds, where it says so.
    reward_at: float | None = None
    score_at: float | None = None

    @property
    def total(self) -> RewardTotal | None:
        """The reward, where the dashboard tells it."""
        if self.reward is None:
            return None
        return RewardTotal(reward=self.reward, keeper="hosted", participation=self.score)


def decode_peer(
    body: bytes | bytearray, mapping: Mapping, peer_id: str | None, nickname: str | None
) -> tuple[HostedFacts, tuple[Reason, ...]]:
    """Decode the answer for a peer, asked for by its id or else by its nickname.

    Raises SourceError (not_found, wrong_shape, invalid_json, too_large), also where the answer is
    of another peer.
    """
    rows = rows_of(decode_json(body), mapping)
    name, asked = ("id", peer_id) if peer_id is not None else ("nickname", nickname)
    row = _own_row(rows, mapping, name, asked or "")
    if not any(fields_in([row], mapping, _FIGURES)):
        raise SourceError(Reason.WRONG_SHAPE, "neither reward nor score nor online is in it")
    values = Values()
    facts = HostedFacts(
        reward=values.figure(row.at(mapping.reward)),
        score=values.figure(row.at(mapping.score)),
        online=values.truth(row.at(mapping.online)),
        peer_id=values.text(row.at(mapping.id)) or peer_id,
        nickname=values.text(row.at(mapping.nickname)),
        reward_at=values.moment(row.at(mapping.reward_at)),
        score_at=values.moment(row.at(mapping.score_at)),
    )
    return facts, tuple(values.defects)


def _own_row(rows: list[Row], mapping: Mapping, name: str, asked: str) -> Row:
    """Return the row of the peer that was asked for. Raises SourceError."""
    path = getattr(mapping, name)
    if mapping.list is not None:
        for row in rows:
            if path is not None and _same(name, row.at(path), asked):
                return row
        raise SourceError(Reason.NOT_FOUND, "the list does not have this node's peer")
    (row,) = rows
    if path is None:
        # The person has said that the answer does not name its peer.
        return row
    said = row.at(path)
    if isinstance(said, Missing):
        problem = f"it does not say whose it is: {said.step} {said.problem}"
        raise SourceError(Reason.WRONG_SHAPE, problem)
    if not _same(name, said, asked):
        other = quote(str(said).encode("utf-8", "replace"))
        raise SourceError(Reason.WRONG_SHAPE, f"it is of another peer: {other}")
    return row


def _same(name: str, said: object, asked: str) -> bool:
    if not isinstance(said, str):
        return False
    if name == "nickname":
        return normalise_nickname(said) == normalise_nickname(asked)
    return said == asked
