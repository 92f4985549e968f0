"""Names, folders, addresses and identities of the nodes, from a file, templates and flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from swarm_exporter.addresses import redact_url
from swarm_exporter.config import values
from swarm_exporter.config.setting import Setting
from swarm_exporter.config.settings import FileNode
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError
from swarm_exporter.model import Node

FIRST_API_PORT = 3000
#: Where the folders of numbered nodes are looked for.
_FOLDERS = ("rl-swarm-{i}", "rl-swarm-instance-{i}")


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are numbered and named beyond what the file says of each."""

    instances: Setting | None
    api_port: Setting | None
    api_url: Setting | None
    folder: Setting | None
    peer_ids: Sequence[Setting]
    nicknames: Sequence[Setting]
    #: Where the default folders are looked for.
    cwd: Path


class _Draft(msgspec.Struct, frozen=True):
    """One node, and where each of its values was given."""

    node: Node
    origins: dict[str, Setting]
    #: True where the address was given as a URL, so that another node may have it as well.
    shares: bool


def resolve_nodes(
    file_nodes: Sequence[FileNode], document: Document | None, naming: Naming
) -> tuple[Node, ...]:
    """Return the nodes. Raises ConfigError, also where two of them are the same."""
    count = _count(file_nodes, naming)
    for given, flag in ((naming.peer_ids, "peer ids"), (naming.nicknames, "nicknames")):
        if len(given) > count:
            raise given[count].refused(
                f"{len(given)} {flag} for {count} node{'s' * (count > 1)}; give --instances"
            )
    drafts = []
    for index in range(count):
        written = file_nodes[index] if index < len(file_nodes) else FileNode()
        drafts.append(_draft(index, written, document, naming))
    for key, fix in (
        ("name", "give each node its own name"),
        ("peer_id", "each node is a peer of its own"),
        ("nickname", "each node is a peer of its own"),
        ("identity_file", "each node needs an identity of its own"),
    ):
        _refuse_twins(drafts, key, fix)
    _refuse_shared_ports(drafts)
    return tuple(draft.node for draft in drafts)


def _count(file_nodes: Sequence[FileNode], naming: Naming) -> int:
    if naming.instances is None:
        return len(file_nodes) or 1
    count = naming.instances.parse(values.whole_number(1, 10_000))
    if naming.instances.from_file and count < len(file_nodes):
        raise naming.instances.refused(f"is {count}, but `nodes` has {len(file_nodes)}")
    return count


def _draft(index: int, written: FileNode, document: Document | None, naming: Naming) -> _Draft:
    origins: dict[str, Setting] = {}
    base = document.path.parent if document is not None else naming.cwd

    def given(key: str) -> Setting | None:
        """Return a value of this node's own entry in the file."""
        value = getattr(written, key)
        if value is None or document is None:
            return None
        where = document.where(f"nodes[{index}].{key}")
        origins[key] = Setting(value, where, ConfigError, base, from_file=True)
        return origins[key]

    named = given("name")
    name = named.parse(_name) if named is not None else str(index + 1)
    numbered = document.where("nodes") if document is not None else "nodes"
    origins.setdefault("name", Setting(name, numbered, ConfigError, base))
    if naming.api_port is not None:
        first_port = naming.api_port.parse(values.whole_number(1, 65_535))
    else:
        first_port = FIRST_API_PORT
    fields = {"i": index + 1, "port": first_port + index, "name": name}
    identity = _identity(index, given, naming, origins)
    identity_file = given("identity_file")
    api, shares = _api(given, naming, fields)
    node = Node(
        name=name,
        api=api,
        api_given=shares or naming.api_port is not None or given("port") is not None,
        folder=_folder(given("folder"), naming, fields),
        identity_file=_path(identity_file) if identity_file is not None else None,
        labels=_labels(index, written, document),
        **identity,
    )
    return _Draft(node, origins, shares)


