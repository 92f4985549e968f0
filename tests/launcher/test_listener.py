"""The policy's eyes and hands, where a whole launcher is too much to see a thing."""

from __future__ import annotations

import fcntl
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from launcher_support import make_spec
from swarm_exporter.config.launcher import Restart, Watchdog
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.listener import Listener, main
from swarm_exporter.launcher.private_files import write_private
from swarm_exporter.launcher.spec import Settings

STATUS = {
    "nodes": [{"node": "1", "condition": "training", "last_increase": 1.0, "earned_since": None}]
}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/status" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(STATUS).encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def exporter():
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def listener(folder, **settings) -> Listener:
    files = LauncherFiles(folder)
    files.prepare()
    spec = make_spec(folder=str(folder))
    files.node("1").folder.mkdir()
    write_private(files.node("1").spec, msgspec.json.encode(spec))
    facts = {
        "nodes": ("1",),
        "ramp_interval": 1.0,
        "reserve": 0,
        "look_interval": 1.0,
        "restart": Restart(),
        "watchdog": Watchdog(),
        "exporter_url": "",
    }
    write_private(files.settings, msgspec.json.encode(Settings(**{**facts, **settings})))
    return Listener(files.root)


def test_the_exporter_on_this_machine_is_asked_past_any_proxy(tmp_path, exporter, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    eyes = listener(tmp_path, watchdog=Watchdog(stalled=60.0), exporter_url=exporter)
    eyes._ask_earnings(100.0)
    assert eyes._earnings == {"1": 99.0}


def test_two_that_look_at_once_take_each_other_for_no_runner(tmp_path):
    listener(tmp_path)
    lock = LauncherFiles(tmp_path).node("1").lock
    with lock.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not LauncherFiles(tmp_path).node("1").is_held()
    with lock.open("a") as runner:
        fcntl.flock(runner, fcntl.LOCK_EX)
        assert LauncherFiles(tmp_path).node("1").is_held()


def test_a_fault_that_stays_is_no_busy_loop(tmp_path, monkeypatch, caplog):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(sys, "argv", ["listener", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert pauses == [10.0]
    assert "begins anew in 10 seconds" in caplog.text
    assert "launcher.json" in caplog.text
