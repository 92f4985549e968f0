from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest

from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import get_json, new_client

LIMIT = 1000


@contextlib.asynccontextmanager
async def server(answer: bytes, *, hang: bool = False) -> AsyncIterator[str]:
    """A server that sends these very bytes, whatever it is asked."""

    connections: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if hang:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with listener:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        await asyncio.gather(*connections)


def response(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", more=""
) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def ask(answer: bytes, *, timeout: float = 5.0, hang: bool = False, path: str = "/api/x"):
    async def run():
        async with server(answer, hang=hang) as url, new_client() as client:
            return await get_json(client, url + path, timeout=timeout, limit=LIMIT)

    return asyncio.run(run())


def fault(answer: bytes, **how) -> SourceError:
    with pytest.raises(SourceError) as error:
        ask(answer, **how)
    assert error.value.detail
    assert error.value.__cause__ is None
    return error.value


def test_a_json_answer_comes_whole():
    answer = ask(response(b'{"round":1}', more="age: 7\r\n"))
    assert bytes(answer.body) == b'{"round":1}'
    assert answer.age == 7.0
    assert answer.retry_after is None


LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>404: This page could not be found</title></html>"
RECORDED_NAN = (
    b'{"detail":"Internal Server Error",'
    b'"message":"Out of range float values are not JSON compliant"}'
)
FAULTS = {
    "the login app": (response(LOGIN_PAGE, status="404 Not Found", kind="text/html"), Reason.HTML),
    "upstream's page for an unknown path": (response(LOGIN_PAGE, kind="text/html"), Reason.HTML),
    "a page that says it is JSON": (response(b"  <html></html>"), Reason.HTML),
    "a later upstream": (
        response(b'{"detail":"Not Found"}', status="404 Not Found"),
        Reason.NOT_FOUND,
    ),
    "a peer's NaN": (response(RECORDED_NAN, status="500 Internal Server Error"), Reason.NAN),
    "a server error": (
        response(b'{"detail":"x"}', status="500 Internal Server Error"),
        Reason.HTTP_5XX,
    ),
    "a proxy's error": (
        response(b"", status="502 Bad Gateway", kind="text/plain"),
        Reason.HTTP_5XX,
    ),
    "a proxy's error page": (
        response(LOGIN_PAGE, status="502 Bad Gateway", kind="text/html"),
        Reason.HTTP_5XX,
    ),
    "asked too often": (response(b"{}", status="429 Too Many Requests"), Reason.RATE_LIMITED),
    "asked too often, with a page": (
        response(LOGIN_PAGE, status="429 Too Many Requests", kind="text/html"),
        Reason.RATE_LIMITED,
    ),
    "no permission": (response(b"{}", status="401 Unauthorized"), Reason.HTTP_4XX),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Reason.HTTP_4XX),
    "an empty body": (response(b""), Reason.EMPTY),
    "a body of spaces": (response(b"   \n"), Reason.EMPTY),
    "a redirect": (
        response(b"", status="302 Found", more="location: http://user:secret@b.example/?k=1\r\n"),
        Reason.REDIRECT,
    ),
    "half a body": (response(b'{"round":1}')[:-4], Reason.CONNECTION),
    "nothing at all": (b"", Reason.CONNECTION),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.CONNECTION),
    "too large a body": (response(b"[" + b" " * LIMIT + b"]"), Reason.TOO_LARGE),
    "an endless body": (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"400\r\n"
        + b"x" * 1024
        + b"\r\n",
        Reason.TOO_LARGE,
    ),
    "a compressed body": (
        response(b"\x1f\x8b", more="content-encoding: gzip\r\n"),
        Reason.INVALID_JSON,
    ),
}


@pytest.mark.parametrize(("answer", "reason"), FAULTS.values(), ids=FAULTS)
def test_every_other_answer_gives_its_reason(answer, reason):
    assert fault(answer).reason is reason


BODY = b'{"a":"' + bytes(range(97, 123)) * 30 + b'"}'


@pytest.mark.parametrize(
    "sent",
    [
        response(BODY),
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (BODY[:7], BODY[7:500], BODY[500:]))
        + b"0\r\n\r\n",
    ],
    ids=["with its length", "to the end of the connection", "in chunks"],
)
def test_a_body_is_whole_however_it_comes(sent):
    assert ask(sent).body == BODY


def test_a_length_that_is_too_large_takes_no_more_memory_than_the_limit():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"
    assert fault(head + b"x" * (LIMIT + 1)).reason is Reason.TOO_LARGE


