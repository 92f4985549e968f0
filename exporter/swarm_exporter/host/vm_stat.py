"""How macOS divides its memory, and what it compresses and swaps: `/usr/bin/vm_stat`.

The tool prints host_statistics64 (xnu, vm_statistics64) as text; widths and rows differ by release.
"""

from __future__ import annotations

import re

import msgspec

from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

_COMMAND = ("/usr/bin/vm_stat",)
_TIMEOUT = 2.0
_PAGE_SIZE = re.compile(r"\(page size of (\d{1,9}) bytes\)")
_ROW = re.compile(r'^"?([^":\n]+)"?:[ \t]+(\d{1,20})\.[ \t\r]*$', re.MULTILINE)
#: Terabytes of pages, and more than any counter reaches: a difference that fell below zero.
_MOST_PAGES = 2**31
_MOST_COUNTED = 2**63

#: Rows of pages that are there now, by the field they fill.
_STATES = {
    "free": "Pages free",
    "active": "Pages active",
    "inactive": "Pages inactive",
    "speculative": "Pages speculative",
    "wired": "Pages wired down",
    "purgeable": "Pages purgeable",
    "compressed": "Pages occupied by compressor",
    "stored_in_compressor": "Pages stored in compressor",
    "file_backed": "File-backed pages",
    "anonymous": "Anonymous pages",
}
#: Rows that count pages since the start of the machine.
_MOVED = {
    "pageins": "Pageins",
    "pageouts": "Pageouts",
    "swapins": "Swapins",
    "swapouts": "Swapouts",
}
#: Rows that count operations.
_DONE = {"compressions": "Compressions", "decompressions": "Decompressions"}


class VmStat(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of vm_stat. Sizes are bytes; what it does not tell is None."""

    page_size: int
    #: Without the speculative pages, which are free too once somebody needs them.
    free: int | None = None
    active: int | None = None
    inactive: int | None = None
    speculative: int | None = None
    wired: int | None = None
    purgeable: int | None = None
    #: What the compressor takes in memory.
    compressed: int | None = None
    #: What that was before it was compressed; a part of it may be swapped out.
    stored_in_compressor: int | None = None
    file_backed: int | None = None
    anonymous: int | None = None
    #: Bytes since the machine was started.
    pageins: int | None = None
    pageouts: int | None = None
    swapins: int | None = None
    swapouts: int | None = None
    #: Pages that were compressed and decompressed since the machine was started.
    compressions: int | None = None
    decompressions: int | None = None


def read_vm_stat(run: Run = run_tool) -> VmStat:
    """Return how the memory is divided now. Raises SourceError: as the tool does, or malformed."""
    return parse_vm_stat(run(_COMMAND, _TIMEOUT))


def parse_vm_stat(output: bytes) -> VmStat:
    """Read what vm_stat printed; a row that is missing costs its figure alone.

    Raises SourceError (malformed) without a page size, and where no row is known.
    """
    text = output.decode("ascii", "replace")
    header = _PAGE_SIZE.search(text)
    if header is None or int(header[1]) == 0:
        raise SourceError(Reason.MALFORMED, "vm_stat: it tells no page size")
    page = int(header[1])
    rows = {name: int(figure) for name, figure in _ROW.findall(text)}
    figures = {
        **_pick(rows, _STATES, page, _MOST_PAGES),
        **_pick(rows, _MOVED, page, _MOST_COUNTED),
        **_pick(rows, _DONE, 1, _MOST_COUNTED),
    }
    if not figures:
        raise SourceError(Reason.MALFORMED, "vm_stat: no row of it is known")
    return VmStat(page_size=page, **figures)


def _pick(rows: dict[str, int], names: dict[str, str], unit: int, most: int) -> dict[str, int]:
    return {
        field: rows[name] * unit for field, name in names.items() if rows.get(name, most) < most
    }
