"""Peers of the simulated swarm: ids of libp2p's form, and names of upstream's."""

from __future__ import annotations

import hashlib
import random

import msgspec

from swarm_exporter.identity import peer_id_from_digest

#: What the three words of a name are drawn from.
_WORDS = tuple(
    words.split()
    for words in (
        "agile bold brave bright calm clever curious eager fearless fleet gentle graceful "
        "hardy jolly keen lively loyal mellow nimble patient proud quiet steady witty",
        "amber bearded coastal crested dappled dusky feathered freckled furry golden grizzled "
        "hooded lanky marbled mossy pale plump ruddy scaly silver slender spotted striped woolly",
        "alpaca badger beaver bison condor crane dolphin falcon ferret gecko heron ibex "
        "jackal lemur lynx marmot newt otter puffin raven salmon tapir walrus yak",
    )
)


class Peer(msgspec.Struct, frozen=True):
    """A member of the swarm."""

    id: str
    nickname: str


def dice(*subject: object) -> random.Random:
    """Return the random numbers of one subject: the same in every run and on every machine."""
    return random.Random("/".join(map(str, subject)))  # noqa: S311 - a game, nothing secret


def nickname(peer_id: str) -> str:
    """Return the three words of a peer.

    As upstream's they follow from the id alone: any string has some, and two peers can share them.
    """
    digest = hashlib.sha256(peer_id.encode()).digest()
    return " ".join(words[byte % len(words)] for words, byte in zip(_WORDS, digest, strict=False))


def draw_peers(seed: int, count: int) -> tuple[Peer, ...]:
    """Return `count` peers of different names; the same seed always draws the same ones."""
    throw = dice(seed, "peers")
    drawn: dict[str, Peer] = {}
    while len(drawn) < count:
        peer_id = peer_id_from_digest(throw.randbytes(32))
        name = nickname(peer_id)
        drawn.setdefault(name, Peer(peer_id, name))
    return tuple(drawn.values())
