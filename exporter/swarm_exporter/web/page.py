"""The status page: one HTML document, one style sheet, one script, all from this package.

The first status document is in the page, so that it is whole before any script has asked.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from swarm_exporter.status import StatusDocument

#: Nothing is loaded from elsewhere, and no script or style stands in the document itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_TYPES = {"style.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"}
_SLOT = b"{{status}}"
#: JSON stands in a script element: these could end it, begin something in it, or end a line.
_ESCAPES = {
    character.encode(): f"\\u{ord(character):04x}".encode() for character in "<>&\u2028\u2029"
}


def render_index(document: StatusDocument) -> bytes:
    """Return the page with `document` in it."""
    data = msgspec.json.encode(document)
    for character, escape in _ESCAPES.items():
        data = data.replace(character, escape)
    return _read("index.html").replace(_SLOT, data, 1)


def asset(name: str) -> tuple[bytes, str] | None:
    """Return content and content type of what the page loads, or None for any other name."""
    if name not in _TYPES:
        return None
    return _read(name), _TYPES[name]


@cache
def _read(name: str) -> bytes:
    return (files("swarm_exporter.web") / "page" / name).read_bytes()
