"""One bounded HTTP request: an answer within its limits, or a fault with its reason."""

from __future__ import annotations

import email.utils
import re
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timezone

import httpx
import msgspec

from swarm_exporter.addresses import origin_of, redact_url
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: A fault's detail quotes at most this much of what an address answered.
_QUOTED_CHARACTERS = 120
_IDLE_CONNECTION_SECONDS = 4.0
_LIMITS = httpx.Limits(
    max_connections=None,
    max_keepalive_connections=100,
    keepalive_expiry=_IDLE_CONNECTION_SECONDS,
)
_SECONDS = re.compile(r"[0-9]{1,20}")
_LENGTH = re.compile(r"[0-9]{1,12}")


#: Proxies from the environment serve remote addresses; loopback never goes through one.
LOOPBACK_IS_DIRECT = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, as it came."""

    status: int
    content_type: str
    body: bytearray
    #: Where it redirects to, without credentials or query; empty where it does not.
    location: str
    #: How long a cache on the way has held it, seconds (RFC 9111, section 5.1).
    age: float
    #: Seconds for which it asks to be left alone (Retry-After); None where it does not.
    retry_after: float | None


class _PoolForEach(httpx.AsyncBaseTransport):
    """Connections in a pool for each address: one pool of all looks at each for each request."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str, int | None], httpx.AsyncHTTPTransport] = {}
        self._context = httpx.create_ssl_context()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask through the pool of the request's address."""
        origin = (request.url.scheme, request.url.host, request.url.port)
        pool = self._pools.get(origin)
        if pool is None:
            # The addresses are those of a configuration, and of the few before it.
            pool = httpx.AsyncHTTPTransport(verify=self._context, limits=_LIMITS)
            self._pools[origin] = pool
        return await pool.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()


def new_client() -> httpx.AsyncClient:
    """Return the client that all sources share.

    Idle connections are dropped before uvicorn's 5 s keep-alive ends under a request.
    """
    direct = _PoolForEach()
    return httpx.AsyncClient(
        follow_redirects=False,
        headers={"accept": "application/json", "accept-encoding": "identity"},
        limits=_LIMITS,
        mounts=dict.fromkeys(LOOPBACK_IS_DIRECT, direct),
    )


async def get(client: httpx.AsyncClient, url: str, *, timeout: float, limit: int) -> Answer:
    """GET `url`; return the answer whatever its status, with at most `limit` bytes of body.

    `timeout` in seconds is for each step (connect, each read); the caller bounds the whole.
    Raises SourceError where no whole answer within the limit came.
    """
    return await _ask(client, "GET", url, None, timeout, limit, redact_url(url))


async def post_json(
    client: httpx.AsyncClient, url: str, body: bytes, *, timeout: float, limit: int
) -> Answer:
    """POST a JSON `body` to `url`; return the answer whatever its status, as `get` does.

    The path may hold a key as well, so a fault names no more than scheme, host and port.
    """
    return await _ask(client, "POST", url, body, timeout, limit, origin_of(url))


async def _ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    content: bytes | None,
    timeout: float,
    limit: int,
    where: str,
) -> Answer:
    """Ask once; `where` is what a fault may tell of the address."""
    headers = {"content-type": "application/json"} if content is not None else None
    request = client.stream(method, url, content=content, headers=headers, timeout=timeout)
    try:
        async with request as response:
            body = await _bounded_body(response, limit)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise _error_of(error, where) from None
    age = response.headers.get("age", "")
    return Answer(
        status=response.status_code,
        content_type=response.headers.get("content-type", "").lower(),
        body=body,
        location=redact_url(response.headers.get("location", "")),
        age=float(age) if age.isdecimal() and len(age) < 10 else 0.0,
        retry_after=_retry_after(response.headers),
    )


async def get_json(client: httpx.AsyncClient, url: str, *, timeout: float, limit: int) -> Answer:
    """GET `url`; return the answer where it is a 200 with a body that can be JSON.

    Raises SourceError with the reason for everything else.
    """
    answer = await get(client, url, timeout=timeout, limit=limit)
    refuse_other_than_json(answer)
    return answer


