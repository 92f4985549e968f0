"""The way to a Prometheus graph: Debian's Prometheus scrapes the demo as the project says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from support import ROOT, eventually, free_port, reachable, running

pytestmark = pytest.mark.real

CONFIG = ROOT / "prometheus" / "prometheus.yml"


@pytest.fixture(scope="module")
def prometheus(demo: str, real_binary, tmp_path_factory: pytest.TempPathFactory):
    """A real Prometheus with the project's configuration, on the demo's port and every second."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    text = CONFIG.read_text()
    for ours, theirs in (
        ("127.0.0.1:10331", demo.removeprefix("http://")),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    config = folder / "prometheus.yml"
    config.write_text(text)
    port = free_port()
    command = [
        real_binary("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "log"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: reachable(f"{url}/-/ready"), "Prometheus")
        yield url


def query(prometheus: str, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    return {
        tuple(sorted(result["metric"].items())): float(result["value"][1])
        for result in answer["data"]["result"]
    }


def by_node(prometheus: str, expression: str, count: int) -> dict[str, float]:
    def look() -> dict[str, float] | None:
        found = {dict(labels)["node"]: v for labels, v in query(prometheus, expression).items()}
        return found if len(found) >= count else None

    return eventually(look, expression)


def test_the_targets_are_up(prometheus):
    assert eventually(lambda: query(prometheus, 'up{job="swarm"} == 1'), "target that is up")


def test_rank_and_earned_reward_come_back(prometheus):
    ranks = by_node(prometheus, "last_over_time(swarm_rank[1m])", 3)
    peers = by_node(prometheus, "last_over_time(swarm_total_peers[1m])", 3)
    assert set(ranks) == {"1", "2", "3"}
    for node, rank in ranks.items():
        assert 1 <= rank <= peers[node]
    earned = by_node(prometheus, "swarm_reward_earned_total > 0", 3)
    assert set(earned) == {"1", "2", "3"}


def test_what_was_earned_rises_and_never_resets(prometheus):
    assert by_node(prometheus, 'increase(swarm_reward_earned_total{node="1"}[30s]) > 0', 1)
    assert set(by_node(prometheus, "resets(swarm_reward_earned_total[10m])", 3).values()) == {0.0}


def test_identity_joins_as_the_reference_says(prometheus):
    expression = "swarm_reward_earned_total * on(node) group_left(nickname) swarm_node_info"
    joined = eventually(lambda: query(prometheus, expression), "joined series")
    assert all(len(dict(labels)["nickname"].split()) == 3 for labels in joined)


def test_promtool_finds_nothing_to_say(demo, real_binary):
    # promtool keeps the suffix "_count" for histograms; of this one the name says what it counts.
    lines = httpx.get(f"{demo}/metrics").text.splitlines(keepends=True)
    text = "".join(line for line in lines if "swarm_process_count" not in line)
    result = subprocess.run(
        [real_binary("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_promtool_accepts_the_configuration(real_binary):
    subprocess.run([real_binary("promtool"), "check", "config", CONFIG], check=True)
