"""The I/O registry of macOS as property lists: `ioreg -a`, Apple's own serialiser.

The text form is not read: it repeats names, sorts keys and nests figures in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.parsers.expat import ExpatError

from swarm_exporter.host.tool import Run
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: One object of the registry: its properties, and its children where they were asked for.
Entry = Mapping[str, Any]

_IOREG = "/usr/sbin/ioreg"
_TIMEOUT = 2.0
_CHILDREN = "IORegistryEntryChildren"
#: Characters that Apple's serialiser passes through and XML forbids.
_FORBIDDEN = bytes(code for code in range(0x20) if code not in b"\t\n\r")


def ask(run: Run, *arguments: str) -> tuple[Entry, ...]:
    """Return the objects that match; none where nothing does.

    Raises SourceError: as the tool does, or malformed.
    """
    command: Sequence[str] = (_IOREG, "-a", *arguments)
    return entries(run(command, _TIMEOUT))


def entries(output: bytes) -> tuple[Entry, ...]:
    """Return the outermost objects of what `ioreg -a` printed; it prints nothing without a match.

    Raises SourceError (malformed) where it is no whole property list of objects.
    """
    import plistlib

    text = output.translate(None, _FORBIDDEN).strip()
    if not text:
        return ()
    try:
        found = plistlib.loads(text, fmt=plistlib.FMT_XML)
    except ExpatError as error:
        raise SourceError(Reason.MALFORMED, f"ioreg: no whole XML: {error}") from None
    except (ValueError, TypeError, AttributeError, LookupError):
        # plistlib raises whatever comes first where the nesting or a value is wrong.
        raise SourceError(Reason.MALFORMED, "ioreg: no valid property list") from None
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise SourceError(Reason.MALFORMED, "ioreg: its answer is no list of objects")
    return tuple(found)


def walk(roots: Iterable[Entry]) -> Iterator[Entry]:
    """Return every object and all that is below it, in the registry's order."""
    waiting = list(roots)[::-1]
    while waiting:
        entry = waiting.pop()
        yield entry
        children = entry.get(_CHILDREN)
        if isinstance(children, list):
            waiting += [child for child in reversed(children) if isinstance(child, dict)]
