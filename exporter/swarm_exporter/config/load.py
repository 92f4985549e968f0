"""Layers of settings -> one resolved configuration. Reads the file and nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from swarm_exporter.config import values
from swarm_exporter.config.chain import NONE as NO_CHAIN
from swarm_exporter.config.chain import Chain, resolve_chain
from swarm_exporter.config.collectors import collector_names, collector_switches
from swarm_exporter.config.hosted import resolve_hosted
from swarm_exporter.config.launcher import resolve_launcher
from swarm_exporter.config.leaderboard import resolve_leaderboard
from swarm_exporter.config.logs import TrainingLog, resolve_training_log
from swarm_exporter.config.nodes import Naming, resolve_nodes
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.settings import Config, FileNode, FileSettings, Flags
from swarm_exporter.config.sources import Choice, Known, Wish, choose, source_wish
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError, FlagError
from swarm_exporter.model import Node

#: Variables of the same prefix that are no settings: upstream's own (RL Swarm v0.2 to v0.7), the
#: addresses that `status` and `digest` ask, and how shells complete.
_FOREIGN = {
    "SWARM_UI_PORT",
    "SWARM_CONTRACT",
    "SWARM_CONTRACT_ADDRESS",
    "SWARM_STATUS_URL",
    "SWARM_PROMETHEUS_URL",
}
_LISTS = ("peer_id", "nickname")
#: What no single text gives.
_COMPOUND = (*_LISTS, "collector")
#: Keys of a file that are read apart.
_NOT_PLAIN = ("nodes", "launcher", "collectors", "leaderboard", "hosted", "chain", "sources")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

#: Settings with one value for the whole exporter, and how each is read.
_PARSERS: dict[str, Callable[[object], object]] = {
    "interval": values.duration(shortest=0.1),
    "timeout": values.duration(shortest=0.001),
    "body_limit": values.size,
    "stall_after": values.duration(shortest=1.0),
    "top_peers": values.whole_number(0, 100),
    "log_level": values.one_of("debug", "info", "warning", "error"),
    "log_format": values.one_of("text", "json"),
    "reload_endpoint": values.switch,
}


def load_config(flags: Flags, environ: Mapping[str, str], cwd: Path) -> Config:
    """Return the configuration of a file, `environ` and `flags`, in growing precedence.

    Raises FlagError for what a flag says wrong, ConfigError for everything else.
    """
    variables, warnings = _variables(environ)
    given = _given(variables, cwd, "SWARM_{}", ConfigError) | _given(flags, cwd, "--{}", FlagError)
    document = None
    file = FileSettings()
    if "config" in given:
        name = str(given["config"].value)
        path = given["config"].parse(lambda _: values.path(name, cwd))
        document = Document(path, name)
        file = document.convert(FileSettings)
        given = _given_in(file, document) | given

    lists = {key: _list(key, flags, variables, cwd) for key in _LISTS}
    nodes = resolve_nodes(
        file.nodes or [],
        document,
        Naming(
            instances=given.get("instances"),
            api_port=given.get("api_port"),
            api_url=given.get("api_url"),
            folder=given.get("folder"),
            peer_ids=lists["peer_id"],
            nicknames=lists["nickname"],
            cwd=cwd,
        ),
    )
    settings = {key: given[key].parse(read) for key, read in _PARSERS.items() if key in given}
    if "listen" in given:
        host, port = given["listen"].parse(values.address)
        settings |= {"listen_host": host, "listen_port": port}
    settings |= _collectors(flags, given.get("collectors"), file, document)
    written = dict(zip((node.name for node in nodes), file.nodes or [], strict=False))
    settings |= _sources(nodes, written, given.get("sources"), file, document)
    state_dir = given.get("state_dir")
    config = Config(
        nodes=nodes,
        state_dir=state_dir.parse(lambda value: values.path(str(value), state_dir.base))
        if state_dir is not None
        else values.state_dir(environ),
        launcher=resolve_launcher(
            file.launcher,
            {
                nodes[number].name: (f"nodes[{number}].launch", written.launch)
                for number, written in enumerate(file.nodes or [])
                if written.launch is not None
            },
            document,
        ),
        source_file=document.path if document is not None else None,
        warnings=tuple(warnings),
        **settings,  # type: ignore[arg-type]
    )
    _refuse_own_port(config, given.get("listen"))
    return config


def _collectors(
    flags: Flags, given: Setting | None, file: FileSettings, document: Document | None
) -> dict[str, object]:
    """Return which collectors read; a list in a later layer wins over all of an earlier one."""
    only: object = None
    switched: dict[str, bool] = {}
    if file.collectors is not None and document is not None:
        written = Setting(
            file.collectors,
            document.where("collectors"),
            ConfigError,
            document.path.parent,
            from_file=True,
        )
        if isinstance(file.collectors, dict):
            switched |= written.parse(lambda _: collector_switches(file.collectors or {}))  # type: ignore[arg-type]
        else:
            only = written.parse(collector_names)
    if given is not None:
        only, switched = given.parse(collector_names), {}
    return {"only_collectors": only, "switched_collectors": switched | dict(flags.collector)}


def _sources(
    nodes: Sequence[Node],
    written: Mapping[str, FileNode],
    given: Setting | None,
    file: FileSettings,
    document: Document | None,
) -> dict[str, object]:
    """Return how each node is read: what was chosen and why, and what the sources need to know."""
    keys = {name: f"nodes[{number}]" for number, name in enumerate(written)}
    own_chains = {
        name: (f"{keys[name]}.chain", entry.chain)
        for name, entry in written.items()
        if entry.chain is not None
    }
    chain = resolve_chain(file.chain, own_chains, document)
    hosted = resolve_hosted(file.hosted, document)
    wish = _wish(file.sources, "sources", document) if given is None else given.parse(source_wish)
    choices: dict[str, tuple[Choice, ...]] = {}
    logs: dict[str, TrainingLog] = {}
    contracts = dict(chain.nodes)
    refused = file.chain is not None and file.chain.preset == NO_CHAIN
    for node in nodes:
        entry = written.get(node.name) or FileNode()
        key = keys.get(node.name, "")
        log = resolve_training_log(entry.log, node.folder, f"{key}.log", document)
        if log is not None:
            logs[node.name] = log
        known = Known(
            api_given=node.api_given,
            hosted=hosted is not None,
            coordinator=chain.of(node.name),
            network=chain.network,
            chain_refused=chain.of(node.name) is None and (node.name in chain.nodes or refused),
            log_given=log is not None and log.file is not None,
        )
        own = wish
        if given is None and entry.sources is not None:
            own = _wish(entry.sources, f"{key}.sources", document)
        choices[node.name], contracts[node.name] = choose(node, own, known)
    return {
        "choices": choices,
        "logs": logs,
        "hosted": hosted,
        "chain": Chain(network=chain.network, nodes=contracts),
        "leaderboard": resolve_leaderboard(file.leaderboard, document),
    }


def _wish(value: object, key: str, document: Document | None) -> Wish:
    if value is None or document is None:
        return Wish()
    base = document.path.parent
    return Setting(value, document.where(key), ConfigError, base, from_file=True).parse(source_wish)


def _variables(environ: Mapping[str, str]) -> tuple[Flags, list[str]]:
    """Read our SWARM_… variables, and warn of those that are nearly ours."""
    known = {f"SWARM_{n.upper()}": n for n in Flags.__struct_fields__ if n != "collector"}
    found: dict[str, str | tuple[str, ...]] = {}
    warnings = []
    for variable, value in sorted(environ.items()):
        name = known.get(variable)
        if name in _LISTS:
            found[name] = tuple(part for part in value.split(",") if part.strip())
        elif name is not None and value != "":
            found[name] = value
        elif variable.startswith("SWARM_") and name is None and variable not in _FOREIGN:
            near = difflib.get_close_matches(variable, known, 1, cutoff=0.85)
            if near:
                warnings.append(f"{variable} is not known; did you mean {near[0]}?")
    return Flags(**found), warnings  # type: ignore[arg-type]


def _given(layer: Flags, cwd: Path, name: str, error: type[ConfigError]) -> dict[str, Setting]:
    return {
        key: Setting(value, _name(key, name), error, cwd)
        for key in Flags.__struct_fields__
        if key not in _COMPOUND and (value := getattr(layer, key)) is not None
    }


def _given_in(file: FileSettings, document: Document) -> dict[str, Setting]:
    return {
        key: Setting(value, document.where(key), ConfigError, document.path.parent, from_file=True)
        for key in FileSettings.__struct_fields__
        if key not in _NOT_PLAIN and (value := getattr(file, key)) is not None
    }


def _list(key: str, flags: Flags, variables: Flags, cwd: Path) -> list[Setting]:
    by_flag, by_variable = getattr(flags, key), getattr(variables, key)
    if by_flag:
        return [Setting(value, _name(key, "--{}"), FlagError, cwd) for value in by_flag]
    return [Setting(value, _name(key, "SWARM_{}"), ConfigError, cwd) for value in by_variable]


def _name(key: str, form: str) -> str:
    """Return how a setting is called on the command line or in the environment."""
    return form.format(key.upper() if form.startswith("SWARM") else key.replace("_", "-"))


def _refuse_own_port(config: Config, listen: Setting | None) -> None:
    """Refuse a node's API address that is the exporter's own."""
    for node in config.nodes:
        if _is_at(node, config.listen_port):
            problem = f"port {config.listen_port} is the API of node {node.name}; give another"
            if listen is not None:
                raise listen.refused(problem)
            raise ConfigError(f"listen: {problem} with --listen")


def _is_at(node: Node, port: int) -> bool:
    parts = urlsplit(node.api)
    return parts.hostname in _LOOPBACK and parts.port == port
