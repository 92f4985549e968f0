"""Which sources a node is read through: `sources:` of a file, --sources; `auto` finds out.

`auto` looks into the node's folder once, when the configuration is loaded, and says of each source
why it is asked or not. Facts: RL Swarm v0.2.0 to v0.7.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from swarm_exporter.config.chain import (
    OWN,
    PRESETS,
    Coordinator,
    Network,
)
from swarm_exporter.config.values import known_name
from swarm_exporter.launcher.profile import detect_profile
from swarm_exporter.model import Node

#: Every source that can be chosen, in the order in which they are told of.
SOURCES = ("leaderboard", "hosted", "chain", "training_log", "wandb", "login")
#: Those that tell a node's reward: the first that is asked gives it.
REWARD_SOURCES = ("leaderboard", "hosted", "chain")
AUTO = "auto"

#: Generations by the launcher's profiles: how people call them, and whether they have the API.
_GENERATIONS = {
    "hivemind": ("RL Swarm v0.2 to v0.4", True),
    "genrl": ("RL Swarm v0.5 and v0.6", False),
    "codezero": ("RL Swarm v0.7", False),
}
#: Where upstream's run scripts write the contract that a checkout submits to.
_ENV_FILE = Path("modal-login") / ".env"
_CONTRACT = re.compile(
    r"^(?:SMART|SWARM)_CONTRACT_ADDRESS=[\"']?(0x[0-9a-fA-F]{40})\b", re.MULTILINE
)
_LARGEST_ENV_BYTES = 64 * 1024
_INSTALL_CHAIN = 'pip install "swarm-exporter[chain]"'


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a node is read through one source, and why: words that follow its name."""

    source: str
    on: bool
    why: str
    #: What to do to be told what this source tells; empty where it is asked.
    fix: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of the sources; all empty is `auto`."""

    #: Only these.
    only: tuple[str, ...] | None = None
    #: One by one; this wins.
    switched: Mapping[str, bool] = {}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What else decides on one node's sources."""

    #: Whether its API's address was given, and is not just the default.
    api_given: bool
    hosted: bool
    #: From the configuration; None where it says nothing, or `none`.
    coordinator: Coordinator | None
    #: How a contract is asked that its folder names.
    network: Network = Network()
    #: Whether the configuration switches the chain off for it.
    chain_refused: bool = False
    #: Whether a log of its own was named.
    log_given: bool = False


def source_wish(value: object) -> Wish:
    """Read `auto`, `chain,training_log`, a list, or names with true or false.

    Raises ValueError that names the fix.
    """
    if isinstance(value, dict):
        for name, on in value.items():
            known_name(name, SOURCES, "source")
            if not isinstance(on, bool):
                raise ValueError(f"{name} must be true or false")
        return Wish(switched=value)
    parts = value if isinstance(value, list) else str(value).split(",")
    names = tuple(str(part).strip() for part in parts if str(part).strip())
    if names == (AUTO,):
        return Wish()
    if names == ("none",):
        return Wish(only=())
    for name in names:
        known_name(name, SOURCES, "source")
    return Wish(only=names)


def choose(node: Node, wish: Wish, known: Known) -> tuple[tuple[Choice, ...], Coordinator | None]:
    """Return the choice for each source, and the contract that the chain is asked about.

    Looks into the node's folder.
    """
    profile = _profile(node.folder)
    coordinator = known.coordinator
    if coordinator is None and not known.chain_refused:
        coordinator = _coordinator_of(node.folder, profile, known.network)
    found = {
        "leaderboard": _leaderboard(known, profile),
        "hosted": _hosted(known),
        "chain": _chain(known, coordinator, profile),
        "training_log": _in_folder(node, "its logs", given=known.log_given),
        "wandb": _in_folder(node, "its runs"),
        "login": _in_folder(node, "its login data"),
    }
    choices = []
    for source in SOURCES:
        auto = found[source]
        wished = wish.switched.get(source, None if wish.only is None else source in wish.only)
        if wished is False:
            off = Choice(source=source, on=False, why="switched off", fix=f"switch {source} on")
            choices.append(off)
        elif wished and _is_possible(auto, node, coordinator):
            choices.append(Choice(source=source, on=True, why="switched on"))
        else:
            # What is switched on and cannot be asked keeps its own words.
            choices.append(auto)
    asked = any(choice.source == "chain" and choice.on for choice in choices)
    return tuple(choices), coordinator if asked else None


