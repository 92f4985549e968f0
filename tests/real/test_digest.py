"""The digest of a known history, by a real Prometheus, through a real Alertmanager."""

from __future__ import annotations

import http.server
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from support import eventually, free_port, reachable, running
from swarm_exporter.cli.digest import command
from swarm_exporter.digest import read_digest
from swarm_exporter.digest_send import send_to_alertmanager, send_to_webhook
from swarm_exporter.digest_text import body, headline
from swarm_exporter.errors import SwarmExporterError

#: The end of the history; Prometheus is asked for this moment, whatever the time is now.
END = 1_800_000_000
HOUR = 3600
STEP = 300
#: Earned in an hour, in the day before and in the last one.
EARNED = {"1": (2.0, 3.0), "2": (1.0, 0.0), "3": (1.0, 1.0)}


def history() -> str:
    """Two days of three nodes as OpenMetrics: one stalls at the day's turn and is killed twice."""
    families: dict[str, list[str]] = {}

    def sample(name: str, kind: str, labels: str, value: float, at: int) -> None:
        families.setdefault(f"{name} {kind}", []).append(
            f'{name}{"_total" if kind == "counter" else ""}{{{labels},instance="mac:10331"}} '
            f"{value} {at}"
        )

    for at in range(END - 49 * HOUR, END + 1, STEP):
        hours = (at - (END - 48 * HOUR)) / HOUR
        for node, (before, after) in EARNED.items():
            me = f'node="{node}"'
            earned = 100 + before * min(hours, 24) + after * max(hours - 24, 0)
            sample("swarm_reward_earned", "counter", me, earned, at)
            sample("swarm_reward_lost", "counter", me, 0, at)
            stalled = node == "2" and hours > 24
            sample("swarm_trainer_up", "gauge", me, float(not (stalled and hours > 42)), at)
            for condition in ("earning", "down"):
                is_it = (condition == "down") == stalled
                labels = f'{me},condition="{condition}"'
                sample("swarm_node_condition", "gauge", labels, float(is_it), at)
            rank = {"1": 3, "2": 7 if hours <= 24 else 9, "3": 5}[node]
            sample("swarm_rank", "gauge", me, rank, at)
            sample("swarm_total_peers", "gauge", me, 20, at)
            killed = 2 if stalled and hours > 30 else 0
            sample("swarm_node_restarts", "counter", f'{me},reason="killed"', killed, at)
            last = END - 24 * HOUR if stalled else at
            sample("swarm_reward_last_increase_timestamp_seconds", "gauge", me, last, at)
            info = f'{me},nickname="tall slow animal{node}"'
            sample("swarm_node_info", "gauge", info, 1, at)
    lines = []
    for family, samples in families.items():
        lines += [f"# TYPE {family}", *samples]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, real_binary) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("digest")
    (folder / "history.om").write_text(history())
    (folder / "prometheus.yml").write_text("global: {}\n")
    blocks = [real_binary("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*blocks, "history.om", "data"], cwd=folder, check=True, capture_output=True)
    port = free_port()
    server = [
        real_binary("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(server, folder / "log"):
        eventually(lambda: reachable(f"http://127.0.0.1:{port}/-/ready"), "Prometheus")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def digest(prometheus):
    with httpx.Client(trust_env=False) as client:
        return read_digest(client, prometheus, "24h", END)


def test_each_node_has_its_day(digest):
    assert [node.node for node in digest.nodes] == ["1", "3", "2"]
    first, third, second = digest.nodes
    assert first.earned == pytest.approx(72, rel=0.02)
    assert first.earned_before == pytest.approx(48, rel=0.02)
    assert (first.up, first.earning, first.rank, first.peers) == (1.0, 1.0, 3, 20)
    assert third.earned == pytest.approx(24, rel=0.02)
    assert second.earned == pytest.approx(0, abs=0.1)
    assert second.up == pytest.approx(0.75, abs=0.02)
    assert (second.rank, second.rank_before) == (9, 7)
    assert second.restarts == {"killed": 2}
    assert (second.condition, second.nickname) == ("down", "tall slow animal2")
    assert digest.earned == pytest.approx(96, rel=0.02)
    assert digest.worst is second


def test_its_words_say_what_to_look_at(digest):
    assert headline(digest, "en").startswith("RL Swarm (Gensyn), last 24h: 3 nodes earned 96")
    assert headline(digest, "zh").startswith("RL Swarm (Gensyn)，过去 24h：3 个节点共赚取 96")
    lines = body(digest, "en").splitlines()
    assert lines[0].startswith("node 1 (tall slow animal1): 72.")
    assert lines[0].endswith("up 100.0%, earning 100% of the time, rank 3 of 20")
    assert "rank 9 of 20 (was 7), restarts: killed 2, now down" in lines[2]
    assert lines[3].startswith("Look at node 2 (tall slow animal2): it last earned 1d")
    assert "重启：killed 2" in body(digest, "zh")


def test_a_prometheus_without_nodes_is_told_from_one_that_does_not_answer(prometheus):
    with httpx.Client(trust_env=False) as client:
        with pytest.raises(SwarmExporterError, match="knows no node"):
            read_digest(client, prometheus, "24h", END - 400 * 24 * HOUR)
        with pytest.raises(SwarmExporterError, match="does not answer"):
            read_digest(client, f"http://127.0.0.1:{free_port()}", "24h", END)
        with pytest.raises(SwarmExporterError, match="refused a query"):
            read_digest(client, prometheus, "24 h", END)


def test_the_command_prints_or_fails_in_one_sentence(prometheus, tmp_path):
    run = CliRunner().invoke
    result = run(command, ["--prometheus", prometheus, "--period", "soon"])
    assert '"soon" is no period; write it as 24h' in str(result.exception)
    result = run(command, ["--prometheus", prometheus, "--webhook-file", str(tmp_path / "none")])
    assert "write the webhook's address into it" in str(result.exception)
    result = run(command, ["--prometheus", prometheus])
    assert "knows no node" in str(result.exception)  # Its history has ended long before or after.


class Hook:
    """A webhook that keeps what is posted to it."""

    def __init__(self) -> None:
        self.messages: queue.Queue[dict] = queue.Queue()
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(500 if self.path == "/broken" else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token-c4n4ry"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.close()


def test_a_webhook_gets_it_as_from_alertmanager(hook):
    with httpx.Client(trust_env=False) as client:
        send_to_webhook(client, hook.url, "three nodes earned", "node 1: …", END)
        message = hook.messages.get(timeout=5)
        assert message["version"] == "4"
        assert message["alerts"][0]["labels"]["alertname"] == "SwarmDigest"
        assert message["commonAnnotations"]["summary"] == "three nodes earned"
        broken = hook.url.replace("/token-c4n4ry", "/broken")
        with pytest.raises(SwarmExporterError, match="HTTP 500"):
            send_to_webhook(client, broken, "", "", END)
        for lost in (f"http://127.0.0.1:{free_port()}/token-c4n4ry", "http://[bad/token-c4n4ry"):
            with pytest.raises(SwarmExporterError) as caught:
                send_to_webhook(client, lost, "", "", END)
            assert "c4n4ry" not in str(caught.value)


def test_a_real_alertmanager_hands_it_to_its_receiver(hook, tmp_path, real_binary):
    port = free_port()
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_wait: 0s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{hook.url}'}}]}}]\n"
    )
    server = [
        real_binary("prometheus-alertmanager"),
        f"--config.file={tmp_path}/alertmanager.yml",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with running(server, tmp_path / "log"), httpx.Client(trust_env=False) as client:
        eventually(lambda: reachable(f"{url}/-/ready"), "Alertmanager")
        send_to_alertmanager(client, url, "three nodes earned", "node 1: …", time.time())
        message = hook.messages.get(timeout=30)
    assert message["status"] == "firing"
    assert message["commonAnnotations"]["description"] == "node 1: …"
