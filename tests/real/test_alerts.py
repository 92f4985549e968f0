"""The way of an alert: demo, the project's rules in Prometheus, Alertmanager, a webhook here.

Time is compressed by one factor, the demo's speed: it divides every duration of the loaded files
(`for`, `keep_firing_for`, `interval`, ranges, offsets, Alertmanager's waits). Expressions stay as
they are.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support import COMMAND, ROOT, eventually, free_port, reachable, running

pytestmark = pytest.mark.real

PROMETHEUS = ROOT / "prometheus"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = r"\d+[smhdw]"
TOKEN = "a token of nobody's"  # noqa: S105 - the test's own server asks for it


class Inbox:
    """A receiver of messages: what Alertmanager's webhook and Slack's would get, in order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.texts: list[dict[str, Any]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/slack":
                    inbox.texts.append(body)
                elif self.headers["Authorization"] == f"Bearer {TOKEN}":
                    inbox.messages.append(body)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of_swarm(self) -> list[dict[str, Any]]:
        """The messages about the swarm or a node: this machine itself may be in any state."""
        return [
            message
            for message in self.messages
            if any(alert["labels"]["scope"] in ("swarm", "node") for alert in message["alerts"])
        ]

    def find(self, name: str, node: str, status: str) -> dict[str, Any] | None:
        for message in self.messages:
            for alert in message["alerts"]:
                labels = alert["labels"]
                if (labels["alertname"], labels.get("node"), alert["status"]) == (
                    name,
                    node,
                    status,
                ):
                    return alert
        return None


def faster(text: str, speed: float) -> str:
    """Divide a duration."""
    return f"{max(round(int(text[:-1]) * SECONDS[text[-1]] * 1000 / speed), 1)}ms"


def faster_rules(document: dict[str, Any], speed: float) -> dict[str, Any]:
    """Divide every duration of a rule file."""
    in_expression = re.compile(
        rf"(?<=\[){DURATION}(?=[\]:])|(?<=:){DURATION}(?=\])|(?<=offset ){DURATION}"
    )
    for group in document["groups"]:
        for holder in (group, *group["rules"]):
            for key in ("interval", "for", "keep_firing_for"):
                if key in holder:
                    holder[key] = faster(holder[key], speed)
        for rule in group["rules"]:
            rule["expr"] = in_expression.sub(lambda m: faster(m[0], speed), rule["expr"])
    return document


def faster_routes(route: dict[str, Any], speed: float) -> None:
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = faster(route[key], speed)
    for child in route.get("routes", []):
        faster_routes(child, speed)


def write_alertmanager(folder: Path, inbox: Inbox, speed: float) -> Path:
    """Write the project's configuration with the receiver `webhook`, which gets Slack's text too."""
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    faster_routes(config["route"], speed)
    config["route"]["receiver"] = "webhook"
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    receivers["webhook"]["webhook_configs"][0]["url"] = f"{inbox.url}/webhook"
    receivers["webhook"]["slack_configs"] = receivers["slack"]["slack_configs"]
    for name, content in (("webhook-token", TOKEN), ("slack-url", f"{inbox.url}/slack")):
        secret = folder / "secrets" / name
        secret.parent.mkdir(exist_ok=True)
        secret.write_text(content)
    (folder / "templates").symlink_to(PROMETHEUS / "templates")
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_prometheus(folder: Path, exporter: str, alertmanager: int, speed: float) -> Path:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [exporter]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [
        f"127.0.0.1:{alertmanager}"
    ]
    (folder / "rules").mkdir()
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        document = faster_rules(yaml.safe_load(path.read_text()), speed)
        (folder / "rules" / path.name).write_text(yaml.safe_dump(document))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def watched(real_binary, tmp_path: Path) -> Iterator[Callable[..., tuple[str, Inbox]]]:
    """Return a function that starts a demo and all that watches it: Prometheus's URL, the inbox."""
    with contextlib.ExitStack() as stack:

        def start(speed: int, *demo: str) -> tuple[str, Inbox]:
            inbox = Inbox()
            stack.callback(inbox.close)
            ports = [free_port() for _ in range(3)]
            exporter, alertmanager, prometheus = (f"127.0.0.1:{port}" for port in ports)
            config = write_alertmanager(tmp_path, inbox, speed)
            commands = {
                "alertmanager": [
                    real_binary("prometheus-alertmanager"),
                    f"--config.file={config}",
                    f"--storage.path={tmp_path / 'alertmanager'}",
                    f"--web.listen-address={alertmanager}",
                    "--cluster.listen-address=",
                ],
                "prometheus": [
                    real_binary("prometheus"),
                    f"--config.file={write_prometheus(tmp_path, exporter, ports[1], speed)}",
                    f"--storage.tsdb.path={tmp_path / 'prometheus'}",
                    f"--web.listen-address={prometheus}",
                    "--rules.alert.resend-delay=250ms",
                ],
                "demo": [
                    *COMMAND,
                    *(
                        "demo",
                        "--no-stack",
                        "--seed",
                        "1",
                        "--speed",
                        str(speed),
                        "--listen",
                        exporter,
                    ),
                    *demo,
                ],
            }
            # The exporter is there first: a target that was never up is an alert of its own.
            for name, address in (
                ("demo", exporter),
                ("alertmanager", alertmanager),
                ("prometheus", prometheus),
            ):
                # Where the configuration is: Alertmanager takes some paths as relative to there.
                stack.enter_context(running(commands[name], tmp_path / f"{name}.log", cwd=tmp_path))
                eventually(lambda url=address: reachable(f"http://{url}/-/ready"), name)
            return f"http://{prometheus}", inbox

        yield start


def value(prometheus: str, expression: str) -> float | None:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    found = answer["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def test_a_stalled_node_is_told_and_told_again_when_it_earns(watched):
    _, inbox = watched(300, "--instances", "2")
    alert = eventually(lambda: inbox.find("RewardStalled", "2", "firing"), "message", within=60)
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["summary"].startswith("Node 2 has earned nothing for ")
    assert len(alert["annotations"]["nickname"].split()) == 3
    assert (ROOT / alert["annotations"]["runbook"]).is_file()
    assert inbox.find("RewardStalled", "1", "firing") is None, "node 1 earns all the time"

    eventually(lambda: inbox.find("RewardStalled", "2", "resolved"), "end of it", within=60)
    texts = "\n".join(message["attachments"][0]["text"] for message in inbox.texts)
    nickname = alert["annotations"]["nickname"]
    assert re.search(
        r"^WARNING: Node 2 has earned nothing for \S.* while others did\n"
        rf"RewardStalled node 2 \({nickname}\) on 127\.0\.0\.1:\d+, since 20\d\d-\S+ \d\d:\d\d UTC\n"
        r".*\bLook at the node's log .*\n"
        r"docs/runbooks/RewardStalled\.md$",
        texts,
        re.MULTILINE,
    ), texts


def test_a_halted_swarm_is_one_message_however_many_nodes_it_has(watched):
    prometheus, inbox = watched(400, "--instances", "6", "--halt-after", "3")
    eventually(inbox.of_swarm, "message", within=60)
    # Long enough that every node would look stalled for long.
    long = "max(instance:swarm_idle:seconds) > 3 * max(swarm_stall_threshold_seconds)"
    eventually(lambda: value(prometheus, long), "long halt", within=60)
    messages = inbox.of_swarm()
    assert [[a["labels"]["alertname"] for a in m["alerts"]] for m in messages] == [["SwarmHalted"]]
    assert messages[0]["status"] == "firing"
    assert "node" not in messages[0]["commonLabels"]