def test_a_large_body_is_held_once():
    """The server sends from a thread without a copy: what is taken is the client's."""
    size = 8 * 2**20
    sent = response(b"[" + b"1" * (size - 2) + b"]")

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(sent)

    async def run(url: str) -> int:
        async with new_client() as client:
            tracemalloc.start()
            try:
                answer = await get_json(client, url, timeout=30, limit=2 * size)
                assert len(answer.body) == size
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sending = threading.Thread(target=serve, args=[listener])
        sending.start()
        peak = asyncio.run(run(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        sending.join()
    assert peak < 1.5 * size


def test_a_redirect_tells_where_to_without_secrets():
    error = fault(FAULTS["a redirect"][0])
    assert "b.example" in error.detail
    assert "secret" not in error.detail
    assert "k=1" not in error.detail


def test_a_server_that_never_answers():
    assert fault(b"", hang=True, timeout=0.05).reason is Reason.TIMEOUT


def test_a_server_that_stops_in_the_middle():
    half = response(b'{"round":1}')[:-4]
    assert fault(half, hang=True, timeout=0.05).reason is Reason.TIMEOUT


def unreachable(url: str) -> SourceError:
    async def run():
        async with new_client() as client:
            await get_json(client, url, timeout=5.0, limit=LIMIT)

    with pytest.raises(SourceError) as error:
        asyncio.run(run())
    return error.value


def test_a_port_where_nothing_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    error = unreachable(f"http://user:secret@127.0.0.1:{port}/api/x")
    assert error.reason is Reason.REFUSED
    assert "secret" not in str(error)
    assert f"127.0.0.1:{port}" in error.detail


def test_a_name_that_nobody_knows():
    assert unreachable("http://no-such-host.invalid/api/x").reason is Reason.DNS


def test_tls_where_there_is_none():
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def run():
        listener = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, new_client() as client:
            await get_json(client, f"https://127.0.0.1:{port}", timeout=5.0, limit=LIMIT)

    with pytest.raises(SourceError) as error:
        asyncio.run(run())
    assert error.value.reason is Reason.TLS


def test_a_body_that_is_quoted_is_one_printable_line():
    error = fault(response(b'{"a":"\x1b[31m\n\n' + b"x" * 900, status="500 Oops"))
    assert error.detail.isprintable()
    assert len(error.detail) < 160


NOON = "Sun, 06 Nov 1994 12:00:00 GMT"
RETRY_AFTER = {
    "seconds": ("retry-after: 120\r\n", 120.0),
    "now": ("retry-after: 0\r\n", 0.0),
    "a date by the server's own clock": (
        f"date: {NOON}\r\nretry-after: Sun, 06 Nov 1994 12:01:30 GMT\r\n",
        90.0,
    ),
    "a date of the form of RFC 850": (
        f"date: {NOON}\r\nretry-after: Sunday, 06-Nov-94 12:00:10 GMT\r\n",
        10.0,
    ),
    "a date that has passed": (f"date: {NOON}\r\nretry-after: {NOON}\r\n", 0.0),
    "a date long ago, without a date of the answer": (f"retry-after: {NOON}\r\n", 0.0),
    "more than an hour": ("retry-after: 86400\r\n", 3600.0),
    "a date in years, without a date of the answer": (
        "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
        3600.0,
    ),
    "for ever": (f"retry-after: {'9' * 20}\r\n", 3600.0),
    "below zero": ("retry-after: -5\r\n", None),
    "half seconds": ("retry-after: 1.5\r\n", None),
    "words": ("retry-after: later, please\r\n", None),
    "no real date": ("retry-after: Sun, 99 Nov 1994 99:00:00 GMT\r\n", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(("head", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_a_refusal_tells_when_to_come_back_an_hour_at_most(head, seconds, status):
    assert fault(response(b"{}", status=status, more=head)).retry_after == seconds


def test_each_address_of_this_machine_has_connections_of_its_own(monkeypatch):
    """And none goes through a proxy, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    pools = set()
    asked = httpx.AsyncHTTPTransport.handle_async_request

    async def noted(self, request):
        pools.add(self)
        return await asked(self, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", noted)

    async def run():
        async with (
            new_client() as client,
            server(response(b"[1]")) as one,
            server(response(b"[2]")) as two,
        ):
            answers = [
                await get_json(client, url, timeout=5, limit=LIMIT) for url in (one, two, one)
            ]
        return [bytes(answer.body) for answer in answers]

    assert asyncio.run(run()) == [b"[1]", b"[2]", b"[1]"]
    assert len(pools) == 2
