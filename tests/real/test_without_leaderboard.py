"""A node of RL Swarm v0.7, which has no leaderboard, seen through all that it does have."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import standin
from chain_node import Chain
from support import COMMAND, eventually, free_port, reachable, running
from swarm_exporter.identity import peer_id_from_key

pytestmark = pytest.mark.real

LOG = """\
[2026-11-23 10:00:00,000][genrl.logging_utils.global_defs][INFO] - 🐝 Hello [tall slow flamingo] [{peer}]!
[2026-11-23 10:01:00,000][genrl.logging_utils.global_defs][INFO] - 🐝 Joining round: 411
[2026-11-23 10:02:00,000][urllib3.connectionpool][DEBUG] - http://localhost:3000 "POST /api/submit-reward HTTP/1.1" 200 None
[2026-11-23 10:03:00,000][genrl.logging_utils.global_defs][INFO] - Already finished round: 411. Next check in 5.0s.
"""


class Node:
    """The folder of a node, and an exporter on it."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.folder = folder
        self.checkout = folder / "rl-swarm-1"
        standin.build_standin(self.checkout, "codezero", port=free_port())
        key = next((self.checkout / "standin" / "keys").iterdir()).read_bytes()
        (self.checkout / "swarm.pem").write_bytes(key)
        self.peer = peer_id_from_key(key)
        self.chain = chain
        self.contract = chain.deploy("SwarmCoordinator")
        chain.submit(self.contract, "advance(uint256,uint256)", 411, 0)
        chain.submit(self.contract, "registerPeer(string)", self.peer)
        (self.checkout / "logs").mkdir(exist_ok=True)
        (self.checkout / "logs" / "swarm_launcher.log").write_text(LOG.format(peer=self.peer))
        (env := self.checkout / "modal-login" / ".env").parent.mkdir(exist_ok=True)
        env.write_text(f"A=1\nB=2\nSWARM_CONTRACT_ADDRESS={self.contract}\n")
        (folder / "swarm.yml").write_text(f"chain: {{rpc: '{chain.url}', interval: 15s}}\n")

    def pay(self, round_: int, reward: int) -> None:
        signature = "submitReward(uint256,uint256,int256,string)"
        self.chain.submit(self.contract, signature, round_, 0, reward, self.peer)

    def look(self) -> tuple[dict[str, float], dict, str]:
        """Run an exporter until it has asked everything once; return metrics, status, log."""
        port, log = free_port(), self.folder / "log"
        command = [*COMMAND, "--config", "swarm.yml", "--listen", f"127.0.0.1:{port}"]
        command += ["--state-dir", str(self.folder / "state"), "--collectors", "none"]
        url = f"http://127.0.0.1:{port}"
        with running(command, log, cwd=self.folder):
            eventually(lambda: reachable(f"{url}/-/ready"), "an exporter that is ready")
            text = httpx.get(f"{url}/metrics").text
            status = httpx.get(f"{url}/api/status").json()["nodes"][0]
        samples = {
            sample.name
            + "".join(
                f",{v}" for k, v in sorted(sample.labels.items()) if k != "node"
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        return samples, status, log.read_text()


@pytest.fixture
def node(tmp_path, chain: Chain) -> Node:
    return Node(tmp_path, chain)


def test_a_node_of_the_newest_generation_is_seen_through_what_it_has(node):
    node.pay(410, 400)
    samples, status, log = node.look()
    assert samples["swarm_chain_rewards"] == 400.0
    assert samples["swarm_cumulative_reward"] == 400.0
    assert samples["swarm_chain_round"] == 411.0
    assert samples["swarm_training_joined_round"] == 411.0
    assert samples["swarm_training_submissions_total,accepted"] == 1.0
    assert samples["swarm_login_data"] == 1.0
    assert samples["swarm_reward_earned_total"] == 0.0
    # It says what it chose and why, and does not ask for what there is not.
    assert "chain (contract custom, found in its folder)" in log
    assert "not through leaderboard (RL Swarm v0.7 has no leaderboard on the machine)" in log
    assert "swarm_source_up,leaderboard" not in samples
    assert samples["swarm_source_up,chain"] == samples["swarm_source_up,training_log"] == 1.0
    assert (status["reward_source"], status["nickname"]) == ("chain", "tall slow flamingo")
    assert status["blind"] == [
        "its rank (RL Swarm v0.7 has no leaderboard on the machine): give `api` the address of "
        "one that your swarm hosts"
    ]
    # What was paid while no exporter ran is earned, and nothing is told twice.
    node.pay(411, 13)
    samples, status, _ = node.look()
    assert samples["swarm_reward_earned_total"] == 13.0
    assert samples["swarm_training_submissions_total,accepted"] == 1.0
    assert status["condition"] == "earning"
    # A chain that is not there costs its own figures alone.
    (node.folder / "swarm.yml").write_text(f"chain: {{rpc: 'http://127.0.0.1:{free_port()}'}}\n")
    samples, _, _ = node.look()
    assert "swarm_chain_rewards" not in samples
    assert "swarm_cumulative_reward" not in samples
    assert samples["swarm_source_up,chain"] == 0.0
    assert samples["swarm_reward_earned_total"] == 13.0
    assert samples["swarm_training_joined_round"] == 411.0


def test_a_single_look_and_a_check_say_what_they_read(node):
    for command, words in (
        (["check"], "reward from chain"),
        (["status"], "not known: its rank"),
    ):
        done = subprocess.run(
            [*COMMAND, *command, "--config", "swarm.yml"],
            cwd=node.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "COLUMNS": "400",
                "SWARM_STATE_DIR": str(node.folder / "state"),
                "SWARM_LISTEN": f"127.0.0.1:{free_port()}",
            },
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    # A single look writes nothing: an exporter goes on where it was.
    assert not (node.folder / "state" / "logs").exists()
    done = subprocess.run(
        [*COMMAND, "check", "--json", "--config", "swarm.yml"],
        cwd=node.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["chain"]["nodes"]["1"]["contract"] == node.contract
