"""The coordinator's calls against vectors laid out by hand, word by word, and real Keccak."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from eth_abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from support import ROOT
from swarm_exporter.errors import ConfigError
from swarm_exporter.sources.chain_abi import (
    CURRENT_ROUND,
    EOA,
    ERRORS,
    FUNCTIONS,
    TOTAL_REWARDS,
    TOTAL_WINS,
    MissingExtraError,
    Revert,
    decode_result,
    decode_revert,
    encode_call,
)

VECTORS = json.loads((ROOT / "tests" / "data" / "chain" / "abi.json").read_text())


def plain(value: object) -> object:
    """Tuples as lists and addresses in lower case, as JSON has them."""
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


@pytest.mark.parametrize("vector", VECTORS["calls"], ids=lambda v: v["signature"])
def test_a_call_is_encoded_to_the_byte(vector):
    data = encode_call(FUNCTIONS[vector["signature"]], *vector["values"])
    assert data == vector["selector"] + "".join(vector["words"])


@pytest.mark.parametrize("vector", VECTORS["returns"], ids=lambda v: v["signature"])
def test_what_is_returned_is_decoded(vector):
    data = "0x" + "".join(vector["words"])
    assert plain(decode_result(FUNCTIONS[vector["signature"]], data)) == plain(vector["value"])


@pytest.mark.parametrize("signature", FUNCTIONS)
def test_a_selector_is_the_hash_of_its_signature(signature):
    function = FUNCTIONS[signature]
    assert function.signature == signature
    assert function.selector == "0x" + keccak(signature.encode())[:4].hex()


@pytest.mark.parametrize(("selector", "name"), ERRORS.items())
def test_an_errors_selector_is_the_hash_of_its_signature(selector, name):
    assert selector == "0x" + keccak(f"{name}()".encode())[:4].hex()


WORD = "00" * 31 + "01"
UNUSABLE = {
    "nothing": "0x",
    "no hexadecimal": "1234",
    "half a byte": "0x0",
    "a sentence": "execution reverted",
    "half a word": "0x" + WORD[:-2],
    "two words": "0x" + WORD * 2,
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_number_is_refused(data):
    with pytest.raises(ValueError, match=r"^(no|more than one) "):
        decode_result(CURRENT_ROUND, data)


LISTS = {
    "a number": "0x" + WORD,
    "a list without its end": "0x" + f"{32:064x}" + f"{2:064x}" + WORD,
    "a list of 2**255": "0x" + f"{32:064x}" + f"{2**255:064x}",
    "a list that begins elsewhere": "0x" + f"{2**64:064x}" + f"{0:064x}",
    "more than its list": "0x" + f"{32:064x}" + f"{1:064x}" + WORD * 2,
}


@pytest.mark.parametrize("data", LISTS.values(), ids=LISTS)
def test_what_is_no_list_is_refused(data):
    with pytest.raises(ValueError, match=r"^(no|more than one) int256\[\]"):
        decode_result(TOTAL_REWARDS, data)


def test_an_address_of_more_than_20_bytes_is_refused():
    with pytest.raises(ValueError, match="address"):
        decode_result(EOA, "0x" + f"{32:064x}" + f"{1:064x}" + "ff" * 32)


@given(st.lists(st.integers(-(2**255), 2**255 - 1), max_size=20))
def test_every_list_of_rewards_comes_back(rewards):
    data = "0x" + encode(["int256[]"], [rewards]).hex()
    assert list(decode_result(TOTAL_REWARDS, data)) == rewards


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_refused(data):
    for function in FUNCTIONS.values():
        try:
            value = decode_result(function, f"0x{data.hex()}")
        except ValueError:
            continue
        assert encode([function.returns], [value]) == data


def custom(name: str, types: list[str], values: list[object]) -> str:
    signature = f"{name}({','.join(types)})"
    return "0x" + (keccak(signature.encode())[:4] + encode(types, values)).hex()


REVERTS = {
    "no reason": ("0x", ""),
    "no data": ("", ""),
    "a text": (custom("Error", ["string"], ["no\nsuch peer"]), "Error: no such peer"),
    "a long text": (custom("Error", ["string"], ["x" * 999]), "Error: " + "x" * 120),
    "an overflow": (custom("Panic", ["uint256"], [0x11]), "Panic: arithmetic overflow"),
    "another panic": (custom("Panic", ["uint256"], [0x99]), "Panic: code 0x99"),
    "the contract's own": (custom("InvalidVoterPeerId", [], []), "InvalidVoterPeerId"),
    "in capitals": ("0x1614B50C", "InvalidVoterPeerId"),
    "somebody else's": ("0xdeadbeef", "unknown error 0xdeadbeef"),
    "a text without its end": ("0x08c379a0" + "00" * 40, "unreadable revert data"),
    "text instead of data": ("Reverted", "unreadable revert data"),
}


@pytest.mark.parametrize(("data", "name"), REVERTS.values(), ids=REVERTS)
def test_a_revert_has_a_name(data, name):
    assert decode_revert(data) == Revert(name)


@given(st.binary(max_size=200))
def test_any_revert_data_give_one_short_line(data):
    name = decode_revert("0x" + data.hex()).name
    assert len(name) <= 140
    assert name.isprintable()


def test_without_eth_abi_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "eth_abi", None)
    with pytest.raises(MissingExtraError, match=r'pip install "swarm-exporter\[chain\]"'):
        encode_call(TOTAL_WINS, "QmA")
    assert issubclass(MissingExtraError, ConfigError)


def test_eth_abi_is_imported_where_it_is_used_alone():
    program = (
        "import sys; import swarm_exporter.sources.chain; import swarm_exporter.metrics.chain; "
        "sys.exit('eth_abi' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
