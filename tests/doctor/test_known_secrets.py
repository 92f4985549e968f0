from __future__ import annotations

from pathlib import Path

import msgspec

from support import make_config, make_node
from swarm_exporter.config.chain import Chain, Coordinator, Network
from swarm_exporter.config.hosted import Hosted
from swarm_exporter.doctor.examination import known_secrets

KEYS = ("k3y-of-the-network", "k3y-of-a-node", "t0ken-of-the-dashboard")


def test_keys_in_addresses_of_sources_are_secrets():
    coordinator = Coordinator(
        preset="x", contract="0x1", rpc=f"https://rpc.example/?apikey={KEYS[1]}", chain_id=1
    )
    config = msgspec.structs.replace(
        make_config(make_node("1"), make_node("2")),
        chain=Chain(
            network=Network(rpc=f"https://rpc.example/v2/{KEYS[0]}"),
            nodes={"1": coordinator, "2": None},
        ),
        hosted=Hosted(url=f"https://me:{KEYS[2]}@dashboard.example"),
    )
    texts = known_secrets(config, Path("/")).texts
    for key in KEYS:
        assert key in texts
