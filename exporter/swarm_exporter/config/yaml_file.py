"""A YAML file as plain objects that know their lines, and type errors as sentences."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from swarm_exporter.errors import ConfigError

T = TypeVar("T")

_LARGEST_BYTES = 1024 * 1024
_DEEPEST = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What msgspec says, and where: "Expected `int`, got `str` - at `$.nodes[0].port`".
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_TYPES = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<found>[^`]*)`")
_NAMES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "keys with values",
}


class Document:
    """One file: its content as plain objects, and the line of each key."""

    def __init__(self, path: Path, name: str) -> None:
        """Read and parse `path`, called `name` in messages. Raises ConfigError with the line."""
        self.path = path
        self._name = name
        self._lines: dict[str, int] = {}
        self.content = self._read()

    def convert(self, type_: type[T]) -> T:
        """Return the content as `type_`. Raises ConfigError with line, key and the fix."""
        try:
            return msgspec.convert(self.content, type_)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), type_) from None

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the error that says what is wrong with `key` (`nodes[0].port`), with its line."""
        return ConfigError(f"{self.where(key)}: {problem}")

    def where(self, key: str) -> str:
        """Return file, line and key for a message."""
        line = self._lines.get(key) or self._lines.get(key.rpartition(".")[0])
        place = f"{self._name}:{line}" if line is not None else self._name
        return f"{place}: {key}" if key else place

    def _read(self) -> object:
        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST_BYTES + 1)
        except OSError as error:
            what = (error.strerror or type(error).__name__).lower()
            raise ConfigError(f"{self._name}: {what}; correct --config") from None
        if len(data) > _LARGEST_BYTES:
            raise ConfigError(f"{self._name}: larger than 1 MiB, which is no configuration")
        try:
            root = yaml.compose(data.decode(), _LOADER)
        except UnicodeDecodeError:
            raise ConfigError(f"{self._name}: not UTF-8 text; save it as UTF-8") from None
        except RecursionError:
            raise ConfigError(f"{self._name}: nested too deeply") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark is not None else ""
            problem = error.problem or error.context or "no YAML"
            raise ConfigError(f"{self._name}{line}: not valid YAML: {problem}") from None
        except yaml.YAMLError as error:
            first = str(error).splitlines()[0]
            raise ConfigError(f"{self._name}: not valid YAML: {first}") from None
        return {} if root is None else self._build(root, "", 0)

    def _build(self, node: yaml.Node, key: str, depth: int) -> object:
        line = node.start_mark.line + 1
        self._lines.setdefault(key, line)
        if depth > _DEEPEST:
            raise ConfigError(f"{self._name}:{line}: nested too deeply")
        if isinstance(node, yaml.SequenceNode):
            return [
                self._build(item, f"{key}[{number}]", depth + 1)
                for number, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, key, depth)
        try:
            return _scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError):
            raise ConfigError(f"{self._name}:{line}: {key}: cannot be read as a value") from None

    def _build_mapping(self, node: yaml.MappingNode, key: str, depth: int) -> dict[str, object]:
        content: dict[str, object] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode) or name_node.value == "<<":
                raise ConfigError(f"{self._name}:{line}: a key must be plain text")
            name = name_node.value
            path = f"{key}.{name}" if key else name
            if name in content:
                raise ConfigError(f"{self._name}:{line}: {path}: given twice; remove one")
            self._lines[path] = line
            content[name] = self._build(value_node, path, depth + 1)
        return content

    def _explain(self, problem: str, type_: type[Any]) -> ConfigError:
        match = _PROBLEM.match(problem)
        assert match is not None  # noqa: S101 - the pattern takes any text
        path = (match["path"] or "").removeprefix(".")
        unknown = _UNKNOWN.fullmatch(match["what"])
        if unknown is not None:
            key = unknown["key"]
            full = f"{path}.{key}" if path else key
            return self.error(full, f"unknown key{_nearest(key, _keys_at(type_, path))}")
        types = _TYPES.search(match["what"])
        if types is None:
            return self.error(path, match["what"][:1].lower() + match["what"][1:])
        wanted = [_NAMES.get(name, name) for name in types["wanted"].split(" | ") if name != "null"]
        found = types["found"]
        hint = '; put it in quotes: "no", "yes"' if found == "bool" and "text" in wanted else ""
        found_name = _NAMES.get(found, found)
        if not path:
            return ConfigError(
                f"{self._name}: holds {found_name}, but must hold keys like `nodes:`"
            )
        return self.error(path, f"must be {' or '.join(wanted)}, not {found_name}{hint}")


_scalars = yaml.SafeLoader("")


def _keys_at(type_: type[Any], path: str) -> list[str]:
    """Return the keys that are known at a path of the document."""
    for name in re.findall(r"[^.\[\]]+", re.sub(r"\[[^\]]*\]", "", path)):
        hint = next(f.type for f in msgspec.structs.fields(type_) if f.encode_name == name)
        type_ = next(
            t for t in _parts(hint) if isinstance(t, type) and issubclass(t, msgspec.Struct)
        )
    return [field.encode_name for field in msgspec.structs.fields(type_)]


def _parts(hint: Any) -> list[Any]:  # noqa: ANN401 - a type hint of any form
    inner = getattr(hint, "__args__", ())
    return [hint, *(part for argument in inner for part in _parts(argument))]


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return "; known are " + ", ".join(known)
