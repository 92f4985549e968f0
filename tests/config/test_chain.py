"""The `chain` part of a file: presets, nodes with a contract of their own, and what is refused."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.config.chain import (
    GENSYN_CHAIN_ID,
    GENSYN_RPC,
    PRESETS,
    Chain,
    Coordinator,
    FileChain,
    FileNodeChain,
    contract_address,
    resolve_chain,
    rpc_url,
)
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError

OWN = "0x" + "0c" * 20
KEY = "s3cr3t-k3y-0123456789"


class _FileNode(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    chain: FileNodeChain | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    chain: FileChain | None = None
    nodes: list[_FileNode] = []


def resolve(tmp_path, text: str) -> Chain:
    (path := tmp_path / "swarm.yml").write_text(text)
    document = Document(path, "swarm.yml")
    file = document.convert(_File)
    nodes = {
        node.name: (f"nodes[{place}].chain", node.chain)
        for place, node in enumerate(file.nodes)
        if node.chain is not None
    }
    return resolve_chain(file.chain, nodes, document)


def codezero(**more: object) -> Coordinator:
    facts = {
        "preset": "codezero",
        "contract": PRESETS["codezero"].contract,
        "rpc": GENSYN_RPC,
        "chain_id": GENSYN_CHAIN_ID,
        "interval": 300.0,
    }
    return Coordinator(**{**facts, **more})


def test_without_a_word_nothing_is_asked(tmp_path):
    assert resolve_chain(None, {}, None).of("1") is None
    assert resolve(tmp_path, "nodes: [{name: a}]\n").of("a") is None


def test_a_section_without_a_contract_says_how_those_found_elsewhere_are_asked(tmp_path):
    chain = resolve(tmp_path, "chain: {interval: 1m, rpc: 'http://127.0.0.1:8545/'}\n")
    assert chain.of("1") is None
    assert (chain.network.interval, chain.network.rpc) == (60.0, "http://127.0.0.1:8545/")
    assert chain.network.chain_id == GENSYN_CHAIN_ID


def test_a_preset_says_it_all(tmp_path):
    assert resolve(tmp_path, "chain: {preset: codezero}\n").of("1") == codezero()


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_a_contract_of_its_own(tmp_path, name):
    found = resolve(tmp_path, f"chain: {{preset: {name}}}\n").of("1")
    assert found == codezero(preset=name, contract=PRESETS[name].contract)
    assert [preset.contract for preset in PRESETS.values()].count(found.contract) == 1
    assert contract_address(found.contract) == found.contract


def test_what_is_given_wins_over_the_preset(tmp_path):
    text = f"""
chain:
  preset: codezero
  rpc: https://user:pw@rpc.example/v2/{KEY}?k={KEY}
  contract: "{OWN}"
  chain_id: 31337
  interval: 15s
"""
    assert resolve(tmp_path, text).of("1") == Coordinator(
        preset="custom",
        contract=OWN,
        rpc=f"https://user:pw@rpc.example/v2/{KEY}?k={KEY}",
        chain_id=31337,
        interval=15.0,
    )


def test_another_rpc_of_the_same_chain(tmp_path):
    found = resolve(tmp_path, "chain: {preset: codezero, rpc: 'http://127.0.0.1:8545'}\n").of("1")
    assert found == codezero(rpc="http://127.0.0.1:8545")


def test_a_contract_of_a_preset_has_its_name(tmp_path):
    text = f"chain: {{contract: '{PRESETS['math'].contract.lower()}', rpc: 'http://h'}}\n"
    found = resolve(tmp_path, text).of("1")
    assert (found.preset, found.chain_id) == ("math", None)


def test_an_address_without_quotes_is_the_same_address(tmp_path):
    address = PRESETS["codezero"].contract
    found = resolve(tmp_path, f"chain: {{preset: genrl, contract: {address}}}\n").of("1")
    assert found.contract == address.lower()
    assert found.preset == "codezero"


def test_a_node_may_have_a_contract_of_its_own(tmp_path):
    text = f"""
chain: {{preset: codezero, interval: 1m}}
nodes:
  - {{name: a}}
  - {{name: b, chain: {{preset: genrl}}}}
  - {{name: c, chain: {{preset: codezero, contract: "{OWN}"}}}}
  - {{name: d, chain: {{preset: none}}}}
  - {{name: e, chain: {{}}}}
