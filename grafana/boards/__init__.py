"""The Grafana boards, one file each; `make boards` writes their JSON."""

from __future__ import annotations

from boards import exporter, fleet, machine, node, swarm
from boards.texts import Language

_BOARDS = (swarm, node, machine, fleet, exporter)


def boards(language: Language) -> dict[str, str]:
    """Return the JSON of every board by its uid, which is its file's name as well."""
    sheets = (module.board(language) for module in _BOARDS)
    return {sheet.uid: sheet.as_json() for sheet in sheets}
