"""Asking every machine's exporter whether it is there, all at the same time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import httpx
import msgspec

from swarm_exporter.sd.machine import Machine

_AT_ONCE = 100
_ENOUGH_BYTES = 4096
_SAYS = b"swarm-exporter"
_LOGIN = (401, 403)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine said."""

    machine: str
    address: str
    #: True where its exporter, or the proxy before it that wants a login, is there.
    ok: bool
    #: What is wrong and what to do, or that a login is asked for; empty where all is well.
    detail: str = ""


async def ask_all(
    machines: Sequence[Machine], *, timeout: float, trusted: ssl.SSLContext | bool = True
) -> tuple[Answer, ...]:
    """Return every machine's answer, in order. `timeout` is in seconds, for each."""
    gate = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(
        trust_env=False, verify=trusted, timeout=timeout, limits=httpx.Limits(max_connections=None)
    ) as client:

        async def ask(machine: Machine) -> Answer:
            async with gate:
                ok, detail = await _ask(client, machine, timeout)
            return Answer(machine=machine.name, address=machine.address, ok=ok, detail=detail)

        return tuple(await asyncio.gather(*map(ask, machines)))


async def _ask(client: httpx.AsyncClient, machine: Machine, timeout: float) -> tuple[bool, str]:
    url = f"{machine.scheme}://{machine.address}/-/healthy"
    try:
        status, body = await asyncio.wait_for(_get(client, url), timeout)
    except (httpx.TimeoutException, TimeoutError, asyncio.TimeoutError):
        return False, f"no answer within {timeout:g} s: is it on, and its firewall open?"
    except httpx.ConnectError as error:
        return False, _unreachable(error)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False, "what answers speaks no HTTP: is it TLS? then __scheme__=https"
    if status in _LOGIN:
        return True, "asks for a login"
    if status != 200 or _SAYS not in body:
        return False, f"another program answers there (HTTP {status}): correct the port"
    return True, ""


async def _get(client: httpx.AsyncClient, url: str) -> tuple[int, bytes]:
    body = b""
    async with client.stream("GET", url) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _ENOUGH_BYTES:
                break
        return response.status_code, body


def _unreachable(error: httpx.ConnectError) -> str:
    text = str(error).lower()
    if "certificate" in text:
        return "its certificate is not trusted: give --ca-file"
    if "ssl" in text or "tls" in text:
        return "it does not speak TLS: leave __scheme__=https out"
    if "name" in text or "nodename" in text:
        return "its name is not known: correct it, or write its address"
    return "nothing listens there: start its exporter with --listen beyond loopback"
