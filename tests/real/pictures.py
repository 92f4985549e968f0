"""Draw the README's picture: the status page of a demo that has run for a while, in Chromium.

python tests/real/pictures.py docs/
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from support import CHROMIUM_FLAGS, COMMAND, eventually, free_port, reachable, running  # noqa: E402

#: At this speed a stage takes 3 s; after so long node 2 has stalled and node 3 earns.
_SPEED = "200"
_SECONDS = 30.0


def draw(folder: Path) -> None:
    """Write `status-page.png` into `folder`."""
    url = f"http://127.0.0.1:{free_port()}"
    demo = [
        *COMMAND,
        "demo",
        "--no-stack",
        "--speed",
        _SPEED,
        "--listen",
        url.removeprefix("http://"),
    ]
    with tempfile.TemporaryDirectory() as scratch, running(demo, Path(scratch) / "log"):
        eventually(lambda: reachable(f"{url}/-/ready"), "demo")
        time.sleep(_SECONDS)
        subprocess.run(
            [
                "chromium",
                *CHROMIUM_FLAGS,
                "--hide-scrollbars",
                "--window-size=1280,860",
                "--virtual-time-budget=1500",
                f"--user-data-dir={scratch}/profile",
                f"--screenshot={folder / 'status-page.png'}",
                url,
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
