"""Which peer of the swarm a key file or a greeting in a log names.

Facts: libp2p's specification of peer ids and keys; RL Swarm v0.2.0 to v0.7.0 (greeting, names).
"""

from __future__ import annotations

import hashlib
import re

#: A swarm.pem holds about 1.2 KB; nothing larger than this is looked at.
LARGEST_KEY_BYTES = 64 * 1024

_PEER_ID = "Qm[1-9A-HJ-NP-Za-km-z]{44}"

#: v0.2 to v0.6: `🐱 Hello 🐈 [a b c] 🦮 [Qm…]!`; v0.7: `🐝 Hello [a b c] [Qm…]!`. The animals may
#: be any few characters: a log in another encoding keeps the words but loses the pictures.
_GREETING = re.compile(
    r"Hello (?:\S{1,16} )?\[(?=[^\]]{1,64}\])([a-z]+ [a-z]+ [a-z]+)\] "
    rf"(?:\S{{1,16}} )?\[({_PEER_ID})\]!"
)
#: Colours and cursor movements (ECMA-48); v0.2 to v0.4 colour each line even where it is piped.
_TERMINAL_CODE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

#: Key types of libp2p's PrivateKey message other than RSA (0).
_OTHER_KEY_TYPES = {1: "an Ed25519", 2: "a Secp256k1", 3: "an ECDSA"}
#: DER of the AlgorithmIdentifier of RSA keys: rsaEncryption, no parameters (RFC 3279).
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
_INTEGER, _BIT_STRING, _SEQUENCE = 0x02, 0x03, 0x30
#: Shorter keys are no keys, and their peer ids would not be hashes.
_SHORTEST_MODULUS_BYTES = 64

_GIVE = "give the swarm.pem that the node itself wrote"
_EMPTY = "the identity file is empty; restore it from a backup"
_TOO_LARGE = f"the identity file is larger than 64 KiB and so is not a key; {_GIVE}"
_CUT = "the identity file ends in the middle of the key; restore it from a backup"
_FOREIGN = f"the identity file is not a binary libp2p RSA key; {_GIVE}"
_PEM = f"the identity file is PEM text, but a swarm.pem is binary in spite of its name; {_GIVE}"


class IdentityError(ValueError):
    """A file that tells no peer id. The text is one sentence and holds no byte of the file."""


def peer_id_from_key(data: bytes) -> str:
    """Return the peer id (base58, `Qm…`) of a swarm.pem, given its whole content.

    The file is libp2p's PrivateKey message of type RSA around a PKCS#1 RSAPrivateKey. Of the key
    only modulus and public exponent are looked at. Raises IdentityError for anything else.
    """
    if not data:
        raise IdentityError(_EMPTY)
    if len(data) > LARGEST_KEY_BYTES:
        raise IdentityError(_TOO_LARGE)
    if data[:64].lstrip().startswith(b"-----BEGIN"):
        raise IdentityError(_PEM)
    modulus, exponent = _public_numbers(_rsa_private_key(memoryview(data)))
    numbers = _encode_der(_INTEGER, modulus) + _encode_der(_INTEGER, exponent)
    # A bit string begins with its number of unused bits.
    public_key = _encode_der(_BIT_STRING, b"\x00" + _encode_der(_SEQUENCE, numbers))
    public_key = _encode_der(_SEQUENCE, _RSA_ENCRYPTION + public_key)
    message = b"\x08\x00\x12" + _encode_varint(len(public_key)) + public_key
    return peer_id_from_digest(hashlib.sha256(message).digest())


def peer_id_from_digest(digest: bytes) -> str:
    """Return the peer id whose public key has this SHA-256: its multihash in base58."""
    # Multihash: 0x12 is SHA-256, 0x20 the length of its digest.
    return _base58(b"\x12\x20" + digest)


def valid_peer_id(text: str) -> bool:
    """Tell whether `text` has the form of an RL Swarm peer id: `Qm` and 44 base58 characters."""
    return re.fullmatch(_PEER_ID, text) is not None


