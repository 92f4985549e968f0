"""Peers of the simulated swarm: ids that look like libp2p's, and names like upstream's."""

from __future__ import annotations

import hashlib
import random
import string

import msgspec

_BASE58 = "".join(c for c in string.digits + string.ascii_letters if c not in "0OIl")

_MANNERS = (
    "agile bold brave bright calm clever curious eager fearless fleet gentle graceful "
    "hardy jolly keen lively loyal mellow nimble patient proud quiet steady witty"
).split()
_LOOKS = (
    "amber bearded coastal crested dappled dusky feathered freckled furry golden grizzled hooded "
    "long-tailed marbled mossy pale plump ruddy scaly silver slender spotted striped woolly"
).split()
_ANIMALS = (
    "alpaca badger beaver bison condor crane dolphin falcon ferret gecko heron ibex "
    "jackal lemur lynx marmot newt otter puffin raven salmon tapir walrus yak"
).split()


class Peer(msgspec.Struct, frozen=True):
    """A member of the swarm."""

    id: str
    nickname: str


def dice(*subject: object) -> random.Random:
    """Return the random numbers of one subject: the same in every run and on every machine."""
    return random.Random("/".join(map(str, subject)))  # noqa: S311 - a game, nothing secret


def nickname(peer_id: str) -> str:
    """Return the three words of a peer. As upstream's they follow from the id, any string has
    some, and two peers can share them.
    """
    digest = hashlib.sha256(peer_id.encode()).digest()
    words = (_MANNERS, _LOOKS, _ANIMALS)
    return " ".join(choice[byte % len(choice)] for choice, byte in zip(words, digest, strict=False))


def draw_peers(seed: int, count: int) -> tuple[Peer, ...]:
    """Return `count` peers of distinct names; the same seed always draws the same ones."""
    rng = dice(seed, "peers")
    drawn: dict[str, Peer] = {}
    while len(drawn) < count:
        peer_id = "Qm" + "".join(rng.choices(_BASE58, k=44))
        drawn.setdefault(nickname(peer_id), Peer(peer_id, nickname(peer_id)))
    return tuple(drawn.values())