def refuse_other_than_json(answer: Answer, *, private: bool = False) -> None:
    """Raise the SourceError that tells what an answer is, unless it is a 200 with JSON in it.

    `private` says that the address asked holds a key, which the answer may repeat: then nothing
    of its text is told, and of where it redirects to only scheme, host and port.
    """
    refusal = _refusal(answer, private=private)
    if refusal is not None:
        reason, detail = refusal
        raise SourceError(reason, detail, retry_after=answer.retry_after)


def _refusal(answer: Answer, *, private: bool) -> tuple[Reason, str] | None:
    status = answer.status
    page = "html" in answer.content_type or answer.body[:64].lstrip().startswith(b"<")
    text = "" if private else f": {quote(answer.body)}"
    said = f"HTTP {status} with a web page" if page else f"HTTP {status}{text}"
    if 300 <= status < 400:
        location = origin_of(answer.location) if private else answer.location
        return Reason.REDIRECT, f"HTTP {status} to {location or 'nowhere'}"
    # What stands before a service says these with pages of its own.
    if status == 429:
        return Reason.RATE_LIMITED, said
    if status >= 500:
        # Starlette's JSON encoder refuses NaN with this text (recorded from v0.4.4).
        nan = b"Out of range float values" in answer.body
        return Reason.NAN if nan else Reason.HTTP_5XX, said
    if page:
        return Reason.HTML, said
    if status == 404:
        return Reason.NOT_FOUND, said
    if status != 200:
        return Reason.HTTP_4XX, said
    # A body stripped of white space would be a second one.
    if not answer.body or answer.body.isspace():
        return Reason.EMPTY, "HTTP 200 without a body"
    return None


def quote(body: bytes | bytearray) -> str:
    """Return the beginning of a body as one printable line."""
    text = bytes(body[: 4 * _QUOTED_CHARACTERS]).decode("utf-8", "replace")
    line = "".join(c if c.isprintable() else " " for c in text)[:_QUOTED_CHARACTERS]
    return " ".join(line.split()) or "no body"


async def _bounded_body(response: httpx.Response, limit: int) -> bytearray:
    if response.headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise SourceError(Reason.INVALID_JSON, "the answer is compressed although not asked to be")
    # Where the length is told the body has its place from the beginning: one that grows is moved,
    # and held twice meanwhile. Memory is taken as it is written to, so a false length costs none.
    told = response.headers.get("content-length", "")
    length = int(told) if _LENGTH.fullmatch(told) else 0
    body = bytearray(min(length, limit))
    filled = 0
    async for chunk in response.aiter_raw():
        end = filled + len(chunk)
        if end > limit:
            raise SourceError(Reason.TOO_LARGE, f"more than {limit} bytes")
        body[filled:end] = chunk
        filled = end
    del body[filled:]
    return body


def _retry_after(headers: httpx.Headers) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3); None where it is neither."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    # By the server's own clock, where it says what time it thinks it is.
    now = _http_date(headers.get("date", ""))
    return max(until - (time.time() if now is None else now), 0.0)


def _http_date(text: str) -> float | None:
    """Read a date, Unix seconds."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    # GMT is all that HTTP knows; a date without a zone is meant so.
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def _error_of(error: Exception, where: str) -> SourceError:
    """Find the reason in an exception and what caused it; its own text may hold the URL."""
    for cause in _causes(error):
        if isinstance(cause, (httpx.TimeoutException, TimeoutError)):
            return SourceError(Reason.TIMEOUT, f"no answer in time from {where}")
        if isinstance(cause, ssl.SSLError):
            return SourceError(Reason.TLS, f"{where}: {cause.reason or type(cause).__name__}")
        if isinstance(cause, socket.gaierror):
            return SourceError(Reason.DNS, f"{where}: {cause.strerror}")
        if isinstance(cause, ConnectionRefusedError):
            return SourceError(Reason.REFUSED, f"connection refused at {where}")
    return SourceError(Reason.CONNECTION, f"{where}: {type(error).__name__}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it, groups included, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [c for c in (cause.__cause__, cause.__context__) if c is not None]
        waiting += getattr(cause, "exceptions", ())