def _name(value: object) -> str:
    text = str(value).strip()
    if not text or len(text) > 64 or not text.isprintable():
        raise ValueError("must be 1 to 64 printable characters")
    return text


def _api(
    given: Callable[[str], Setting | None], naming: Naming, fields: dict[str, object]
) -> tuple[str, bool]:
    """Return a node's address, and whether it was given as a URL.

    Flags and variables decide for every node, then the node's entry, then the file's rule.
    """
    url, port = naming.api_url, naming.api_port
    api, own_port = given("api"), given("port")
    overriding = (url is not None and not url.from_file) or (
        port is not None and not port.from_file
    )
    if not overriding:
        if api is not None and own_port is not None:
            raise own_port.refused("give `api` or `port`, not both")
        if api is not None:
            return api.parse(values.url), True
        if own_port is not None:
            return f"http://127.0.0.1:{own_port.parse(values.whole_number(1, 65_535))}", False
    rule = url if url is not None and (not overriding or not url.from_file) else None
    if rule is not None:
        return rule.parse(lambda value: values.url(values.template(value, fields))), True
    number = fields["port"]
    if naming.api_port is not None and int(str(number)) > 65_535:
        raise naming.api_port.refused(f"the last node's port would be {number}")
    return f"http://127.0.0.1:{number}", False


def _folder(own: Setting | None, naming: Naming, fields: dict[str, object]) -> Path | None:
    rule = naming.folder
    if own is not None and (rule is None or rule.from_file):
        return _path(own)
    if rule is not None:
        filled = rule.parse(lambda value: values.template(value, fields))
        return rule.parse(lambda _: values.path(filled, rule.base))
    candidates = (naming.cwd / folder.format(**fields) for folder in _FOLDERS)
    return next((folder for folder in candidates if folder.is_dir()), None)


def _identity(
    index: int,
    given: Callable[[str], Setting | None],
    naming: Naming,
    origins: dict[str, Setting],
) -> dict[str, str]:
    """What a flag or variable says of a node's identity replaces all that the file says of it."""
    over = {}
    if index < len(naming.peer_ids):
        over["peer_id"] = naming.peer_ids[index]
    if index < len(naming.nicknames):
        over["nickname"] = naming.nicknames[index]
    if over:
        origins.update(over)
    else:
        over = {key: s for key in ("peer_id", "nickname") if (s := given(key)) is not None}
    parsers = {"peer_id": values.peer_id, "nickname": values.nickname}
    return {key: setting.parse(parsers[key]) for key, setting in over.items()}


def _labels(index: int, written: FileNode, document: Document | None) -> dict[str, str]:
    labels = {}
    for name, value in written.labels.items():
        try:
            key, text = values.label(name, value)
        except ValueError as problem:
            assert document is not None  # noqa: S101 - labels come from a file alone
            raise document.error(f"nodes[{index}].labels.{name}", str(problem)) from None
        labels[key] = text
    return labels


def _path(setting: Setting) -> Path:
    return setting.parse(lambda value: values.path(str(value), setting.base))


def _refuse_twins(drafts: Sequence[_Draft], key: str, fix: str) -> None:
    first: dict[object, _Draft] = {}
    for draft in drafts:
        origin = draft.origins.get(key)
        value = getattr(draft.node, key)
        if value is None or origin is None:
            continue
        if value in first:
            other = first[value].node.name
            raise origin.refused(f"{key} {value} is that of node {other} already; {fix}")
        first[value] = draft


def _refuse_shared_ports(drafts: Sequence[_Draft]) -> None:
    """Refuse two nodes at one address, unless both were given it as a URL: that is meant."""
    first: dict[str, _Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.node.api, draft)
        if other is draft or (other.shares and draft.shares):
            continue
        place = draft.origins.get("port") or other.origins.get("port") or draft.origins["name"]
        raise place.refused(
            f"nodes {other.node.name} and {draft.node.name} are both at "
            f"{redact_url(draft.node.api)}; to share one API, give both the same `api` URL"
        )
