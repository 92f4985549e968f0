"""Calls of RL Swarm's coordinator contract as bytes, and what it returns or reverts with.

Facts: the Solidity ABI specification; gensyn-ai/rl-swarm-contracts v0.1.0 to v0.6.0. eth-abi does
the encoding; it comes with the extra `chain` and is imported where it is used.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from swarm_exporter.errors import ConfigError

#: What to do where eth-abi is not installed.
INSTALL = 'the chain is read with eth-abi: pip install "swarm-exporter[chain]"'

NO_ADDRESS = "0x" + "0" * 40

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SELECTOR_BYTES = 4
_LONGEST_TEXT = 120


class MissingExtraError(ConfigError):
    """eth-abi is not installed."""

    def __init__(self) -> None:
        super().__init__(INSTALL)


class Function(msgspec.Struct, frozen=True):
    """One read-only function of the contract."""

    name: str
    #: The first four bytes of the Keccak-256 of its signature.
    selector: str
    takes: tuple[str, ...]
    returns: str

    @property
    def signature(self) -> str:
        """Return the text that the selector is the hash of."""
        return f"{self.name}({','.join(self.takes)})"


class Revert(msgspec.Struct, frozen=True):
    """Why a call was reverted: the error's name, empty where the contract gave no reason."""

    name: str = ""


CURRENT_ROUND = Function("currentRound", "0x8a19c8bc", (), "uint256")
CURRENT_STAGE = Function("currentStage", "0x5bf5d54c", (), "uint256")
UNIQUE_VOTERS = Function("uniqueVoters", "0xb0c77404", (), "uint256")
#: Rewards are signed: they can be negative, and fall.
TOTAL_REWARDS = Function("getTotalRewards", "0x80c3d97f", ("string[]",), "int256[]")
TOTAL_WINS = Function("getTotalWins", "0x099c4002", ("string",), "uint256")
VOTE_COUNT = Function("getVoterVoteCount", "0xdfb3c7df", ("string",), "uint256")
EOA = Function("getEoa", "0x96bac35a", ("string[]",), "address[]")
PEER_IDS = Function("getPeerId", "0xb894a469", ("address[]",), "string[][]")

#: Every getter that is known here, by its signature; the deployed form of each.
FUNCTIONS = {
    function.signature: function
    for function in (
        CURRENT_ROUND,
        CURRENT_STAGE,
        Function("stageCount", "0xf33261ac", (), "uint256"),
        UNIQUE_VOTERS,
        TOTAL_REWARDS,
        TOTAL_WINS,
        VOTE_COUNT,
        EOA,
        PEER_IDS,
        Function("getVoterVotes", "0x2bdd8ea6", ("uint256", "string"), "string[]"),
        Function(
            "getRoundStageReward", "0x098f027f", ("uint256", "uint256", "address[]"), "int256[]"
        ),
        Function(
            "hasSubmittedRoundStageReward", "0x1fcaf676", ("uint256", "uint256", "string"), "bool"
        ),
    )
}

#: The contract's own errors, none of which has a value, by selector.
ERRORS = {
    "0x4197f6ea": "InvalidRoundNumber",
    "0xf7d20563": "InvalidStageNumber",
    "0xd5dd0c66": "InvalidVote",
    "0x1614b50c": "InvalidVoterPeerId",
    "0x723dc675": "PeerIdAlreadyRegistered",
    "0xe39ce02e": "RewardAlreadySubmitted",
    "0x3d51d827": "WinnerAlreadyVoted",
    "0xfc4e0d7c": "StageOutOfBounds",
    "0x0719ac8c": "OnlyStageManager",
    "0x5fc483c5": "OnlyOwner",
    "0x014c1cb5": "OnlyBootnodeManager",
    "0x7d8aaf0e": "InvalidBootnodeIndex",
}
#: Solidity's built-in errors: `require` and `revert` with a text, and failed checks.
_ERROR_STRING = "0x08c379a0"
_PANIC = "0x4e487b71"
_PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "invalid enum value",
    0x22: "broken byte array in storage",
    0x31: "pop from an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an empty function",
}


def encode_call(function: Function, *values: object) -> str:
    """Return the data of a call, `0x` and hexadecimal digits. Raises MissingExtraError."""
    encoded: bytes = _eth_abi().encode(function.takes, values)
    return function.selector + encoded.hex()


def decode_result(function: Function, data: str) -> Any:  # noqa: ANN401 - as the type says
    """Return the value that a call returned: an int, a bool, or a tuple.

    Raises ValueError where `data` is not one whole value of the type, encoded as Solidity does,
    and MissingExtraError.
    """
    return _decode(function.returns, _bytes(data))


def decode_revert(data: str) -> Revert:
    """Return why a call was reverted, by its revert data. Raises MissingExtraError.

    Data that nobody can read are a revert as well: their selector is the name then.
    """
    if not data.removeprefix("0x"):
        return Revert()
    try:
        body = _bytes(data)[_SELECTOR_BYTES:]
    except ValueError:
        return Revert("unreadable revert data")
    selector = data[: 2 + 2 * _SELECTOR_BYTES].lower()
    if selector in ERRORS:
        return Revert(ERRORS[selector])
    try:
        if selector == _ERROR_STRING:
            return Revert(_one_line(_decode("string", body)))
        if selector == _PANIC:
            code = _decode("uint256", body)
            return Revert(f"Panic: {_PANICS.get(code, f'code {code:#x}')}")
    except ValueError:
        return Revert("unreadable revert data")
    return Revert(f"unknown error {selector}")


def load() -> None:
    """Import eth-abi, which takes a good part of a second. Raises MissingExtraError."""
    _eth_abi()


def _eth_abi() -> Any:  # noqa: ANN401 - a module
    try:
        import eth_abi
    except ImportError:
        raise MissingExtraError from None
    return eth_abi


def _bytes(data: str) -> bytes:
    if _HEX.fullmatch(data) is None:
        raise ValueError("no hexadecimal data")
    return bytes.fromhex(data[2:])


def _decode(kind: str, data: bytes) -> Any:  # noqa: ANN401 - as the type says
    eth_abi = _eth_abi()
    try:
        (value,) = eth_abi.decode((kind,), data)
        whole: bytes = eth_abi.encode((kind,), (value,))
    except (eth_abi.exceptions.DecodingError, eth_abi.exceptions.EncodingError, ValueError):
        raise ValueError(f"no {kind}") from None
    # eth-abi reads on past what a value needs, and Solidity writes nothing behind it.
    if whole != data:
        raise ValueError(f"more than one {kind}")
    return value


def _one_line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in text)[:_LONGEST_TEXT]
    return f"Error: {' '.join(line.split())}"
