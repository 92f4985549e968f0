"""A JSON-RPC server that answers as a test says, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from swarm_exporter.sources.chain_abi import FUNCTIONS

#: From a batch to the whole HTTP answer.
Answering = Callable[[list[dict[str, Any]]], bytes]
_TLS_HANDSHAKE = b"\x16"
_BY_SELECTOR = {function.selector: function for function in FUNCTIONS.values()}


def http(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more="") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def http_json(content: object) -> bytes:
    return http(json.dumps(content).encode())


@contextlib.asynccontextmanager
async def rpc_server(answering: Answering) -> AsyncIterator[int]:
    """Serve on a free port of this machine, one answer a connection."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(await answer(reader))
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def answer(reader: asyncio.StreamReader) -> bytes:
        first = await reader.readexactly(1)
        if first == _TLS_HANDSHAKE:
            return http(b"", status="400 Bad Request")
        head = first + await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST ")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return answering(json.loads(await reader.readexactly(length)))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with listener:
            yield listener.sockets[0].getsockname()[1]
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


class Contract:
    """Answers a batch call by call: what each function returns is told by the test.

    A value of `results` is what one call returns, hexadecimal, or the error object of it; a
    function gets the peers that are asked for.
    """

    def __init__(self, chain_id: int, results: Mapping[str, object]) -> None:
        self.chain_id = chain_id
        self.results = dict(results)
        #: The function and the peers of each call, one list a batch.
        self.batches: list[list[tuple[str, tuple[str, ...]]]] = []

    def answers(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.batches.append([])
        return [self._answer(call) for call in batch]

    def __call__(self, batch: list[dict[str, Any]]) -> bytes:
        return http_json(self.answers(batch))

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        about = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "eth_chainId":
            self.batches[-1].append(("eth_chainId", ()))
            return about | {"result": hex(self.chain_id)}
        name, peers = called(call)
        self.batches[-1].append((name, peers))
        # What a contract without the function does.
        result = self.results.get(name, {"code": 3, "message": "execution reverted", "data": "0x"})
        if callable(result):
            result = result(peers)
        return about | ({"error": result} if isinstance(result, dict) else {"result": result})


def called(call: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the function and the peers of an eth_call."""
    from eth_abi import decode

    transaction, block = call["params"]
    assert block == "latest"
    function = _BY_SELECTOR[transaction["data"][:10]]
    if not function.takes:
        return function.name, ()
    (value,) = decode(function.takes, bytes.fromhex(transaction["data"][10:]))
    return function.name, (value,) if isinstance(value, str) else tuple(value)
