"""Peer ids as upstream makes them: a libp2p RSA key in a file, the hash of its public half.

The nickname is built as upstream builds it, from shorter lists of words.
"""

import hashlib
import os
from pathlib import Path

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#: A protobuf with key type RSA in field 1; the key follows in field 2.
_PREFIX = b"\x08\x00\x12"
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
_FIRST = ("tall", "timid", "keen", "fishy", "thorny", "giant", "beaked", "furry")
_SECOND = ("slow", "quick", "singing", "grunting", "silent", "spotted", "striped", "toothy")
_ANIMALS = ("flamingo", "spider", "cow", "bison", "raven", "hedgehog", "raccoon", "cat")


def create_identity(path, stock):
    """Move the next of the keys in the folder `stock` to `path`, readable by the owner alone."""
    key = min(Path(stock).iterdir())
    path = Path(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(key.read_bytes())
    key.unlink()


def peer_id(identity):
    """Return the base58 peer id of the content of a swarm.pem."""
    if not identity.startswith(_PREFIX):
        raise ValueError("not a libp2p RSA key")
    numbers = _inside(identity, len(_PREFIX) - 1)
    version_end = _end(numbers, 0)
    exponent_start = _end(numbers, version_end)
    modulus_and_exponent = numbers[version_end : _end(numbers, exponent_start)]
    public = _wrap(0x30, _RSA_ENCRYPTION + _wrap(0x03, b"\0" + _wrap(0x30, modulus_and_exponent)))
    message = _PREFIX + _varint(len(public)) + public
    return _base58(b"\x12\x20" + hashlib.sha256(message).digest())


def nickname(peer):
    digest = hashlib.md5(peer.encode(), usedforsecurity=False).digest()
    words = zip((_FIRST, _SECOND, _ANIMALS), reversed(digest[:3]), strict=True)
    return " ".join(choice[number % len(choice)] for choice, number in words)


def _inside(identity, position):
    """Return the content of the DER sequence that a protobuf field at `position` holds."""
    position += 1
    while identity[position] & 0x80:
        position += 1
    key = identity[position + 1 :]
    start, end = _span(key, 0)
    return key[start:end]


def _end(data, position):
    return _span(data, position)[1]


def _span(data, position):
    """Return start and end of the content of the DER element at `position`."""
    length = data[position + 1]
    start = position + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length


def _wrap(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _varint(number):
    octets = []
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def _base58(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text
