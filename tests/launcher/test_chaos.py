"""Whatever is killed, and whatever is asked for meanwhile: nothing runs twice, nothing is left."""

from __future__ import annotations

import contextlib
import random
import time

import psutil
import pytest

from launcher_support import LaunchedNodes
from swarm_exporter.errors import SwarmExporterError

SETTINGS = """
launcher:
  ramp_interval: 50ms
  look_interval: 200ms
  restart: {first_delay: 200ms, longest_delay: 1s, attempts: 1000}
  profile: ./profile.yml
"""
PROFILE = """
title: a test's trainer
command: [bash, -c, 'sleep 901 & setsid sleep 902 & echo joined; while sleep 0.2; do echo round; done']
ready: {pattern: joined}
stop: {grace: 1s}
need: {memory: 1MiB, tuned_memory: 1MiB, disk: 1MiB}
torch: false
"""
DEEDS = 15


@pytest.mark.parametrize("seed", [1, 2])
def test_in_the_end_every_node_runs_once_and_after_a_stop_nothing_is_left(tmp_path, seed):
    throw = random.Random(seed)  # noqa: S311 - a game, nothing secret
    nodes = LaunchedNodes(tmp_path)
    (tmp_path / "profile.yml").write_text(PROFILE)
    config = nodes.configure(SETTINGS, nodes=3)
    deeds = {
        "launch": lambda: nodes.launch(config),
        "stop one": lambda: nodes.launcher.stop(["2"]),
        "restart": lambda: nodes.launcher.restart(["1", "3"]),
        "kill any": lambda: kill(throw, nodes.processes()),
        "kill supervisord": lambda: kill(throw, nodes.processes(), "supervisor.supervisord"),
        "kill the policy": lambda: kill(
            throw, nodes.processes(), "swarm_exporter.launcher.listener"
        ),
        "kill a runner": lambda: kill(throw, nodes.processes(), "swarm_exporter.launcher.runner"),
    }
    try:
        nodes.launch(config)
        for _ in range(DEEDS):
            deed = throw.choice(list(deeds))
            # Who asks while the supervisor is dead gets an error, and nothing else happens.
            with contextlib.suppress(SwarmExporterError, psutil.Error):
                deeds[deed]()
            assert all(len(copies) == 1 for copies in commands(nodes).values()), deed
            time.sleep(throw.choice([0.0, 0.1, 0.5]))
        nodes.launch(config)
        # A restart that was asked for may still be under way.
        nodes.until(
            lambda state: (
                all(state.nodes[n].state == "running" for n in "123")
                and [len(copies) for copies in commands(nodes).values()] == [1, 1, 1]
            ),
            "three nodes that run",
            60,
        )
        nodes.launcher.stop(None)
        assert nodes.processes() == []
    finally:
        nodes.end_by_force()


def kill(throw: random.Random, processes: list[psutil.Process], word: str = "") -> None:
    chosen = [p for p in processes if not word or word in p.cmdline()]
    if chosen:
        throw.choice(chosen).kill()


def commands(nodes: LaunchedNodes) -> dict[str, list[int]]:
    """The nodes' commands that run, by folder."""
    found: dict[str, list[int]] = {}
    for process in nodes.processes():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if words[:2] == ["bash", "-c"] and "joined" in words[2]:
                found.setdefault(process.cwd(), []).append(process.pid)
    return found
