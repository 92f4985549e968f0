"""Whether docs/pictures shows the boards as they are; exit code 1 where it does not."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What the boards were when they were drawn, written by tests/real/pictures.py.
DRAWN = "drawn.json"


def hashes() -> dict[str, str]:
    """Return the SHA-256 of each board and of what draws it."""
    grafana = ROOT / "grafana"
    files = [*(grafana / "dashboards").glob("*.json"), *(grafana / "preview" / "src").iterdir()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


if __name__ == "__main__":
    sys.exit(json.loads((ROOT / "docs" / "pictures" / DRAWN).read_bytes()) != hashes())
