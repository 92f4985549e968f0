"""Write every board as JSON: `python grafana/boards/generate.py [DIR]`.

SWARM_BOARD_LANG=zh writes them in Chinese, else in English.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from boards import exporter, fleet, machine, node, swarm
from boards.kit import SCHEMA_VERSION, Kit

BOARDS = {
    "swarm": swarm.board,
    "node": node.board,
    "machine": machine.board,
    "fleet": fleet.board,
    "exporter": exporter.board,
}


def board_json(name: str, language: str) -> str:
    """Return one board as Grafana imports it."""
    encoded = json.loads(JSONEncoder().encode(BOARDS[name](Kit(language)).build()))
    encoded["schemaVersion"] = SCHEMA_VERSION
    for number, panel in enumerate(_panels(encoded["panels"]), 1):
        panel["id"] = number
    return json.dumps(encoded, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(folder: Path, language: str) -> None:
    """Write all boards into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in BOARDS:
        (folder / f"{name}.json").write_text(board_json(name, language), encoding="utf-8")


def _panels(panels: list[dict[str, object]]) -> list[dict[str, object]]:
    found = []
    for panel in panels:
        found.append(panel)
        inner = panel.get("panels")
        if isinstance(inner, list):
            found += inner
    return found


if __name__ == "__main__":
    language = os.environ.get("SWARM_BOARD_LANG", "en")
    home = Path(__file__).parents[1] / "dashboards"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else home / language
    write(target, language)
