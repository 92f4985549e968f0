"""Draw the pictures of the README and docs/boards.md: a demo's status page, and the boards.

python tests/real/pictures.py docs/pictures    (`make pictures` builds what it needs before)
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [
    str(TESTS),
    str(TESTS / "real"),
    str(TESTS / "boards"),
    str(TESTS.parent / "grafana" / "preview"),
]

from draw import draw as draw_boards  # noqa: E402
from drawn import DRAWN, hashes  # noqa: E402
from history import STEP_SECONDS, openmetrics  # noqa: E402

from support import (  # noqa: E402
    CHROMIUM_FLAGS,
    COMMAND,
    ROOT,
    eventually,
    free_port,
    reachable,
    running,
)

#: At this speed a stage takes 3 s; after so long node 2 has stalled and node 3 earns.
_SPEED = "200"
_SECONDS = 30.0
#: How much of the past the boards show; two of them begin a day ago.
_HOURS = 30.0


def draw(folder: Path) -> list[str]:
    """Write the pictures into `folder`; return what could not be drawn, one line each."""
    with tempfile.TemporaryDirectory() as scratch:
        _draw_page(folder / "status-page.png", Path(scratch))
        with _past(Path(scratch)) as prometheus:
            problems = draw_boards(prometheus, folder, None, STEP_SECONDS)
    (folder / DRAWN).write_text(json.dumps(hashes(), indent=2) + "\n")
    return problems


@contextlib.contextmanager
def _past(folder: Path) -> Iterator[str]:
    """A Prometheus that has scraped three nodes for two days, and applied the rules to them."""
    now = time.time()
    (folder / "history.om").write_text(openmetrics(now, _HOURS))
    blocks = ["promtool", "tsdb", "create-blocks-from"]
    subprocess.run(
        [*blocks, "openmetrics", "history.om", "data"], cwd=folder, check=True, capture_output=True
    )
    with _server(folder, "") as url:
        rules = sorted(
            str(path) for path in (ROOT / "prometheus" / "rules").glob("recording-*.yml")
        )
        begin, end = (f"{moment:.0f}" for moment in (now - _HOURS * 3600, now))
        command = [*blocks, "rules", f"--start={begin}", f"--end={end}", f"--url={url}"]
        subprocess.run(
            [*command, "--eval-interval=60s", "--output-dir=data", *rules],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    with _server(folder, f"rule_files: ['{ROOT}/prometheus/rules/*.yml']\n") as url:
        yield url


@contextlib.contextmanager
def _server(folder: Path, config: str) -> Iterator[str]:
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"]
    with running(command, folder / "prometheus.log", cwd=folder):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: reachable(f"{url}/-/ready"), "Prometheus")
        yield url


def _draw_page(picture: Path, scratch: Path) -> None:
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
    with running(demo, scratch / "log"):
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
                f"--screenshot={picture}",
                url,
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    # The swarm's nodes drop out now and then: that is no news here.
    logging.disable(logging.WARNING)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    found = draw(target)
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit(bool(found))
