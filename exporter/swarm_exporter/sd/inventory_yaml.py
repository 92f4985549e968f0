"""An Ansible inventory in YAML form, also as `ansible-inventory --list --yaml` writes it."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from swarm_exporter.errors import ConfigError
from swarm_exporter.sd.inventory import LABELS, VARIABLES, Inventory, Value

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 20


def read_yaml(text: str, file: str) -> Inventory:
    """Return the inventory. Raises ConfigError that names file, line and fix.

    Only groups and three variables are looked at: others may be encrypted (`!vault`).
    """
    inventory = Inventory(file=file)
    try:
        root = yaml.compose(text, _LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = error.problem or error.context or "no YAML"
        raise ConfigError(f"{file}{line}: not valid YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"{file}: not valid YAML") from None
    if root is not None:
        reader = _Reader(inventory)
        for name, group, _ in reader.mapping(root, "an inventory"):
            reader.group(name, group, 0)
    return inventory


class _Reader:
    """Reads nodes of the document into an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._scalars = yaml.SafeLoader("")
        #: Mappings whose merges are done; they live as long as the document.
        self._flat: set[int] = set()

    def group(self, name: str, node: yaml.Node, depth: int) -> None:
        group = self._inventory.group(name)
        if depth > _DEEPEST:
            raise ConfigError(f"{self.where(node)}: nested too deeply")
        for key, part, _ in self.mapping(node, f"the group {name}"):
            if key == "children":
                for child, below, _ in self.mapping(part, f"{name}.children"):
                    if child not in group.children:
                        group.children.append(child)
                    self.group(child, below, depth + 1)
            elif key == "vars":
                group.variables.update(self.variables(part, f"{name}.vars"))
            elif key == "hosts":
                for pattern, variables, where in self.mapping(part, f"{name}.hosts"):
                    found = self.variables(variables, pattern)
                    for host in self._inventory.add_host(name, pattern, where):
                        self._inventory.hosts[host].update(found)

    def variables(self, node: yaml.Node, what: str) -> dict[str, Value]:
        return {
            key: Value(self.labels(value) if key == LABELS else self.scalar(value), where)
            for key, value, where in self.mapping(node, what)
            if key in VARIABLES
        }

    def labels(self, node: yaml.Node) -> object:
        if not isinstance(node, yaml.MappingNode):
            return self.scalar(node)
        return {key: self.scalar(value) for key, value, _ in self.mapping(node, LABELS)}

    def scalar(self, node: yaml.Node) -> object:
        if not isinstance(node, yaml.ScalarNode):
            return None
        if not node.tag.startswith("tag:yaml.org"):
            raise ConfigError(
                f"{self.where(node)}: {node.tag} cannot be read here; let Ansible do it: "
                "ansible-inventory --list --yaml"
            )
        # Numbers stay numbers, and everything else the text that it is.
        kind = node.tag.rpartition(":")[2]
        if kind in ("int", "bool"):
            value: object = self._scalars.construct_object(node)
            return value
        return node.value

    def mapping(self, node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node, str]]:
        """Yield key, value and place of each entry; nothing where there is nothing."""
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{self.where(node)}: {what} must be keys with values")
        self._flatten(node)
        # What stands later replaces what was merged in before.
        yield from {
            key.value: (key.value, value, self.where(key)) for key, value in node.value
        }.values()

    def _flatten(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names in its place, once; before, no key may be there twice."""
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self.where(key)}: a key must be plain text")
            if key.value in seen and key.value != "<<":
                raise ConfigError(f"{self.where(key)}: {key.value} is given twice; remove one")
            seen.add(key.value)
        try:
            self._scalars.flatten_mapping(node)
        except (yaml.YAMLError, RecursionError):
            raise ConfigError(f"{self.where(node)}: << must name keys with values") from None

    def where(self, node: yaml.Node) -> str:
        return f"{self._inventory.file}:{node.start_mark.line + 1}"
