"""Real programs under test: the demo as a person starts it, and Debian's servers beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chain_node import CHAIN_ID, Chain, node_program
from support import COMMAND, eventually, free_port, reachable, running


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `swarm-exporter demo --instances 3`, with whole stages within a second."""
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "log"
    command = [*COMMAND, "demo", "--no-stack", "--instances", "3", "--seed", "1", "--speed", "600"]
    with running([*command, "--listen", f"127.0.0.1:{port}"], log) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: reachable(f"{url}/-/ready") or process.poll() is not None, "demo")
        assert process.poll() is None, log.read_text()
        yield url


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain of one's own, by its JSON-RPC."""
    port = free_port()
    log = tmp_path_factory.mktemp("chain") / "log"
    command = [
        *node_program("ganache", "dist/node/cli.js"),
        "--server.host=127.0.0.1",
        f"--server.port={port}",
        f"--chain.chainId={CHAIN_ID}",
        "--wallet.seed=swarm-exporter",
    ]
    with running(command, log) as process:
        eventually(
            lambda: b"RPC Listening on" in log.read_bytes() or process.poll() is not None, "chain"
        )
        assert process.poll() is None, log.read_text()
        yield Chain(f"http://127.0.0.1:{port}")
