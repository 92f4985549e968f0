"""A small, strict language for where something stands in JSON.

`data.peers[].stats.reward`: names are separated by dots, in quotes where they hold anything but
letters, digits, `_` and `-` (`a."b.c"`); `[2]` is the third of a list, `[]` each of a list, `*`
each value of an object, and `@key`, alone, the name under which `*` found a value.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

_LONGEST = 500


class PathError(ValueError):
    """A path that cannot be read, or that leads nowhere. The text is one phrase."""


class Name(msgspec.Struct, frozen=True):
    """The value under a name of an object."""

    name: str


class Index(msgspec.Struct, frozen=True):
    """One value of a list, counted from 0."""

    index: int


class EachOfList(msgspec.Struct, frozen=True):
    """Each value of a list."""


class EachOfObject(msgspec.Struct, frozen=True):
    """Each value of an object."""


Step = Name | Index | EachOfList | EachOfObject


class Path(msgspec.Struct, frozen=True):
    """A parsed path; `text` is how it was written."""

    text: str
    steps: tuple[Step, ...]
    #: True for `@key`: what is meant is the name, not a value.
    key: bool = False

    @property
    def several(self) -> bool:
        """True where it can lead to more than one value."""
        return any(isinstance(step, EachOfList | EachOfObject) for step in self.steps)

    @property
    def ends_in_each(self) -> bool:
        """True where its last step forks."""
        return bool(self.steps) and isinstance(self.steps[-1], EachOfList | EachOfObject)


class Missing(msgspec.Struct, frozen=True):
    """A path that ends early: the step that leads nowhere, and what stands there instead."""

    step: str
    problem: str


def parse_path(text: str) -> Path:
    """Parse a path. Raises PathError with the position, counted from 1, and what belongs there."""
    if len(text) > _LONGEST:
        raise PathError(f"is longer than {_LONGEST} characters")
    if text == "@key":
        return Path(text, (), key=True)
    return Path(text, tuple(_Parser(text).steps()))


def find(path: Path, root: object) -> object | Missing:
    """Return the one value that `path` leads to, or where it ends. The path must not fork."""
    value = root
    for step in path.steps:
        if isinstance(step, Name) and isinstance(value, dict) and step.name in value:
            value = value[step.name]
        elif isinstance(step, Index) and isinstance(value, list) and step.index < len(value):
            value = value[step.index]
        else:
            return why_missing(path, root)
    return value


def walk(path: Path, root: object) -> Iterator[tuple[str | None, object]]:
    """Yield each value that `path` leads to, with the name under which the last `*` found it."""
    yield from _walk(path.steps, root, None)


def why_missing(path: Path, root: object) -> Missing:
    """Return which step of `path` leads nowhere. Where it forks, that of the first branch."""
    value, so_far = root, ""
    for step in path.steps:
        so_far += _text(step, bool(so_far))
        values = list(_of_step(step, value, None))[:1]
        if not values:
            return Missing(so_far, _problem(step, value))
        ((_, value),) = values
    return Missing(so_far, "is there")


def type_name(value: object) -> str:
    """Return how JSON calls the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def _walk(
    steps: tuple[Step, ...], value: object, key: str | None
) -> Iterator[tuple[str | None, object]]:
    if not steps:
        yield key, value
        return
    for under, found in _of_step(steps[0], value, key):
        yield from _walk(steps[1:], found, under)


def _of_step(step: Step, value: object, key: str | None) -> Iterator[tuple[str | None, object]]:
    if isinstance(value, dict):
        if isinstance(step, Name) and step.name in value:
            yield key, value[step.name]
        elif isinstance(step, EachOfObject):
            yield from value.items()
    elif isinstance(value, list):
        if isinstance(step, Index) and step.index < len(value):
            yield key, value[step.index]
        elif isinstance(step, EachOfList):
            for each in value:
                yield key, each


def _problem(step: Step, value: object) -> str:
    if isinstance(step, Name):
        return "is not there" if isinstance(value, dict) else _instead(value, "an object")
    if isinstance(step, Index):
        if isinstance(value, list):
            return f"is not there: the list has {len(value)}"
        return _instead(value, "a list")
    if isinstance(step, EachOfList):
        hint = "; each value of an object is *" if isinstance(value, dict) else ""
        return "is empty" if value == [] else _instead(value, "a list") + hint
    hint = "; each value of a list is []" if isinstance(value, list) else ""
    return "is empty" if value == {} else _instead(value, "an object") + hint


def _instead(value: object, wanted: str) -> str:
    return f"needs {wanted}, but there is {type_name(value)}"


def _text(step: Step, after: bool) -> str:
    if isinstance(step, Index):
        return f"[{step.index}]"
    if isinstance(step, EachOfList):
        return "[]"
    dot = "." if after else ""
    if isinstance(step, EachOfObject):
        return f"{dot}*"
    if step.name and all(map(_plain, step.name)):
        return dot + step.name
    quoted = step.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{dot}"{quoted}"'


def _plain(character: str) -> bool:
    return character.isalnum() or character in "_-"


class _Parser:
    """Reads one path from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def steps(self) -> Iterator[Step]:
        if not self._text:
            raise PathError("is empty; write a name, as in reward")
        yield self._bracket() if self._next() == "[" else self._name()
        while self._at < len(self._text):
            if self._next() == "[":
                yield self._bracket()
            elif self._next() == ".":
                self._at += 1
                yield self._name()
            else:
                raise self._error("expected . or [")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _name(self) -> Step:
        if self._next() == "*":
            self._at += 1
            return EachOfObject()
        if self._next() == '"':
            return Name(self._quoted())
        begin = self._at
        while self._next() and _plain(self._next()):
            self._at += 1
        if self._at == begin:
            raise self._error("expected a name, * or a name in quotes")
        return Name(self._text[begin : self._at])

    def _quoted(self) -> str:
        opened = self._at
        self._at += 1
        name = ""
        while self._next() != '"':
            if self._next() == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\"):
                self._at += 1
            if not self._next():
                self._at = opened
                raise self._error("the quote is not closed")
            name += self._next()
            self._at += 1
        self._at += 1
        return name

    def _bracket(self) -> Step:
        close = self._text.find("]", self._at)
        inside = self._text[self._at + 1 : close]
        if close < 0:
            raise self._error("the [ is not closed")
        if inside and not (inside.isascii() and inside.isdecimal() and len(inside) < 10):
            self._at += 1
            raise self._error("expected a number or ] after [")
        self._at = close + 1
        return Index(int(inside)) if inside else EachOfList()

    def _error(self, problem: str) -> PathError:
        return PathError(f'"{self._text}": {problem} at character {self._at + 1}')
