from __future__ import annotations

import threading

from support import eventually
from swarm_exporter.host.real_paths import RealPaths


def test_symbolic_links_are_resolved_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    asked = []

    def resolve(path: str) -> str:
        asked.append(path)
        return str((tmp_path / "link").resolve())

    paths = RealPaths(resolve)
    assert paths.of(tmp_path / "link") == paths.of(tmp_path / "link") == str(tmp_path / "real")
    assert len(asked) == 1


def test_a_folder_that_does_not_answer_keeps_nobody_waiting_but_once():
    release = threading.Event()

    def resolve(path: str) -> str:
        release.wait(30.0)
        return "/real"

    paths = RealPaths(resolve, wait=0.01)
    assert [paths.of("/gone/../folder") for _ in range(3)] == ["/folder"] * 3
    release.set()
    eventually(lambda: paths.of("/gone/../folder") == "/real", "an answer")
