"""A real chain on this machine, and the project's own contract on it, by real JSON-RPC."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from typing import Any

import httpx
import pytest
from eth_abi import encode
from eth_hash.auto import keccak

from support import ROOT

CONTRACTS = ROOT / "tests" / "contracts"
COMPILED = CONTRACTS / "SwarmCoordinator.json"
CHAIN_ID = 685_685


def node_program(package: str, file: str) -> list[str]:
    """Return the command of a program from npm.

    Where it is not installed the test is skipped on a laptop, and fails in CI.
    """
    path = CONTRACTS / "node_modules" / package / file
    node = shutil.which("node")
    if node is not None and path.is_file():
        return [node, str(path)]
    message = f"{package} is not installed (make chain-node)"
    if os.environ.get("SWARM_TEST_REQUIRE_REAL") == "1":
        pytest.fail(message)
    pytest.skip(message)


class Chain:
    """What a person does with a chain: deploy a contract, and submit to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ids = itertools.count(1)
        self.accounts: list[str] = self.ask("eth_accounts")

    def ask(self, method: str, *params: object) -> Any:
        call = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = httpx.post(self.url, json=call, timeout=30).json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def deploy(self, contract: str) -> str:
        """Return the address of a new contract."""
        code = json.loads(COMPILED.read_text())["code"][contract]
        return self._send({"data": code})["contractAddress"]

    def submit(self, contract: str, signature: str, *values: object, account: int = 0) -> None:
        """Call a function of a contract that changes it."""
        types = signature.partition("(")[2].removesuffix(")")
        data = keccak(signature.encode())[:4] + encode(types.split(","), values)
        self._send({"to": contract, "data": f"0x{data.hex()}"}, account)

    def _send(self, transaction: dict[str, str], account: int = 0) -> dict[str, Any]:
        about = {"from": self.accounts[account], "gas": hex(6_000_000)}
        receipt = self.ask(
            "eth_getTransactionReceipt", self.ask("eth_sendTransaction", about | transaction)
        )
        assert receipt["status"] == "0x1", receipt
        return receipt
