"""Draw the boards with Grafana's own components (`npm run build` first) from a Prometheus.

python grafana/preview/draw.py http://127.0.0.1:9090 FOLDER [now-1h]

Writes a picture of each board; exit code 1 and the reason where a panel cannot be drawn. The last
word is how much of the past is shown instead of what the board says.
"""

from __future__ import annotations

import functools
import http.server
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlencode

GRAFANA = Path(__file__).parents[1]
_WIDTH = 1600
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=15000",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def draw(prometheus: str, folder: Path, since: str | None, scrape: int | None = None) -> list[str]:
    """Draw each board; return what went wrong, one line each.

    `scrape` is from one sample to the next, seconds.
    """
    handler = functools.partial(_Quiet, directory=GRAFANA)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{server.server_address[1]}/preview/dist/index.html"
        problems = []
        for board in sorted((GRAFANA / "dashboards").glob("*.json")):
            asked = {"board": f"/dashboards/{board.name}", "prometheus": prometheus}
            if since is not None:
                asked["since"] = since
            if scrape is not None:
                asked["scrape"] = str(scrape)
            problems += _draw(f"{page}?{urlencode(asked)}", folder / f"{board.stem}.png")
        server.shutdown()
    return problems


def _draw(url: str, picture: Path) -> list[str]:
    document = _chromium("--dump-dom", url)
    depth = re.search(r'data-depth="(\d+)', document)
    if depth is None:
        return [f"{picture.stem}: the page is empty"]
    _chromium(f"--window-size={_WIDTH},{depth[1]}", f"--screenshot={picture}", url)
    panels = re.findall(r'data-panel="([^"]*)" data-state="(\w+)" data-error="([^"]*)"', document)
    return [
        f"{picture.stem}: {title}: {error or 'no answer'}"
        for title, state, error in panels
        if error or state != "done"
    ]


def _chromium(*arguments: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(  # noqa: S603
            ["chromium", *_FLAGS, f"--user-data-dir={profile}", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout


if __name__ == "__main__":
    found = draw(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
    print("\n".join(found))  # noqa: T201
    sys.exit(bool(found))
