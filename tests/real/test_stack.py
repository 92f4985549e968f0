"""The stack as a person starts it: Debian's Prometheus and Alertmanager under supervisord."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from support import COMMAND, eventually, free_port, reachable, running

pytestmark = pytest.mark.real


@pytest.fixture
def stack(tmp_path, real_binary):
    """Run `swarm-exporter stack` in a folder of the test; it is down at the end."""
    for name in ("prometheus", "prometheus-alertmanager"):
        real_binary(name)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "stack", *arguments, "--state-dir", str(tmp_path / "state")],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )

    yield run
    run("down")


def get(url: str, **params: str):
    return httpx.get(url, params=params).json()["data"]


def test_one_command_gives_graphs_rules_and_messages(stack, tmp_path):
    ports = {name: free_port() for name in ("exporter", "prometheus", "alertmanager")}
    prometheus = f"http://127.0.0.1:{ports['prometheus']}"
    alertmanager = f"http://127.0.0.1:{ports['alertmanager']}"
    started = stack(
        "up",
        *("--instances", "2", "--interval", "1s", "--listen", f"127.0.0.1:{ports['exporter']}"),
        *("--port", f"prometheus={ports['prometheus']}"),
        *("--port", f"alertmanager={ports['alertmanager']}"),
        *("--without", "grafana"),
    )
    assert started.returncode == 0, started.stderr
    assert f"ready  prometheus    {prometheus}" in started.stdout
    # What is scraped is the exporter; the rules are the project's; alerts reach Alertmanager.
    eventually(
        lambda: len(get(f"{prometheus}/api/v1/query", query="swarm_node_info")["result"]) == 2,
        "two nodes in Prometheus",
    )
    groups = get(f"{prometheus}/api/v1/rules")["groups"]
    assert "RewardStalled" in {rule["name"] for group in groups for rule in group["rules"]}
    # (What was firing before it knew Alertmanager, Prometheus tells again after a minute.)
    eventually(
        lambda: (
            [
                each["url"]
                for each in get(f"{prometheus}/api/v1/alertmanagers")["activeAlertmanagers"]
            ]
            == [f"{alertmanager}/api/v2/alerts"]
        ),
        "Alertmanager known to Prometheus",
    )
    # Nothing listens beyond loopback: Alertmanager's cluster port above all.
    states = json.loads(stack("status", "--json").stdout)
    assert {s["name"]: s["state"] for s in states if s["name"] != "grafana"} == dict.fromkeys(
        ("exporter", "prometheus", "alertmanager"), "ready"
    )
    for state in states:
        if state["pid"]:
            assert listening(state["pid"]) == [f"127.0.0.1:{ports[state['name']]}"]
    # A bare `up` knows what was asked for last, and changes nothing.
    again = stack("up")
    assert again.returncode == 0, again.stderr
    assert [s["pid"] for s in json.loads(stack("status", "--json").stdout)] == [
        s["pid"] for s in states
    ]
    assert "stopped: exporter, prometheus, alertmanager" in stack("down").stdout.replace(
        "alertmanager, exporter, prometheus", "exporter, prometheus, alertmanager"
    )
    assert stack("status").returncode == 1
    assert any((tmp_path / "state" / "stack" / "data" / "prometheus").iterdir())


def test_in_front_it_ends_with_its_signal_and_leaves_nothing(tmp_path, real_binary):
    real_binary("prometheus")
    ports = [free_port() for _ in range(2)]
    command = [*COMMAND, "stack", "up", "--foreground", "--state-dir", str(tmp_path / "state")]
    command += ["--listen", f"127.0.0.1:{ports[0]}", "--port", f"prometheus={ports[1]}"]
    command += ["--without", "grafana", "--without", "alertmanager"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        eventually(lambda: reachable(f"http://127.0.0.1:{ports[1]}/-/ready"), "Prometheus")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not any(reachable(f"http://127.0.0.1:{port}/-/ready") for port in ports)


def test_an_exporter_that_runs_already_is_scraped_and_left_alone(stack, tmp_path):
    port, prometheus = free_port(), free_port()
    own = [*COMMAND, "serve", "--listen", f"127.0.0.1:{port}", "--collectors", "none"]
    asked = ("--listen", f"127.0.0.1:{port}", "--port", f"prometheus={prometheus}")
    left_out = ("--without", "grafana", "--without", "alertmanager")
    with running([*own, "--state-dir", str(tmp_path / "own")], tmp_path / "log") as process:
        eventually(lambda: reachable(f"http://127.0.0.1:{port}/-/ready"), "an exporter")
        started = stack("up", *asked, *left_out)
        assert started.returncode == 0, started.stderr
        states = {s["name"]: s["state"] for s in json.loads(stack("status", "--json").stdout)}
        assert states["exporter"] == "elsewhere"
        assert states["alertmanager"] == "left out"
        assert stack("status").returncode == 0
        stack("down")
        assert process.poll() is None
    # It is gone: the next time the stack runs its own, with the options of the first.
    again = stack("up")
    assert again.returncode == 0, again.stderr
    states = {s["name"]: s["state"] for s in json.loads(stack("status", "--json").stdout)}
    assert (states["exporter"], states["alertmanager"]) == ("ready", "left out")
    assert reachable(f"http://127.0.0.1:{port}/-/ready")


def test_a_held_port_and_a_wrong_flag_are_one_sentence(stack):
    assert stack("up", "--port", "prometheus").returncode == 2
    wrong = stack("up", "--without", "loki")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert 'there is no "loki" in the stack' in wrong.stderr
    assert stack("up", "--retention", "soon").returncode == 2
    assert stack("down").stdout == "Nothing to do: it does not run.\n"


def test_the_demo_has_real_graphs_and_leaves_nothing(tmp_path, real_binary):
    real_binary("prometheus")
    output = tmp_path / "output"
    (tmp_path / "tmp").mkdir()
    with output.open("w") as file:
        demo = subprocess.Popen(
            [*COMMAND, "demo", "--speed", "100", "--listen", f"127.0.0.1:{free_port()}"],
            stdout=file,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        )
    try:
        prometheus = eventually(lambda: address(output), "Prometheus' address")
        assert reachable(f"{prometheus}/-/ready")
        eventually(
            lambda: len(
                get(f"{prometheus}/api/v1/query", query="swarm_reward_earned_total > 0")["result"]
            ),
            "rewards in the demo's Prometheus",
        )
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    assert not reachable(f"{prometheus}/-/ready")
    assert list((tmp_path / "tmp").iterdir()) == []


def address(output: Path) -> str | None:
    for line in output.read_text().splitlines():
        if line.startswith("Prometheus "):
            return line.split()[1]
    return None


def listening(pid: int) -> list[str]:
    import psutil

    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return [
        f"{c.laddr.ip}:{c.laddr.port}"
        for process in processes
        for c in process.net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN
    ]
