"""Every query of every board, as Grafana sends it, to a real Prometheus that scrapes the demo."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import yaml

from boards_support import BOARDS, ROOT, load, queries
from support import eventually, free_port, reachable, running

#: What may be empty here, and why.
EMPTY = {
    "swarm_mps_": "macOS",
    "swarm_host_mps_memory_bytes": "macOS",
    "swarm_torch_": "macOS",
    "swarm_gpu_": "a GPU",
    "swarm_host_gpu_": "a GPU",
    "swarm_host_power_watts": "macmon or a GPU",
    "swarm_host_temperature_celsius": "sensors, which a virtual machine lacks",
    "swarm_training_": "a source that reads the trainer's log",
    "deriv(swarm_host_disk_free_bytes": "a disk that fills",
    "swarm_process_footprint_bytes": "a minute, after which it is read again",
    "swarm_submissions_total": "submissions, which the demo's trainers do not hand in",
}
_VALUES = {
    "$machine": ".*",
    "$node": ".*",
    "$price": "0.3",
    "$__rate_interval": "15s",
    "${datasource}": "prometheus",
}


@pytest.fixture(scope="module")
def prometheus(demo, tmp_path_factory, real_binary) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("boards")
    for file in (ROOT / "prometheus" / "rules").glob("*.yml"):
        # Evaluated with everything else, not every few minutes only.
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
        (folder / f"rules-{file.name}").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder}/rules-*.yml']\n"
        "scrape_configs:\n"
        f"  - {{job_name: swarm, static_configs: [{{targets: ['{demo.removeprefix('http://')}']}}]}}\n"
    )
    port = free_port()
    server = [
        real_binary("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with running(server, folder / "log"):
        eventually(lambda: reachable(f"{url}/-/ready"), "Prometheus")
        # Two samples of what the demo's nodes have earned, so that rates have something to go by.
        eventually(lambda: ask(url, "sum(increase(swarm_reward_earned_total[1m])) > 0"), "earnings")
        eventually(lambda: ask(url, "instance:swarm_reward_earned:increase1w"), "recorded series")
        yield url


def ask(url: str, expression: str) -> list[dict]:
    answer = httpx.post(f"{url}/api/v1/query", data={"query": expression}, timeout=30).json()
    assert answer["status"] == "success", (expression, answer)
    return answer["data"]["result"]


def interpolated(expression: str) -> str:
    for name, value in _VALUES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_answers_and_none_is_empty_without_a_reason(name, prometheus):
    silent = []
    for panel, expression in queries(load(name)):
        found = ask(prometheus, interpolated(expression))
        if not found and not any(part in expression for part in EMPTY):
            silent.append((panel["title"], expression))
    assert silent == []


def test_the_table_has_the_labels_that_join_its_columns(prometheus):
    board = load("swarm")
    table = next(p for p in board["panels"] if p["type"] == "table")
    for target in table["targets"]:
        for series in ask(prometheus, interpolated(target["expr"])):
            assert {"instance", "node"} <= set(series["metric"])


def test_variables_have_values(prometheus):
    labels = httpx.get(
        f"{prometheus}/api/v1/label/node/values", params={"match[]": "swarm_node_info"}
    ).json()
    assert labels["data"] == ["1", "2", "3"]
