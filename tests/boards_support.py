"""The boards as their JSON has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# It has no release for Python 3.10.
pytest.importorskip("grafana_foundation_sdk")

from boards.generate import BOARDS, board_json

ROOT = Path(__file__).parents[1]

__all__ = ["BOARDS", "ROOT", "board_json", "load", "panels", "queries"]


def load(name: str, language: str = "en") -> dict[str, Any]:
    return json.loads(board_json(name, language))


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows something, those in rows among them."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def queries(board: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel, target["expr"]
