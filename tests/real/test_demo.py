"""The demo as a person plays with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import httpx
import psutil
import pytest

from support import COMMAND, eventually, free_port, reachable

pytestmark = pytest.mark.real


def test_a_node_that_is_killed_by_hand_returns_and_nothing_is_left_at_the_end(tmp_path):
    url = f"http://127.0.0.1:{(port := free_port())}"
    demo = subprocess.Popen(
        [
            *COMMAND,
            "demo",
            "--no-stack",
            "--instances",
            "3",
            "--speed",
            "100",
            "--listen",
            f"127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        eventually(lambda: reachable(f"{url}/-/ready"), "an answer")
        eventually(lambda: conditions(url).count("earning") == 3, "three nodes that earn")
        trainer = next(p for p in trainers(tmp_path) if p.cmdline()[-1] == "2")
        trainer.kill()
        eventually(lambda: conditions(url)[1] == "down", "its end in the table")
        eventually(lambda: process(url, 1)["restarts"].get("killed") == 1, "its restart")
        eventually(lambda: conditions(url)[1] in ("earning", "training", "unknown"), "its return")
        eventually(lambda: process(url, 1)["state"] == "running", "the launcher's word for it")
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    assert trainers(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == []


def conditions(url: str) -> list[str]:
    return [node["condition"] for node in httpx.get(f"{url}/api/status").json()["nodes"]]


def process(url: str, number: int) -> dict:
    return httpx.get(f"{url}/api/status").json()["nodes"][number]["process"]


def trainers(folder) -> list[psutil.Process]:
    """The demo's processes: their folders are below its own."""
    found = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words, place = candidate.cmdline(), candidate.cwd()
            if place.startswith(str(folder)) and "swarm_exporter.demo.trainer" in words:
                found.append(candidate)
    return found