"""
    chain = resolve(tmp_path, text)
    assert chain.of("a") == chain.of("e") == codezero(interval=60.0)
    genrl = PRESETS["genrl"].contract
    assert chain.of("b") == codezero(preset="genrl", contract=genrl, interval=60.0)
    assert chain.of("c") == codezero(preset="custom", contract=OWN, interval=60.0)
    assert chain.of("d") is None


def test_nodes_alone_may_have_contracts(tmp_path):
    text = f"""
chain: {{rpc: "http://127.0.0.1:8545"}}
nodes:
  - {{name: a, chain: {{contract: "{OWN}"}}}}
  - {{name: b}}
"""
    chain = resolve(tmp_path, text)
    assert chain.of("a").rpc == "http://127.0.0.1:8545"
    assert chain.of("b") is None
    assert resolve(tmp_path, "nodes: [{name: a, chain: {preset: math}}]\n").of("a").preset == "math"


REFUSED = {
    "an unknown preset": (
        "chain: {preset: code-zero}\n",
        'swarm.yml:1: chain.preset: no preset is called "code-zero"; did you mean codezero?',
    ),
    "a preset like no other": (
        "chain: {preset: xyz}\n",
        'chain.preset: no preset is called "xyz"; there are v0.3, math, math-hard, genrl, '
        "codezero, none",
    ),
    "no chain": (
        f"chain: {{contract: '{OWN}'}}\n",
        "chain: names a contract but no chain; give `chain.rpc` or a `preset`",
    ),
    "a node's contract without a chain": (
        f"nodes: [{{name: a, chain: {{contract: '{OWN}'}}}}]\n",
        "swarm.yml:1: nodes[0].chain: names a contract but no chain",
    ),
    "half an address": ("chain: {contract: '0x12', rpc: 'http://h'}\n", "is no contract address"),
    "half an address without quotes": (
        "chain: {contract: 0x12, rpc: 'http://h'}\n",
        'chain.contract: is no contract address; it is 0x and 40 hexadecimal digits, in quotes ("0x',
    ),
    "too long an address without quotes": (
        "chain: {contract: 0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da00, preset: math}\n",
        "is no contract address",
    ),
    "the zero address": (
        f"chain: {{contract: '0x{'0' * 40}', rpc: 'http://h'}}\n",
        "is no contract address",
    ),
    "too often": (
        "chain: {preset: math, interval: 14s}\n",
        "swarm.yml:1: chain.interval: must be at least 15s",
    ),
    "a chain id of nothing": ("chain: {preset: math, chain_id: 0}\n", "must be between 1 and"),
    "another scheme": (
        f"chain: {{preset: math, rpc: 'wss://h/{KEY}'}}\n",
        "chain.rpc: must begin with http:// or https://",
    ),
    "no host": (f"chain: {{preset: math, rpc: 'https:///{KEY}'}}\n", "chain.rpc: is no URL"),
    "a port that is none": (f"chain: {{preset: math, rpc: 'http://h:x{KEY}'}}\n", "is no URL"),
    "a space": (f"chain: {{preset: math, rpc: 'http://h/ {KEY}'}}\n", "is no URL"),
    "a fragment": (f"chain: {{preset: math, rpc: 'http://h/#{KEY}'}}\n", "must not have a #"),
    "an unknown key": (
        "chain: {preset: math, intervall: 1m}\n",
        'chain.intervall: unknown key; did you mean "interval"?',
    ),
    "an interval of a node's own": (
        "nodes: [{name: a, chain: {preset: math, interval: 1m}}]\n",
        "nodes[0].chain.interval: unknown key",
    ),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_said_with_place_and_fix(tmp_path, text, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        resolve(tmp_path, text)
    assert KEY not in str(error.value)


@given(st.integers(16**39, 16**40 - 1))
def test_an_address_that_yaml_took_for_a_number_is_that_address(number):
    assert int(contract_address(number), 16) == number
    assert contract_address(f"0x{number:040x}") == contract_address(number)


@given(st.text(max_size=60))
def test_any_text_is_an_rpc_or_refused_without_being_shown(text):
    secret = f"{KEY}{text}"
    for url in (secret, f"http://{secret}", f"https://h/{secret}"):
        try:
            assert rpc_url(url).startswith(("http://", "https://"))
        except ValueError as problem:
            assert KEY not in str(problem)
