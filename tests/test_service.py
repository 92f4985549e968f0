"""The running program: a process as a person starts it, its signals, and what survives it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import COMMAND, eventually, free_port, reachable, running
from swarm_exporter.demo.server import DemoSwarm
from swarm_exporter.demo.swarm import Swarm


@contextlib.contextmanager
def serve(tmp_path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A running `swarm-exporter serve`: its address and its process."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [*COMMAND, "serve", "--listen", url.removeprefix("http://"), "--interval", "100ms"]
    state = ["--state-dir", str(tmp_path / "state")]
    log = tmp_path / "log"
    with running([*command, *state, *arguments], log, cwd=tmp_path) as process:
        eventually(lambda: reachable(f"{url}/-/healthy") or process.poll() is not None, "exporter")
        assert process.poll() is None, log.read_text()
        yield url, process


def metric(url: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


class SwarmInThread:
    """A simulated swarm on real ports whose time passes only when the test says so."""

    def __init__(self, **how):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._swarm = DemoSwarm(Swarm(1, **how))
        self._do(self._swarm.start())
        self.peers = self._swarm.peers

    @property
    def arguments(self) -> list[str]:
        return ["--api-url", self._swarm.urls[0], "--peer-id", self.peers[0].id]

    def pass_stages(self, count: int) -> None:
        for _ in range(60 * count):
            self._do(self._swarm.tick())

    def stop(self) -> None:
        self._do(self._swarm.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


@pytest.fixture
def swarm() -> Iterator[SwarmInThread]:
    simulated = SwarmInThread(own=1, others=3)
    yield simulated
    simulated.stop()


def test_what_was_earned_survives_kill_9(tmp_path, swarm):
    swarm.pass_stages(1)
    with serve(tmp_path, *swarm.arguments) as (url, process):
        eventually(lambda: metric(url, "swarm_rank"), "rank")
        swarm.pass_stages(2)
        earned = eventually(lambda: metric(url, "swarm_reward_earned_total"), "earned reward")
        process.kill()
        process.wait()
    with serve(tmp_path, *swarm.arguments) as (url, _):
        assert metric(url, "swarm_reward_earned_total") in (None, earned)
        again = eventually(lambda: metric(url, "swarm_reward_earned_total"), "earned reward")
        assert again >= earned
        swarm.pass_stages(2)
        eventually(lambda: metric(url, "swarm_reward_earned_total") > again, "more")


CONFIG = """
reload_endpoint: true
api_url: http://127.0.0.1:9
nodes: [{name: left}]
"""
RELOADED = "swarm_exporter_config_last_reload_successful"


class TestReload:
    @pytest.fixture
    def config(self, tmp_path):
        path = tmp_path / "swarm.yml"
        path.write_text(CONFIG)
        return path

    def test_by_signal(self, tmp_path, config):
        with serve(tmp_path, "--config", "swarm.yml") as (url, process):
            assert metric(url, RELOADED) == 1
            config.write_text(CONFIG.replace("name", "nme"))
            process.send_signal(signal.SIGHUP)
            eventually(lambda: metric(url, RELOADED) == 0, "refusal")
            assert metric(url, "swarm_node_info", node="left") == 1, "the old one is in force"
            status = httpx.get(f"{url}/api/status").json()
            assert 'did you mean "name"?' in status["config_error"]
            config.write_text(CONFIG.replace("left", "right"))
            process.send_signal(signal.SIGHUP)
            eventually(lambda: metric(url, "swarm_node_info", node="right"), "new node")
            assert metric(url, "swarm_node_info", node="left") is None
            assert metric(url, RELOADED) == 1

    def test_by_post(self, tmp_path, config):
        with serve(tmp_path, "--config", "swarm.yml") as (url, _):
            config.write_text("nodes: 3")
            answer = httpx.post(f"{url}/-/reload")
            assert (answer.status_code, "swarm.yml:1: nodes: must be a list" in answer.text) == (
                400,
                True,
            )
            config.write_text(CONFIG.replace("left", "right"))
            assert httpx.post(f"{url}/-/reload").status_code == 200
            assert metric(url, "swarm_node_info", node="right") == 1

    def test_by_post_is_off_by_default(self, tmp_path):
        with serve(tmp_path, "--api-port", "9") as (url, _):
            assert httpx.post(f"{url}/-/reload").status_code == 403


def run(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30, **how
    )


def test_a_port_that_is_taken_is_one_sentence(tmp_path):
    with serve(tmp_path, "--api-port", "9") as (url, _):
        listen = url.removeprefix("http://")
        result = run("--listen", listen, "--api-port", "9", "--state-dir", str(tmp_path / "other"))
        assert result.returncode == 1
        assert result.stderr == (
            f"swarm-exporter: cannot listen on {listen}: it is in use; "
            "give another address with --listen\n"
        )


def test_a_second_exporter_on_one_state_is_refused(tmp_path):
    with serve(tmp_path, "--api-port", "9") as (_, process):
        listen = f"127.0.0.1:{free_port()}"
        state = str(tmp_path / "state")
        result = run("--listen", listen, "--api-port", "9", "--state-dir", state)
        assert result.returncode == 1
        assert "--state-dir" in result.stderr
        assert str(process.pid) in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_well(tmp_path, number):
    with serve(tmp_path, "--api-port", "9") as (_, process):
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5


def test_a_listener_beyond_loopback_is_warned_of(tmp_path):
    log = tmp_path / "log"
    listen = f"0.0.0.0:{free_port()}"
    command = [*COMMAND, "--listen", listen, "--api-port", "9", "--state-dir", str(tmp_path)]
    with running(command, log):
        eventually(lambda: "listening on 0.0.0.0" in log.read_text(), "warning")
        assert log.read_text().count("anybody who reaches this machine") == 1
