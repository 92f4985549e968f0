"""Draw the pictures of the README and docs/boards.md: the status page and the boards of a demo.

python tests/real/pictures.py docs/pictures    (`make pictures` builds what it needs before)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "boards"), str(TESTS.parent / "grafana" / "preview")]

from draw import draw as draw_boards  # noqa: E402
from drawn import DRAWN, hashes  # noqa: E402

from support import (  # noqa: E402
    CHROMIUM_FLAGS,
    COMMAND,
    eventually,
    free_port,
    reachable,
    running,
)

#: At this speed a stage takes 3 s, and nodes stall and drop out every few minutes.
_SPEED = "200"
_SECONDS = 240


def draw(folder: Path) -> list[str]:
    """Write the pictures into `folder`; return what could not be drawn, one line each."""
    url = f"http://127.0.0.1:{free_port()}"
    demo = [*COMMAND, "demo", "--speed", _SPEED, "--listen", url.removeprefix("http://")]
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        with running(demo, log):
            eventually(lambda: reachable(f"{url}/-/ready"), "demo")
            prometheus = eventually(lambda: _prometheus(log), "Prometheus")
            time.sleep(_SECONDS)
            _draw_page(url, folder / "status-page.png", scratch)
            problems = draw_boards(prometheus, folder, f"now-{_SECONDS // 60}m")
    (folder / DRAWN).write_text(json.dumps(hashes(), indent=2) + "\n")
    return problems


def _prometheus(log: Path) -> str | None:
    lines = (line.split() for line in log.read_text().splitlines())
    return next((words[1] for words in lines if words[:1] == ["Prometheus"]), None)


def _draw_page(url: str, picture: Path, scratch: str) -> None:
    subprocess.run(
        [
            "chromium",
            *CHROMIUM_FLAGS,
            "--hide-scrollbars",
            "--window-size=1280,860",
            "--virtual-time-budget=1500",
            f"--user-data-dir={scratch}/profile",
            f"--screenshot={picture}",
            url,
        ],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    found = draw(target)
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit(bool(found))
