"""Write the boards as JSON: `python -m boards FOLDER`, in the language of SWARM_BOARD_LANG."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from boards import boards
from boards.texts import Language


def main(folder: Path, language: Language) -> None:
    """Write each board into `folder`, and take away what is no board any more."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {f"{name}.json": text for name, text in boards(language).items()}
    for old in folder.glob("*.json"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Language(os.environ.get("SWARM_BOARD_LANG", "en")))
