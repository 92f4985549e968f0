"""New values for keys of a YAML file, while every other byte of it stays.

Facts: PyYAML's marks are positions in the text; YAML 1.1, as PyYAML, OmegaConf and Hydra read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import yaml

from swarm_exporter.config.launcher import Scalar

_BY_HAND = "set it by hand"


class Edited(NamedTuple):
    """The text after the change, and a phrase for each key that could not be set."""

    text: str
    skipped: tuple[str, ...]


class _SkippedError(Exception):
    """A key that cannot be set; the text says why, and what to do."""


def set_values(text: str, values: Mapping[str, Scalar]) -> Edited:
    """Return `text` with the dotted keys set. A key that has its value already changes nothing.

    A missing key is added where the keys above it are there. Raises ValueError where the text is
    no YAML document.
    """
    skipped = []
    for key, value in values.items():
        text, problem = _set_or_skip(text, key, value)
        if problem is not None:
            skipped.append(f"{key}: {problem}")
    return Edited(text, tuple(skipped))


def scalar_text(value: Scalar, style: str | None = None) -> str:
    """Return a value as YAML 1.1 writes it on one line; `style` is the quote a text may have."""
    if not isinstance(value, str):
        style = None
    elif style not in ("'", '"') or not value.isprintable():
        style = '"'
    written: str = yaml.safe_dump(
        value, default_style=style, allow_unicode=True, width=2**31, line_break="\n"
    )
    return written.removesuffix("\n").removesuffix("\n...")


def _set_or_skip(text: str, key: str, value: Scalar) -> tuple[str, str | None]:
    try:
        return _set(text, key, value), None
    except _SkippedError as problem:
        return text, str(problem)


def _set(text: str, key: str, value: Scalar) -> str:
    root, content = _parse(text)
    path = key.split(".")
    wanted = _with(content, path, value)
    if wanted is content:
        return text
    new = _edited(text, root, path, value)
    # Whatever unusual YAML the file holds: the result says what it should, or nothing is changed.
    try:
        if _parse(new)[1] == wanted:
            return new
    except ValueError:
        pass
    raise _SkippedError(f"is written in a way that cannot be changed safely; {_BY_HAND}")


def _parse(text: str) -> tuple[yaml.Node | None, object]:
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"is not valid YAML{line}") from None
    finally:
        loader.dispose()


def _with(content: object, path: list[str], value: Scalar) -> object:
    """Return the content with the key set, or the content itself where it is set already."""
    if not isinstance(content, dict):
        raise _SkippedError(f"the keys above it are missing; {_BY_HAND}")
    name, below = path[0], path[1:]
    if below:
        if name not in content:
            raise _SkippedError(f"the keys above it are missing; {_BY_HAND}")
        new = _with(content[name], below, value)
        return content if new is content[name] else {**content, name: new}
    old = content.get(name)
    if name in content and old == value and isinstance(old, bool) == isinstance(value, bool):
        return content
    return {**content, name: value}


def _edited(text: str, node: yaml.Node | None, path: list[str], value: Scalar) -> str:
    above: yaml.Node | None = None
    for name in path:
        if not isinstance(node, yaml.MappingNode):
            raise _SkippedError(f"the keys above it are missing; {_BY_HAND}")
        pair = next((p for p in reversed(node.value) if p[0].value == name), None)
        if pair is None:
            return _inserted(text, node, above, name, value)
        above, node = pair
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        raise _SkippedError(f"holds more than one simple value; {_BY_HAND}")
    start: int = node.start_mark.index
    end: int = node.end_mark.index
    if above is not None and start < above.end_mark.index:
        raise _SkippedError(f"is an alias of another value; {_BY_HAND}")
    if text[start : start + 1] in ("&", "!"):
        raise _SkippedError(f"has an anchor or a tag; {_BY_HAND}")
    new = scalar_text(value, node.style)
    if start == end and text[start - 1] == ":":
        new = f" {new}"
    return text[:start] + new + text[end:]


def _inserted(
    text: str, node: yaml.MappingNode, above: yaml.Node | None, name: str, value: Scalar
) -> str:
    """Add a key to a mapping: right below the key above it, or first in the document."""
    if node.flow_style or not node.value:
        raise _SkippedError(f"is missing, and the keys beside it stand on one line; {_BY_HAND}")
    first = node.value[0][0].start_mark
    line_break = "\r\n" if "\r\n" in text else "\n"
    indent = " " * first.column
    new = f"{name}: {scalar_text(value)}{line_break}"
    if above is None:
        return _with_inserted(text, first.index, new + indent)
    if first.line <= above.end_mark.line:
        raise _SkippedError(f"is missing, and the keys beside it stand on one line; {_BY_HAND}")
    return _with_inserted(text, text.index("\n", above.end_mark.index) + 1, indent + new)


def _with_inserted(text: str, place: int, new: str) -> str:
    return text[:place] + new + text[place:]
