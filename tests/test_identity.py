from __future__ import annotations

import base64
import contextlib
import functools
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.identity import (
    LARGEST_KEY_BYTES,
    IdentityError,
    greeting,
    normalise_nickname,
    peer_id_from_key,
    valid_peer_id,
)

SPIDER = "QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc"
COW = "Qma9T5YraSnpRDZqRR4krcSJabThc8nwZuJV3LercPHufi"
ANT = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"


@functools.cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def protobuf(kind: int, data: bytes) -> bytes:
    """A libp2p key message around at least 128 bytes, as any protobuf library writes it."""
    assert 0x80 <= len(data) < 0x4000
    return bytes([8, kind, 0x12, len(data) & 0x7F | 0x80, len(data) >> 7]) + data


def pem_file(key: rsa.RSAPrivateKey) -> bytes:
    """The content of swarm.pem as hivemind's P2P.generate_identity writes it."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return protobuf(0, der)


def base58(data: bytes) -> str:
    digits = [0]
    for byte in data:
        carry = byte
        for place, digit in enumerate(digits):
            carry += digit << 8
            digits[place] = carry % 58
            carry //= 58
        while carry:
            digits.append(carry % 58)
            carry //= 58
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    return "".join(alphabet[digit] for digit in reversed(digits))


def der_integer(content: bytes) -> bytes:
    return b"\x02\x82" + len(content).to_bytes(2, "big") + content


def file_of(version: bytes, modulus: bytes, exponent: bytes) -> bytes:
    """A swarm.pem of given public numbers (DER), with filler for the private ones."""
    body = version + modulus + exponent + der_integer(b"\x01" + bytes(255))
    return protobuf(0, b"\x30\x82" + len(body).to_bytes(2, "big") + body)


V0, E65537 = b"\x02\x01\x00", b"\x02\x03\x01\x00\x01"

# Published test vectors, reduced to what is public of them: the modulus of the key, and its id.
KNOWN = {
    "go-libp2p's key in the tests of js-peer-id and swift-peer-id": (
        "1gRGzvJHOmuZBJLNPQij0Gq4GN6dAwpgnM6Ak+dv0WBasbx/XSPrPruGQLxfWi1jgbxaJi+4x2Tgz8Sg624jQpsh"
        "G1YjYGWCvjzW8IdFd2Rmwdu196vMmbS72APHYXDZM/9khwWq0qAuECwOTF1LklrVWmDGNzMzJ8wReeyXPQLHuzbx"
        "ziFCPdDO2jeYsz+4cT16WfrIYjfk8ozPJhcWDjRu2UrGNyMVIba1OTEcxV/radaP4G/2mudZh3+wC9zdNo+QAYmG"
        "wive0W8K9N4bAXMIDMaAzyZj91mfg+csj3DiCBdVXe/uP3+xUCZyMN8a/f472hWz8gwlWwToa/aMsQ==",
        "QmRLoXS3E73psYaUsma1VSbboTa2J8Z9kso1tpiGLk9WQ4",
    ),
    "the sample key in the tests of js-peer-id": (
        "tkiqPxzBWXgZpdQBd14o868a30F3Sc43jwWQG3caikdTHOo7kR14o+h12D45QJNNQYRdUty5eC8ItHAB4YIH+Oe7"
        "DIOeVFsnhinlL9LnILwqQcJUeXENNtItDIM4z1ji1qta7b0mzXAItmRFZ+vkNhHB6N8FL1kbS3is/g2UmX8NjxAw"
        "vgxjyT5e3/IO85eemMpppsx/ZYmSza84P6onaJFL+btaXRq3KS7jzXkzg5NHKigfjlG7io/RkoWBAghI2smyQ5fd"
        "u+qGpS/YIQbUnhL9tJLoGrU72MufdMBZSZJL8pfpz8SB9BBGDCivV0VpbvV2J6En26IsHL/DN0pbIw==",
        base58(
            bytes.fromhex("122019318b6e5e0cf93a2314bf01269a2cc23cd3dcd452d742cdb9379d8646f6e4a9")
        ),
    ),
}


@pytest.mark.parametrize(("modulus", "peer_id"), KNOWN.values(), ids=KNOWN)
def test_a_published_key_gives_its_published_id(modulus, peer_id):
    file = file_of(V0, der_integer(b"\x00" + base64.b64decode(modulus)), E65537)
    assert peer_id_from_key(file) == peer_id


@pytest.mark.parametrize("bits", [1024, 2048, 3072])
def test_a_key_gives_the_hash_of_its_public_key_in_base58(bits):
    key = rsa_key(bits)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected = base58(b"\x12\x20" + hashlib.sha256(protobuf(0, spki)).digest())
    peer_id = peer_id_from_key(pem_file(key))
    assert peer_id == expected
    assert len(peer_id) == 46
    assert valid_peer_id(peer_id)


def other_keys() -> dict[str, bytes]:
    raw = (Encoding.Raw, PublicFormat.Raw)
    edwards = ed25519.Ed25519PrivateKey.generate()
    seed = edwards.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    secp = ec.generate_private_key(ec.SECP256K1()).private_numbers().private_value
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    both = seed + edwards.public_key().public_bytes(*raw)
    return {
        "an Ed25519": b"\x08\x01\x12\x40" + both,
        "a Secp256k1": b"\x08\x02\x12\x20" + secp.to_bytes(32, "big"),
        "an ECDSA": b"\x08\x03\x12" + bytes([len(curve)]) + curve,
    }


@pytest.mark.parametrize(("name", "data"), other_keys().items())
def test_a_key_of_another_type_is_named(name, data):
    with pytest.raises(IdentityError, match=f"holds {name} key, but RL Swarm uses RSA"):
        peer_id_from_key(data)


N = der_integer(b"\x00" + b"\xab" * 256)
BODY = V0 + N + E65537 + der_integer(b"\x01" + bytes(255))
SIZE = len(BODY).to_bytes(2, "big")
REAL_PEM = rsa_key(2048).private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
)
REFUSED = {
    "no bytes": (b"", "is empty"),
    "real PEM": (REAL_PEM, "is PEM text"),
    "real PEM after a blank line": (b"\n" + REAL_PEM, "is PEM text"),
    "a public key in PEM": (b"-----BEGIN PUBLIC KEY-----\n", "is PEM text"),
    "too much": (bytes(LARGEST_KEY_BYTES + 1), "larger than 64 KiB"),
    "bare DER": (pem_file(rsa_key(2048))[5:], "not a binary libp2p RSA key"),
    "zeros": (bytes(1200), "not a binary libp2p RSA key"),
    "text": (b"the quick brown fox", "not a binary libp2p RSA key"),
    "JSON": (b'{"peer_id": "Qm"}', "not a binary libp2p RSA key"),
    "an unknown key type": (b"\x08\x04\x12\x01\x00", "not a binary libp2p RSA key"),
    "a key type in two bytes": (
        b"\x08\x80\x00" + pem_file(rsa_key(2048))[2:],
        "not a binary libp2p RSA key",
    ),
    "an endless varint": (b"\x08\xff\xff\xff\xff\xff\xff", "not a binary libp2p RSA key"),
    "a byte after the key": (pem_file(rsa_key(2048)) + b"\n", "not a binary libp2p RSA key"),
    "another field first": (b"\x12\x00\x08\x00", "not a binary libp2p RSA key"),
    "indefinite length": (protobuf(0, b"\x30\x80" + BODY), "not a binary libp2p RSA key"),
    "a length with a needless zero": (
        protobuf(0, b"\x30\x83\x00" + SIZE + BODY),
        "not a binary libp2p RSA key",
    ),
    "a short length in long form": (
        file_of(V0, N, b"\x02\x81\x03\x01\x00\x01"),
        "not a binary libp2p RSA key",
    ),
    "a sequence shorter than the field": (
        protobuf(0, b"\x30\x82" + SIZE + BODY + b"\x00"),
        "not a binary libp2p RSA key",
    ),
    "a sequence longer than the field": (
        protobuf(0, b"\x30\x82" + SIZE + BODY[:-1]),
        "ends in the middle",
    ),
    "a set instead of a sequence": (
        protobuf(0, b"\x31\x82" + SIZE + BODY),
        "not a binary libp2p RSA key",
    ),
    "a key of three primes": (file_of(b"\x02\x01\x01", N, E65537), "not a binary libp2p"),
    "a negative modulus": (
        file_of(V0, der_integer(b"\xab" * 256), E65537),
        "not a binary libp2p RSA key",
    ),
    "a modulus with a needless zero": (
        file_of(V0, der_integer(b"\x00\x7b" + b"\xab" * 255), E65537),
        "not a binary libp2p RSA key",
    ),
    "a modulus without bytes": (file_of(V0, b"\x02\x00", E65537), "not a binary libp2p RSA key"),
    "a tiny modulus": (file_of(V0, b"\x02\x01\x23", E65537), "not a binary libp2p RSA key"),
    "exponent zero": (file_of(V0, N, b"\x02\x01\x00"), "not a binary libp2p RSA key"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_key_is_refused_in_one_sentence(data, message):
    with pytest.raises(IdentityError, match=message) as error:
        peer_id_from_key(data)
    text = str(error.value)
    assert "\n" not in text
    assert ";" in text, "it names the fix"
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_every_truncation_is_refused():
    data = pem_file(rsa_key(2048))
    for length in range(1, len(data)):
        with pytest.raises(IdentityError, match="ends in the middle of the key"):
            peer_id_from_key(data[:length])


@given(st.data())
def test_a_mutated_key_gives_an_identity_error_or_a_well_formed_id(data):
    key = bytearray(pem_file(rsa_key(2048)))
    # Most of the file is not looked at: let half of the mutations meet the structure.
    places = st.one_of(st.integers(0, 20), st.integers(0, len(key) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        key[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(IdentityError):
        assert valid_peer_id(peer_id_from_key(bytes(key)))


GARBAGE = st.binary(max_size=300)


@given(st.one_of(GARBAGE, GARBAGE.map(lambda data: protobuf(0, bytes(128) + data))))
def test_garbage_gives_an_identity_error(data):
    with pytest.raises(IdentityError):
        peer_id_from_key(data)


def test_the_private_numbers_change_nothing():
    whole = pem_file(rsa_key(2048))
    public_end = whole.index(b"\x02\x03\x01\x00\x01") + 5
    blind = whole[:public_end] + bytes(len(whole) - public_end)
    assert peer_id_from_key(blind) == peer_id_from_key(whole)


GREETINGS = {
    "v0.2 to v0.4 on a terminal": (
        "\x1b[32mINFO:hivemind_exp.runner.grpo_runner:🐱 Hello 🐈 [timid tall spider] 🦮 "
        f"[{SPIDER}]!\x1b[0m\n",
        ("timid tall spider", SPIDER),
    ),
    "v0.5, the log named after the node": (
        "[whiskered_mammalian_ant] 2025-07-23 04:27:04,546 INFO: 🐱 Hello 🐈 "
        f"[whiskered mammalian ant] 🦮 [{ANT}]!\n",
        ("whiskered mammalian ant", ANT),
    ),
    "v0.6": (
        "[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][INFO] - 🐱 Hello 🐈 "
        f"[timid tall spider] 🦮 [{SPIDER}]!\n",
        ("timid tall spider", SPIDER),
    ),
    "v0.7": (
        "[2025-11-20 10:00:21,001][genrl.logging_utils.global_defs][INFO] - 🐝 Hello "
        f"[singing keen cow] [{COW}]!\n",
        ("singing keen cow", COW),
    ),
    "colours inside the line": (
        f"Hello 🐈 [\x1b[1;36mtimid tall spider\x1b[0m] 🦮 [\x1b[38;5;208m{SPIDER}\x1b[m]!",
        ("timid tall spider", SPIDER),
    ),
    "after a progress bar": (
        f"Map:  50%|██ | 1/2\rMap: 100%|████| 2/2\r🐝 Hello [singing keen cow] [{COW}]!\r\n",
        ("singing keen cow", COW),
    ),
    "pictures lost in another encoding": (
        f"? Hello ? [timid tall spider] ? [{SPIDER}]!",
        ("timid tall spider", SPIDER),
    ),
    "pictures escaped": (
        rf"\U0001f431 Hello \U0001f408 [timid tall spider] \U0001f9ae [{SPIDER}]!",
        ("timid tall spider", SPIDER),
    ),
    "the newest of several": (
        f"Hello [singing keen cow] [{COW}]!\nHello 🐈 [timid tall spider] 🦮 [{SPIDER}]!\nmore\n",
        ("timid tall spider", SPIDER),
    ),
    "a broken one after a good one": (
        f"Hello [singing keen cow] [{COW}]!\nHello 🐈 [timid tall spider] 🦮 [Qm...]!\n",
        ("singing keen cow", COW),
    ),
    "none": ("Starting round: 1/1000000.\n", None),
    "nothing": ("", None),
    "a peer id too short": (f"Hello [singing keen cow] [{COW[:-1]}]!", None),
    "a peer id too long": (f"Hello [singing keen cow] [{COW}x]!", None),
    "a peer id with letters that base58 lacks": (f"Hello [a b c] [{COW[:-1]}0]!", None),
    "an Ed25519 peer id": (f"Hello [a b c] [12D3KooW{COW[8:]}]!", None),
    "two words": (f"Hello [keen cow] [{COW}]!", None),
    "four words": (f"Hello [very singing keen cow] [{COW}]!", None),
    "upper case": (f"Hello [Singing Keen Cow] [{COW}]!", None),
    "markup for a name": (f"Hello [a <b c>] [{COW}]!", None),
    "a name of 64 characters": (f"Hello [a b {'c' * 60}] [{COW}]!", (f"a b {'c' * 60}", COW)),
    "a name of 65 characters": (f"Hello [a b {'c' * 61}] [{COW}]!", None),
    "a name over two lines": (f"Hello [singing keen\ncow] [{COW}]!", None),
}


@pytest.mark.parametrize(("text", "expected"), GREETINGS.values(), ids=GREETINGS)
def test_the_greeting(text, expected):
    assert greeting(text) == expected


@given(st.text())
def test_no_text_breaks_the_search_for_a_greeting(text):
    assert greeting(text) is None
    assert greeting(f"{text}\nHello [a b c] [{COW}]!{text}") == ("a b c", COW)


@pytest.mark.parametrize(
    "piece", ["Hello ", "Hello [", "Hello [a b c] ", "Hello x [a b c] y [", "\x1b[", "[a" * 4]
)
def test_a_log_made_to_be_slow_is_read_in_linear_time(piece):
    # In quadratic time this test would not end.
    assert greeting(piece * (2**20 // len(piece))) is None


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SPIDER, True),
        (COW, True),
        ("", False),
        (SPIDER[:-1], False),
        (SPIDER + "1", False),
        (SPIDER + "\n", False),
        (" " + SPIDER[1:], False),
        (SPIDER[:-1] + "l", False),
        (SPIDER[:-1] + "é", False),
        ("12D3KooWGrtCNTHLfyYnYvPpWjtHJ7v4mYkTRFmMX8C1Bv", False),
        ("node_0", False),
    ],
)
def test_the_form_of_a_peer_id(text, valid):
    assert valid_peer_id(text) is valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timid tall spider", "timid tall spider"),
        ("whiskered_mammalian_ant", "whiskered mammalian ant"),
        ("  Timid\tTALL  spider\n", "timid tall spider"),
        ("__timid_ _tall__spider", "timid tall spider"),
        ("", ""),
        ("_", ""),
    ],
)
def test_a_nickname_is_compared_in_one_form(text, expected):
    assert normalise_nickname(text) == expected


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    once = normalise_nickname(text)
    assert normalise_nickname(once) == once