def _is_possible(auto: Choice, node: Node, coordinator: Coordinator | None) -> bool:
    if auto.on or auto.source == "leaderboard":
        return True
    if auto.source == "chain":
        # Without its package the poll says what to install.
        return coordinator is not None
    return auto.source != "hosted" and node.folder is not None


def _profile(folder: Path | None) -> str | None:
    return detect_profile(folder) if folder is not None else None


def _leaderboard(known: Known, profile: str | None) -> Choice:
    words, has_api = _GENERATIONS.get(profile or "", ("", True))
    if known.api_given:
        return Choice(source="leaderboard", on=True, why="its address was given")
    if not has_api:
        return Choice(
            source="leaderboard",
            on=False,
            why=f"{words} has no leaderboard on the machine",
            fix="give `api` the address of one that your swarm hosts",
        )
    why = f"{words} has one" if words else "nothing tells which generation the node is of"
    return Choice(source="leaderboard", on=True, why=f"{why}; its address is the default")


def _hosted(known: Known) -> Choice:
    if known.hosted:
        return Choice(source="hosted", on=True, why="`hosted` is configured")
    return Choice(
        source="hosted",
        on=False,
        why="no dashboard is configured",
        fix="give `hosted` the `url` of your swarm's dashboard",
    )


def _chain(known: Known, coordinator: Coordinator | None, profile: str | None) -> Choice:
    if known.chain_refused:
        return Choice(source="chain", on=False, why="switched off", fix="take `preset: none` away")
    if coordinator is None:
        words = _GENERATIONS[profile][0] if profile is not None else ""
        why = f"which contract {words} submits to is not known" if words else "no contract is known"
        return Choice(
            source="chain",
            on=False,
            why=why,
            fix=f"give `chain` a `preset` ({', '.join(PRESETS)}) or a `contract`",
        )
    if find_spec("eth_abi") is None:
        return Choice(
            source="chain", on=False, why="its package is not installed", fix=_INSTALL_CHAIN
        )
    origin = "as configured" if known.coordinator is not None else "found in its folder"
    return Choice(source="chain", on=True, why=f"contract {coordinator.preset}, {origin}")


def _in_folder(node: Node, what: str, *, given: bool = False) -> Choice:
    source = {"its logs": "training_log", "its runs": "wandb"}.get(what, "login")
    if node.folder is None and not given:
        return Choice(
            source=source,
            on=False,
            why=f"where {what} are is not known",
            fix="give the node's `folder`",
        )
    return Choice(source=source, on=True, why=f"{what} are in its folder")


def _coordinator_of(
    folder: Path | None, profile: str | None, network: Network
) -> Coordinator | None:
    """Return the contract that a checkout submits to; it is upstream's network then."""
    address = _env_contract(folder) if folder is not None else None
    by_address = {p.contract.lower(): name for name, p in PRESETS.items()}
    if address is not None:
        preset = by_address.get(address.lower(), OWN)
    elif profile in PRESETS:
        # Upstream's run scripts know no other contract for these generations.
        preset, address = str(profile), PRESETS[str(profile)].contract
    else:
        return None
    return Coordinator(
        preset=preset,
        contract=address,
        rpc=network.rpc,
        chain_id=network.chain_id,
        interval=network.interval,
    )


def _env_contract(folder: Path) -> str | None:
    try:
        with (folder / _ENV_FILE).open("rb") as file:
            text = file.read(_LARGEST_ENV_BYTES).decode(errors="replace")
    except OSError:
        return None
    found = _CONTRACT.search(text)
    return found[1] if found else None


#: What nobody tells of a node where none of these sources is asked.
_TELLS = {
    ("leaderboard",): "its rank",
    REWARD_SOURCES: "what it earns",
    ("training_log",): "its rounds, submissions and errors",
    ("login",): "whether it is logged in",
}


def blind_spots(choices: Sequence[Choice]) -> tuple[str, ...]:
    """Return what cannot be known of a node, each with the reason and what to configure."""
    by_source = {choice.source: choice for choice in choices}
    spots = []
    for sources, what in _TELLS.items():
        found = [by_source[source] for source in sources if source in by_source]
        fixes = " or ".join(choice.fix for choice in found if choice.fix)
        if fixes and not any(choice.on for choice in found):
            spots.append(f"{what} ({found[0].why}): {fixes}")
    return tuple(spots)
