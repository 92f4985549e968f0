"""One JSON-RPC batch over real HTTP, and everything else that may answer it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc_server import Answering, http, http_json, rpc_server
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.json_rpc import (
    Failed,
    Outcome,
    Request,
    Reverted,
    ask_batch,
    decode_batch,
)

KEY = "s3cr3t-k3y-0123456789"
REQUESTS = [Request("eth_chainId"), Request("eth_call", ({"to": "0x1"}, "latest"))]
NOW = 1_800_000_000.0


def ask(answering: Answering, *, scheme: str = "http", timeout: float = 10.0) -> list[Outcome]:
    async def run() -> list[Outcome]:
        async with rpc_server(answering) as port, new_client() as client:
            return await ask_batch(
                client,
                f"{scheme}://user:{KEY}@127.0.0.1:{port}/v2/{KEY}?k={KEY}",
                REQUESTS,
                first_id=41,
                timeout=timeout,
                limit=10_000,
            )

    return asyncio.run(run())


def fault(answer: bytes | Answering, **how) -> SourceError:
    with pytest.raises(SourceError) as error:
        ask(answer if callable(answer) else lambda _: answer, **how)
    assert error.value.detail
    assert KEY not in str(error.value)
    assert error.value.__cause__ is None
    return error.value


def results(*texts: object, first: int = 41) -> list[dict[str, object]]:
    return [{"jsonrpc": "2.0", "id": first + n, "result": text} for n, text in enumerate(texts)]


def test_a_batch_is_sent_as_the_specification_says():
    batches = []

    def answering(batch):
        batches.append(batch)
        return http_json(results("0x1", "0x2"))

    assert ask(answering) == ["0x1", "0x2"]
    call = {"jsonrpc": "2.0", "id": 42, "method": "eth_call", "params": [{"to": "0x1"}, "latest"]}
    assert batches == [[{"jsonrpc": "2.0", "id": 41, "method": "eth_chainId", "params": []}, call]]


def test_a_batch_answered_in_another_order_is_put_in_order():
    assert ask(lambda _: http_json(results("0x1", "0x2")[::-1])) == ["0x1", "0x2"]


def error(code: object, message: object = "", **more: object) -> dict[str, object]:
    return {"code": code, "message": message, **more}


LOGIN = b"<!DOCTYPE html><html><title>Log in</title></html>"
ECHO = f"key {KEY} may not".encode()
FAULTS: Mapping[str, tuple[bytes, Reason]] = {
    "an error object instead of a batch": (
        http_json({"jsonrpc": "2.0", "id": None, "error": error(-32600, f"no batches, {KEY}")}),
        Reason.RPC_ERROR,
    ),
    "an error object of the rate": (
        http_json({"jsonrpc": "2.0", "id": None, "error": error(429, "slower")}),
        Reason.RATE_LIMITED,
    ),
    "one answer without a batch": (http_json(results("0x1")[0]), Reason.WRONG_SHAPE),
    "a page": (http(LOGIN, kind="text/html"), Reason.HTML),
    "a page that says it is JSON": (http(LOGIN), Reason.HTML),
    "other ids": (http_json(results("0x1", "0x2", first=39)[:1]), Reason.WRONG_SHAPE),
    "ids of another type": (http_json([{"id": "41", "result": "0x1"}]), Reason.WRONG_SHAPE),
    "an empty batch": (http_json([]), Reason.WRONG_SHAPE),
    "a batch of numbers": (http_json([1, None, "x", []]), Reason.WRONG_SHAPE),
    "a text": (http_json("0x1"), Reason.WRONG_SHAPE),
    "half of the JSON": (
        http(json.dumps(results("0x1", "0x2")).encode()[:-9]),
        Reason.INVALID_JSON,
    ),
    "JSON nested for ever": (http(b"[" * 9000), Reason.INVALID_JSON),
    "half a body": (http_json(results("0x1"))[:-9], Reason.CONNECTION),
    "no body": (http(b""), Reason.EMPTY),
    "too large a body": (http(b" " * 10_001), Reason.TOO_LARGE),
    "429": (http(ECHO, status="429 Too Many Requests"), Reason.RATE_LIMITED),
    "429 with a page": (http(LOGIN, status="429 Slow", kind="text/html"), Reason.RATE_LIMITED),
    "a wrong key": (http(ECHO, status="401 Unauthorized"), Reason.HTTP_4XX),
    "no such path": (http(ECHO, status="404 Not Found"), Reason.NOT_FOUND),
    "a server error": (http(ECHO, status="500 Oops"), Reason.HTTP_5XX),
    "a proxy's error": (http(b"", status="502 Bad Gateway"), Reason.HTTP_5XX),
    "a redirect to a login page": (
        http(
            b"",
            status="302 Found",
            more=f"location: https://login.example/{KEY}/?next=/v2/{KEY}\r\n",
        ),
        Reason.REDIRECT,
    ),
    "a redirect on the same host": (
        http(b"", status="301 Moved", more=f"location: /login/{KEY}\r\n"),
        Reason.REDIRECT,
    ),
}


@pytest.mark.parametrize(("answer", "reason"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_batch_gives_its_reason_and_no_secret(answer, reason):
    assert fault(answer).reason is reason


def test_a_redirect_tells_the_host():
    assert fault(FAULTS["a redirect to a login page"][0]).detail == (
        "HTTP 302 to https://login.example"
    )


def test_an_rpcs_own_words_are_told():
    said = fault(FAULTS["an error object instead of a batch"][0])
    assert said.detail == "the batch was refused: error -32600: no batches, …"


def test_a_server_without_tls():
    assert fault(http(b""), scheme="https").reason is Reason.TLS


def test_a_server_that_never_answers():
    async def run():
        async def hang(reader, writer):
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, new_client() as client:
            await ask_batch(
                client,
                f"http://127.0.0.1:{port}/{KEY}",
                REQUESTS,
                first_id=1,
                timeout=0.05,
                limit=100,
            )

    with pytest.raises(SourceError) as error:
        asyncio.run(run())
    assert error.value.reason is Reason.TIMEOUT
    assert KEY not in str(error.value)


def test_a_port_where_nothing_listens():
    async def run(port):
        async with new_client() as client:
            url = f"http://127.0.0.1:{port}/{KEY}"
            await ask_batch(client, url, REQUESTS, first_id=1, timeout=5, limit=100)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError) as error:
            asyncio.run(run(taken.getsockname()[1]))
    assert error.value.reason is Reason.REFUSED
    assert KEY not in str(error.value)


WAITS = {
    "429": ("429 Too Many Requests", Reason.RATE_LIMITED),
    "a server that is away": ("503 Service Unavailable", Reason.HTTP_5XX),
}


@pytest.mark.parametrize(("status", "reason"), WAITS.values(), ids=WAITS)
def test_how_long_to_wait_is_told(status, reason):
    said = fault(http(b"{}", status=status, more="retry-after: 90\r\n"))
    assert (said.reason, said.retry_after) == (reason, 90.0)


def outcome(item: dict[str, object] | None, url: str = "http://h/") -> Outcome:
    """What the second of two calls comes to where it is answered so."""
    batch = results("0x1")
    if item is not None:
        batch.append({"jsonrpc": "2.0", "id": 42, **item})
    first, second = decode_batch(json.dumps(batch).encode(), 41, 2, url)
    assert first == "0x1"
    return second


OUTCOMES = {
    "a result": ({"result": "0x2"}, "0x2"),
    "an empty result": ({"result": "0x"}, "0x"),
    "half a batch": (None, Failed(Reason.WRONG_SHAPE, "a call was left unanswered")),
    "a null": ({"result": None}, Failed(Reason.INVALID_VALUE, "a call returned no text")),
    "nothing": ({}, Failed(Reason.INVALID_VALUE, "a call returned no text")),
    "a number": ({"result": 7}, Failed(Reason.INVALID_VALUE, "a call returned no text")),
    "geth": ({"error": error(3, "execution reverted", data="0x08c379a0")}, Reverted("0x08c379a0")),
    "geth without data": ({"error": error(-32000, "execution reverted")}, Reverted()),
    "ganache": (
        {"error": error(-32000, "VM Exception while processing transaction: revert", data="0x12")},
        Reverted("0x12"),
    ),
    "hardhat": ({"error": error(3, "reverted", data={"data": "0x12"})}, Reverted("0x12")),
    "OpenEthereum": ({"error": error(-32015, "VM", data="Reverted 0x12")}, Reverted("0x12")),
    "data that are none": ({"error": error(3, "", data=["0x12"])}, Reverted()),
    "a limit": ({"error": error(429, "slower")}, Failed(Reason.RATE_LIMITED, "error 429: slower")),
    "EIP-1474's limit": ({"error": error(-32005)}, Failed(Reason.RATE_LIMITED, "error -32005")),
    "a fault": (
        {"error": error(-32603, "oh\n no")},
        Failed(Reason.RPC_ERROR, "error -32603: oh no"),
    ),
    "an error of no kind": ({"error": "broken"}, Failed(Reason.RPC_ERROR, "error without a code")),
    "a code that is none": (
        {"error": error("x", None)},
        Failed(Reason.RPC_ERROR, "error without a code"),
    ),
    "an error beside a result": (
        {"result": "0x2", "error": error(-1, "no")},
        Failed(Reason.RPC_ERROR, "error -1: no"),
    ),
}


@pytest.mark.parametrize(("item", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_each_call_has_its_own_outcome(item, expected):
    assert outcome(item) == expected


def test_a_call_answered_twice_is_not_trusted():
    body = json.dumps(results("0x1", "0x2") + results("0x9")).encode()
    assert decode_batch(body, 41, 2, "http://h/") == [
        Failed(Reason.WRONG_SHAPE, "a call was answered twice"),
        "0x2",
    ]


def test_true_is_no_id():
    with pytest.raises(SourceError):
        decode_batch(b'[{"id":true,"result":"0x1"},{"id":1.0,"result":"0x1"}]', 1, 1, "http://h/")


@pytest.mark.parametrize(
    "url",
    [
        f"https://h/v2/{KEY}",
        f"https://h/?apikey={KEY}&x=1",
        f"https://user:{KEY}@h/",
        f"https://{KEY}@h/",
        f"https://h/v2/{KEY.replace('-', '%2D')}",
    ],
)
def test_an_error_that_repeats_the_key_does_not_show_it(url):
    said = outcome({"error": error(-32000, "x" * 110 + f" key {KEY} is not valid")}, url)
    assert isinstance(said, Failed)
    assert not any(KEY[:length] in said.detail for length in range(4, len(KEY)))


@given(st.permutations(range(6)), st.randoms())
def test_the_order_of_the_answers_makes_no_difference(order, rng: random.Random):
    whole = results(*(f"0x{n}" for n in range(6)))
    answered = [whole[place] for place in order][: rng.randint(1, 6)]
    kept = {item["id"] for item in answered}
    found = decode_batch(json.dumps(answered).encode(), 41, 6, "http://h/")
    for place, value in enumerate(found):
        if 41 + place in kept:
            assert value == f"0x{place}"
        else:
            assert isinstance(value, Failed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda part: (
        st.lists(part, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "result", "error", "code", "message", "data"]), part
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_outcomes_or_one_fault(content):
    try:
        found = decode_batch(json.dumps(content).encode(), 0, 2, f"http://h/{KEY}")
    except SourceError as problem:
        assert len(problem.detail) < 200
        return
    assert len(found) == 2


@given(st.binary(max_size=60))
def test_any_bytes_are_outcomes_or_one_fault(body):
    try:
        assert len(decode_batch(body, 0, 1, "http://h/")) == 1
    except SourceError as problem:
        assert problem.reason in (Reason.INVALID_JSON, Reason.WRONG_SHAPE)
