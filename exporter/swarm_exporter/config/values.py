"""How single values are read. Each reader raises ValueError with one phrase that names the fix."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Formatter
from urllib.parse import urlsplit

from swarm_exporter.durations import format_duration, parse_duration
from swarm_exporter.identity import normalise_nickname, valid_peer_id

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SIZES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_LARGE_SIZES = _SIZES | {"tb": 10**12, "tib": 2**40}
_LARGEST_BODY = 2**30
_BASE58_ID = re.compile(r"12D3Koo[1-9A-HJ-NP-Za-km-z]{45}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED_LABELS = {"node", "peer_id", "nickname", "api", "reward_source", "profile"}
_RESERVED_LABELS |= {"instance", "job"}
_LONGEST_LABEL = 128
_NO_URL = "is no URL; write it as http://127.0.0.1:8000"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def duration(*, shortest: float) -> Callable[[object], float]:
    """Return a reader of durations in seconds, at least `shortest`."""

    def read(value: object) -> float:
        seconds = parse_duration(str(value))
        if seconds < shortest:
            raise ValueError(f"must be at least {format_duration(shortest)}")
        return seconds

    return read


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """Return a reader of whole numbers between two bounds."""

    def read(value: object) -> int:
        text = str(value).strip()
        if re.fullmatch(r"[+-]?\d{1,18}", text) is None:
            raise ValueError(f'"{text}" is no whole number')
        if not least <= int(text) <= most:
            raise ValueError(f"must be between {least} and {most}, not {int(text)}")
        return int(text)

    return read


def one_of(*known: str) -> Callable[[object], str]:
    """Return a reader of one of a few words."""

    def read(value: object) -> str:
        word = str(value).strip().lower()
        if word not in known:
            raise ValueError(f'must be {", ".join(known[:-1])} or {known[-1]}, not "{value}"')
        return word

    return read


def known_name(name: str, known: Iterable[str], what: str) -> str:
    """Return `name` where it is one of `known`. Raises ValueError that names the nearest."""
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise ValueError(f'no {what} is called "{name[:60]}"; {hint}')


def octal(value: object) -> int:
    """Read a umask: `077`, `0o022`."""
    match = re.fullmatch(r"(?:0o?)?([0-7]{1,3})", str(value).strip())
    if match is None:
        raise ValueError(f'"{value}" is no umask; write it in quotes, as "077"')
    return int(match[1], 8)


def command_line(value: object) -> tuple[str, ...]:
    """Read a command: a list of words, or one text with a shell's quotes (but no shell)."""
    if isinstance(value, list):
        words = [str(word) for word in value]
    else:
        try:
            words = shlex.split(str(value))
        except ValueError:
            raise ValueError("has an open quote; close it, or write the words as a list") from None
    if not words or not words[0]:
        raise ValueError("is empty; give the program and its arguments")
    return tuple(words)


def switch(value: object) -> bool:
    """Read true or false."""
    word = str(value).strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError(f'must be true or false, not "{value}"')


def size(value: object) -> int:
    """Read a size in bytes: `64MiB`, `10MB`, `1000000`."""
    match = re.fullmatch(r"(\d{1,12})\s*([a-z]*)", str(value).strip().lower())
    if match is None or match[2] not in _SIZES:
        raise ValueError(f'"{value}" is no size; write 64MiB, 10MB or a number of bytes')
    count = int(match[1]) * _SIZES[match[2]]
    if not 1024 <= count <= _LARGEST_BODY:
        raise ValueError("must be between 1KiB and 1GiB")
    return count


def size_of_anything(value: object) -> int:
    """Read any size in bytes, of memory or of a disk: `6.5GiB`, `500MB`, `0`."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)", str(value).strip().lower())
    if match is None or match[2] not in _LARGE_SIZES:
        raise ValueError(f'"{value}" is no size; write 6.5GiB, 500MB or a number of bytes')
    return round(float(match[1]) * _LARGE_SIZES[match[2]])


def address(value: object) -> tuple[str, int]:
    """Read `HOST:PORT`; an IPv6 host stands in brackets. Port 0 is any free one."""
    text = str(value).strip()
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]\s/]*)):(\d{1,6})", text)
    if match is None:
        raise ValueError(f'"{text}" is no address; write HOST:PORT, as in 127.0.0.1:10331')
    port = int(match[3])
    if port > 65_535:
        raise ValueError(f"port {port} is not between 0 and 65535")
    host = match[1] or match[2]
    if not host:
        raise ValueError(f"has no host; write 127.0.0.1:{port}, or 0.0.0.0:{port} for all")
    return host, port


def url(value: object) -> str:
    """Read the base address of a swarm API, without its trailing slash."""
    # What is refused is not shown: it may hold a password in an unexpected place.
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_NO_URL) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if not parts.hostname or re.search(r"[\s{}]", text) or port == 0 or "@" in parts.path:
        raise ValueError(_NO_URL)
    if parts.query or parts.fragment:
        raise ValueError("must end with its path: no ? and no #")
    return text.rstrip("/")


def template(value: object, fields: Mapping[str, object]) -> str:
    """Fill `{i}`, `{port}` and `{name}` in."""
    known = ", ".join(f"{{{name}}}" for name in fields)
    try:
        used = [name for _, name, _, _ in Formatter().parse(str(value)) if name is not None]
        if set(used) - set(fields):
            raise ValueError
        return str(value).format(**fields)
    except (ValueError, LookupError):
        raise ValueError(f"may hold {known} and no other brace") from None


def path(value: str, base: Path) -> Path:
    """Read a path: `~` is the home folder, a relative one is relative to `base`.

    Raises ValueError.
    """
    try:
        if "\0" in value:
            raise ValueError("holds a character that no path can have")
        return Path(os.path.normpath(base / Path(value).expanduser()))
    except RuntimeError:
        raise ValueError("names the home folder of an unknown user") from None


def peer_id(value: object) -> str:
    """Read a peer id: `Qm` and 44 characters (RSA), or `12D3Koo` and 45 (Ed25519)."""
    text = str(value).strip()
    if not valid_peer_id(text) and _BASE58_ID.fullmatch(text) is None:
        raise ValueError(f'"{text[:60]}" is no peer id; it is Qm and 44 letters and digits')
    return text


def nickname(value: object) -> str:
    """Read a nickname: three words; underscores may stand for the spaces."""
    text = normalise_nickname(str(value))
    if re.fullmatch(r"[a-z]+ [a-z]+ [a-z]+", text) is None or len(text) > 64:
        raise ValueError(f'"{str(value)[:60]}" is no nickname; it is three words')
    return text


def label(name: str, value: object) -> tuple[str, str]:
    """Read one label of a node."""
    if _LABEL.fullmatch(name) is None or name.startswith("__"):
        raise ValueError("a label's name is letters, digits and _, not beginning with a digit")
    if name in _RESERVED_LABELS:
        raise ValueError(f"the label \"{name}\" is the exporter's or Prometheus' own; rename it")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > _LONGEST_LABEL or not text.isprintable():
        raise ValueError(f"must be printable text of at most {_LONGEST_LABEL} characters")
    return name, text


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return where the state is kept unless something says otherwise."""
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "swarm-exporter"
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "swarm-exporter"
