"""The `chain` part of the configuration: as it is written in a file, and resolved.

Contracts and network: gensyn-ai/rl-swarm v0.2.0 to main of 2026-01-05, its run scripts and README.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError

#: Gensyn Testnet, and its public RPC, which needs no key.
GENSYN_CHAIN_ID = 685_685
GENSYN_RPC = "https://gensyn-testnet.g.alchemy.com/public"

#: The word for "do not ask".
NONE = "none"
#: The preset's name where a contract was given that no preset has.
OWN = "custom"

#: Contracts are asked no oftener than this, seconds.
SHORTEST_INTERVAL = 15.0

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NO_ADDRESS = "is no contract address; it is 0x and 40 hexadecimal digits"
_NO_RPC = "is no URL of an RPC; write it as https://host/path"


class Preset(msgspec.Struct, frozen=True):
    """A coordinator contract of upstream's, all on Gensyn Testnet."""

    contract: str
    #: The swarm, and the versions of RL Swarm that submit to it.
    what: str


PRESETS = {
    "v0.3": Preset("0x2fC68a233EF9E9509f034DD551FF90A79a0B8F82", "GSM8K; v0.2.0 to v0.3.2"),
    "math": Preset("0x69C6e1D608ec64885E7b185d39b04B491a71768C", "Math (A); v0.4.0 to v0.4.4"),
    "math-hard": Preset(
        "0x6947c6E196a48B77eFa9331EC1E3e45f3Ee5Fd58", "Math Hard (B); v0.4.0 to v0.4.4"
    ),
    "genrl": Preset("0xFaD7C5e93f28257429569B854151A1B8DCD404c2", "genrl; v0.5.0 to v0.6.4"),
    "codezero": Preset("0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da0", "CodeZero; v0.7.0 and later"),
}


class FileNodeChain(msgspec.Struct, forbid_unknown_fields=True):
    """`chain` of one node in a file."""

    preset: str | None = None
    #: Without quotes YAML reads an address as a number.
    contract: str | int | None = None


class FileChain(FileNodeChain, forbid_unknown_fields=True):
    """`chain` in a file."""

    rpc: str | None = None
    chain_id: int | None = None
    interval: str | int | float | None = None


class Coordinator(msgspec.Struct, frozen=True, kw_only=True):
    """One coordinator contract, and how it is asked."""

    #: The name of its preset, or `custom`.
    preset: str
    contract: str
    #: It may hold a key: it is shown nowhere.
    rpc: str
    #: None where nobody says which chain it must be.
    chain_id: int | None
    #: Seconds from one poll to the next.
    interval: float = 300.0


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """How a contract is asked that was found in a node's folder: on upstream's chain."""

    #: It may hold a key: it is shown nowhere.
    rpc: str = GENSYN_RPC
    chain_id: int = GENSYN_CHAIN_ID
    interval: float = 300.0


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Which contract is asked for which node, as far as the configuration says."""

    network: Network = Network()
    everywhere: Coordinator | None = None
    #: By the node's name, for nodes that have an entry of their own; None is not asked.
    nodes: Mapping[str, Coordinator | None] = {}

    def of(self, node: str) -> Coordinator | None:
        """Return the contract that is asked for a node, or None."""
        return self.nodes.get(node, self.everywhere)


def resolve_chain(
    file: FileChain | None,
    nodes: Mapping[str, tuple[str, FileNodeChain]],
    document: Document | None,
) -> Chain:
    """Return the settings. `nodes` has, by node name, the key and the value of its `chain`.

    Raises ConfigError with line and key.
    """
    if document is None:
        return Chain()
    common = file or FileChain()
    everywhere = None
    # A section may hold no more than how contracts are asked that are named, or found, elsewhere.
    if file is not None and _chooses(file):
        everywhere = _coordinator(common, common, "chain", document)
    own = {
        # Either word of a node's own replaces both of the section's.
        name: _coordinator(common, written, key, document)
        for name, (key, written) in nodes.items()
        if _chooses(written)
    }
    return Chain(network=_network(common, document), everywhere=everywhere, nodes=own)


def preset_name(value: object) -> str:
    """Read the name of a preset, or `none`. Raises ValueError that names the fix."""
    name = str(value).strip().lower()
    return values.known_name(name, (*PRESETS, NONE), "preset")


def contract_address(value: object) -> str:
    """Read an address, also where YAML took it for a number. Raises ValueError."""
    if isinstance(value, int):
        if not 16**39 <= value < 16**40:
            # A number has lost its leading zeros: a short address would become another one.
            raise ValueError(f'{_NO_ADDRESS}, in quotes ("0x…")')
        return f"0x{value:040x}"
    text = str(value).strip()
    if _ADDRESS.fullmatch(text) is None or int(text, 16) == 0:
        raise ValueError(_NO_ADDRESS)
    return text


def rpc_url(value: object) -> str:
    """Read the address of an RPC; its path and query may hold a key. Raises ValueError.

    What is refused is not shown.
    """
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_NO_RPC) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if not parts.hostname or not text.isprintable() or " " in text or port == 0:
        raise ValueError(_NO_RPC)
    if parts.fragment:
        raise ValueError("must not have a #")
    return text


def _chooses(file: FileNodeChain) -> bool:
    return file.preset is not None or file.contract is not None


def _coordinator(
    common: FileChain, chosen: FileNodeChain, key: str, document: Document
) -> Coordinator | None:
    def setting(value: object, name: str, of: str = "chain") -> Setting:
        where = document.where(f"{of}.{name}")
        return Setting(value, where, ConfigError, document.path.parent, from_file=True)

    name = None
    if chosen.preset is not None:
        name = setting(chosen.preset, "preset", key).parse(preset_name)
        if name == NONE:
            return None
    contract = None
    if chosen.contract is not None:
        contract = setting(chosen.contract, "contract", key).parse(contract_address)
    how = _how(common, document)
    rpc, chain_id = how.get("rpc"), how.get("chain_id")
    if name is not None:
        contract = contract or PRESETS[name].contract
        rpc, chain_id = rpc or GENSYN_RPC, chain_id or GENSYN_CHAIN_ID
    elif contract is None:
        presets = ", ".join(PRESETS)
        raise document.error(key, f"names no contract; give `preset` ({presets}) or `contract`")
    elif rpc is None:
        raise document.error(key, "names a contract but no chain; give `chain.rpc` or a `preset`")
    how |= {"rpc": rpc, "chain_id": chain_id}
    return Coordinator(preset=_name_of(contract), contract=contract, **how)  # type: ignore[arg-type]


def _network(common: FileChain, document: Document) -> Network:
    return Network(**_how(common, document))  # type: ignore[arg-type]


def _how(common: FileChain, document: Document) -> dict[str, object]:
    """Return what the section says of how contracts are asked."""
    readers: dict[str, Callable[[object], object]] = {
        "rpc": rpc_url,
        "chain_id": values.whole_number(1, 2**53 - 1),
        "interval": values.duration(shortest=SHORTEST_INTERVAL),
    }
    return {
        name: Setting(
            value,
            document.where(f"chain.{name}"),
            ConfigError,
            document.path.parent,
            from_file=True,
        ).parse(read)
        for name, read in readers.items()
        if (value := getattr(common, name)) is not None
    }


def _name_of(contract: str) -> str:
    for name, preset in PRESETS.items():
        if preset.contract.lower() == contract.lower():
            return name
    return OWN
