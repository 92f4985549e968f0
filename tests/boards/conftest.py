"""Real servers with data on them: the demo, Prometheus that scrapes it, and VictoriaMetrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from board_support import Server
from support import COMMAND, ROOT, eventually, free_port, reachable, running

#: So much of the past the boards get to see.
_SAMPLES = 15


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo with three nodes and several stages a second."""
    address = f"127.0.0.1:{free_port()}"
    log = tmp_path_factory.mktemp("demo") / "log"
    command = [
        *COMMAND,
        "demo",
        "--no-stack",
        "--instances",
        "3",
        "--speed",
        "600",
        "--listen",
        address,
    ]
    with running(command, log):
        eventually(lambda: reachable(f"http://{address}/-/ready"), "demo")
        yield address


@pytest.fixture(scope="session")
def victoria(real_binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A VictoriaMetrics without data, which shows what it gets at once."""
    folder: Path = tmp_path_factory.mktemp("victoria")
    address = f"127.0.0.1:{free_port()}"
    command = [
        real_binary("victoria-metrics"),
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={address}",
        "-search.latencyOffset=1s",
    ]
    with running(command, folder / "log"):
        eventually(lambda: reachable(f"http://{address}/health"), "VictoriaMetrics")
        yield f"http://{address}"


@pytest.fixture(scope="session")
def prometheus(
    demo: str, real_binary, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A Prometheus that scrapes the demo, applies the project's rules, and hands all of it on."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules" / "*.yml")],
        "scrape_configs": [{"job_name": "swarm", "static_configs": [{"targets": [demo]}]}],
        "remote_write": [
            {"url": f"{request.getfixturevalue('victoria')}/api/v1/write"},
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules").mkdir()
    for file in (ROOT / "prometheus" / "rules").glob("*.yml"):
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            # Evaluated with everything else, not every few minutes only.
            group.pop("interval", None)
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))
    address = f"127.0.0.1:{free_port()}"
    command = [
        real_binary("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with running(command, folder / "log"):
        eventually(lambda: reachable(f"http://{address}/-/ready"), "Prometheus")
        server = Server(f"http://{address}", demo)
        _wait_for_data(server)
        yield server


@pytest.fixture(params=["prometheus", "victoria-metrics"])
def server(request: pytest.FixtureRequest, prometheus: Server) -> Server:
    """Each server that the boards are made for, with the same data."""
    if request.param == "prometheus":
        return prometheus
    found = Server(request.getfixturevalue("victoria"), prometheus.instance)
    _wait_for_data(found)
    return found


def _wait_for_data(server: Server) -> None:
    """Until there is some past, all nodes earn or have earned, and rules were applied twice."""
    scrapes = f"min(count_over_time(swarm_host_load1[5m])) >= {_SAMPLES}"
    earned = "count(swarm_reward_last_increase_timestamp_seconds) == 3"
    restarted = "count(swarm_node_start_time_seconds) == 3"
    recorded = "count(instance:swarm_reward_earned:increase1w) == 1"
    for expression in (scrapes, earned, restarted, recorded):
        eventually(lambda query=expression: server.ask("query", query=query), expression)