def normalise_nickname(text: str) -> str:
    """Return a nickname as it is compared: lower case, its words separated by single spaces.

    Upstream writes underscores instead of spaces in file names.
    """
    return " ".join(text.lower().replace("_", " ").split())


def greeting(text: str) -> tuple[str, str] | None:
    """Return nickname and peer id of the newest greeting in a log, or None where it has none.

    A trainer greets at each start: `Hello 🐈 [three lower-case words] 🦮 [Qm…]!`.
    """
    found = _GREETING.findall(_TERMINAL_CODE.sub("", text))
    if not found:
        return None
    nickname, peer_id = found[-1]
    return nickname, peer_id


def _rsa_private_key(message: memoryview) -> memoryview:
    """Return the PKCS#1 bytes inside libp2p's PrivateKey message."""
    rest = _expect(message, b"\x08")
    key_type, rest = _varint(rest)
    if key_type in _OTHER_KEY_TYPES:
        name = _OTHER_KEY_TYPES[key_type]
        raise IdentityError(f"the identity file holds {name} key, but RL Swarm uses RSA; {_GIVE}")
    if key_type != 0:
        raise IdentityError(_FOREIGN)
    length, rest = _varint(_expect(rest, b"\x12"))
    key, rest = _take(rest, length)
    if rest:
        raise IdentityError(_FOREIGN)
    return key


def _public_numbers(key: memoryview) -> tuple[bytes, bytes]:
    """Return modulus and public exponent of a PKCS#1 RSAPrivateKey, as contents of DER integers."""
    fields, rest = _der(key, _SEQUENCE)
    if rest:
        raise IdentityError(_FOREIGN)
    version, fields = _der(fields, _INTEGER)
    modulus, fields = _der(fields, _INTEGER)
    exponent, _ = _der(fields, _INTEGER)
    sound = bytes(version) == b"\x00" and _positive(modulus) and _positive(exponent)
    if not sound or len(modulus) < _SHORTEST_MODULUS_BYTES:
        raise IdentityError(_FOREIGN)
    return bytes(modulus), bytes(exponent)


def _positive(integer: memoryview) -> bool:
    """Tell whether a DER integer is above zero and in its shortest form."""
    if len(integer) > 1 and integer[0] == 0:
        return integer[1] >= 0x80
    return len(integer) > 0 and 0 < integer[0] < 0x80


def _take(data: memoryview, count: int) -> tuple[memoryview, memoryview]:
    if len(data) < count:
        raise IdentityError(_CUT)
    return data[:count], data[count:]


def _expect(data: memoryview, mark: bytes) -> memoryview:
    found, rest = _take(data, len(mark))
    if found != mark:
        raise IdentityError(_FOREIGN)
    return rest


def _varint(data: memoryview) -> tuple[int, memoryview]:
    """Split a protobuf varint off; three bytes are enough for every length in such a file."""
    value = 0
    for shift in (0, 7, 14):
        byte, data = _take(data, 1)
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            if byte[0] == 0 and shift > 0:
                break
            return value, data
    raise IdentityError(_FOREIGN)


def _der(data: memoryview, tag: int) -> tuple[memoryview, memoryview]:
    """Split one element of type `tag` off, as DER has it: definite, shortest length."""
    first, rest = _take(_expect(data, bytes([tag])), 1)
    length = first[0]
    if length >= 0x80:
        digits, rest = _take(rest, length & 0x7F)
        length = int.from_bytes(digits, "big")
        if length < 0x80 or digits[0] == 0:
            raise IdentityError(_FOREIGN)
    return _take(rest, length)


def _encode_der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _base58(data: bytes) -> str:
    """Encode bytes that do not begin with a zero (those would need leading ones)."""
    number = int.from_bytes(data, "big")
    encoded = ""
    while number:
        number, digit = divmod(number, 58)
        encoded = _BASE58[digit] + encoded
    return encoded
