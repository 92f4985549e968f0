"""Identities as the trainer writes them, a new one for each number."""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@functools.cache
def identity(number: int) -> bytes:
    """The content of a swarm.pem: libp2p's PrivateKey message around an RSA key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return bytes([8, 0, 0x12, len(der) & 0x7F | 0x80, len(der) >> 7]) + der
