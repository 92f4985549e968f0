"""Dashboard, runs and login through the whole program: polled, kept and rendered."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from http_answers import Answer, answering, of_json
from support import make_config, make_node
from swarm_exporter.clock import SystemClock
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.logs import configure_logging
from swarm_exporter.metrics import hosted, login, wandb
from swarm_exporter.poller import Poller
from swarm_exporter.sources.hosted import HostedDashboard
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.identity import NodeIdentity
from swarm_exporter.sources.login import LoginState
from swarm_exporter.sources.wandb_runs import TrackingRuns
from swarm_exporter.tracker import Tracker

PEER = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
CANARY = "CANARY"


def look(nodes, url: str, port: int):
    """Ask everything once; return the snapshot and the samples of the three catalogues."""

    async def run():
        clock = SystemClock()
        config = make_config(*nodes)
        sources = (
            NodeIdentity(),
            HostedDashboard(lambda config, node: Hosted(url=url)),
            TrackingRuns(),
            LoginState(port=lambda config, node: port),
        )
        tracker = Tracker(config, clock, state=None)
        async with new_client() as client:
            poller = Poller(sources, client, tracker, clock)
            await poller.configure(config)
            await poller.asked_once()
            snapshot = tracker.snapshot()
            await poller.close()
        await tracker.close()
        return snapshot

    snapshot = asyncio.run(run())
    metrics = (*hosted.METRICS, *wandb.METRICS, *login.METRICS)
    samples = {
        (metric.name, labels["node"]): value
        for metric in metrics
        for labels, value in metric.read(snapshot)
    }
    return snapshot, samples


def server(path: str) -> Answer:
    if path == "/api/get-api-key-status":
        return Answer(400, b"bad request", "text/plain")
    if path.startswith("/api/get-api-key-status?"):
        return Answer(200, b"activated", "text/plain")
    if path == f"/api/v1/peer?id={PEER}":
        return of_json({"peerId": PEER, "reward": 42, "online": True})
    return of_json({"error": f"{CANARY} no such peer"}, 404)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "modal-login" / "temp-data"
    place.mkdir(parents=True)
    (place / "userData.json").write_text(json.dumps({CANARY: {"email": CANARY}}))
    key = {"privateKey": CANARY, "activated": True}
    (place / "userApiKey.json").write_text(json.dumps({CANARY: [key]}))
    run = tmp_path / "logs" / "wandb" / "offline-run-20251117_101530-abcd"
    run.mkdir(parents=True)
    (run / "run-abcd.wandb").write_bytes(b"x" * 77)
    return tmp_path


def test_what_three_sources_say_of_a_node_is_exported(folder):
    nodes = (
        make_node("1", folder=folder, peer_id=PEER),
        make_node("2", api="http://127.0.0.1:3001"),
    )
    with answering(server) as served:
        snapshot, samples = look(nodes, served.url, served.port)
    assert samples.pop(("swarm_wandb_newest_run_timestamp_seconds", "1")) > 1e9
    assert samples == {
        ("swarm_hosted_reward", "1"): 42.0,
        ("swarm_hosted_online", "1"): 1.0,
        ("swarm_wandb_offline_runs", "1"): 1.0,
        ("swarm_wandb_offline_bytes", "1"): 77.0,
        ("swarm_tensorboard_files", "1"): 0.0,
        ("swarm_tensorboard_bytes", "1"): 0.0,
        ("swarm_login_data", "1"): 1.0,
        ("swarm_login_activated", "1"): 1.0,
        ("swarm_login_app_up", "1"): 1.0,
    }
    up = {(s.node, s.source): s.up for view in snapshot.nodes for s in view.sources}
    assert up[("1", "hosted")]
    assert up[("1", "login")]
    assert up[("1", "wandb")]
    # Nobody knows which peer the second one is.
    assert not up[("2", "hosted")]


def test_neither_snapshot_nor_log_holds_a_secret(folder, capsys):
    configure_logging("debug", "json")
    nodes = (
        make_node("1", folder=folder, peer_id=PEER),
        make_node("2", folder=folder, peer_id=PEER[:-1] + "M", api="http://127.0.0.1:3001"),
    )
    with answering(server) as served:
        url = served.url.replace("://", f"://me:{CANARY}@")
        snapshot, samples = look(nodes, url, served.port)
        assert any(CANARY in asked for asked in served.asked)
    assert samples[("swarm_hosted_reward", "1")] == 42.0
    logging.getLogger("test").info("the log is read")
    log = "".join(capsys.readouterr())
    assert "the log is read" in log
    assert "does not know this node" in log
    assert CANARY not in log
    assert CANARY not in repr(snapshot)
