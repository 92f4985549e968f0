"""One JSON-RPC batch over HTTP (JSON-RPC 2.0, section 6): an outcome for every call of it.

Errors as Ethereum's nodes and their hosts word them (geth, reth, anvil, Alchemy). The address of
an RPC may hold a key: no detail tells more of it than scheme, host and port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from swarm_exporter.addresses import origin_of
from swarm_exporter.durations import format_duration
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import post_json, refuse_other_than_json

#: -32005 is EIP-1474's "limit exceeded"; hosts put HTTP's status into the code.
_RATE_CODES = (429, -32005)
#: geth's "execution reverted", and OpenEthereum's "VM execution error".
_REVERT_CODES = (3, -32015)
_LONGEST_QUOTE = 120
#: Shorter parts of an address are words such as `v2`, and no keys.
_SHORTEST_SECRET = 4


class Request(msgspec.Struct, frozen=True):
    """One call of a batch."""

    method: str
    params: Sequence[object] = ()


class Failed(msgspec.Struct, frozen=True):
    """A call of which nothing is known, and why."""

    reason: Reason
    detail: str


class Reverted(msgspec.Struct, frozen=True):
    """A call that the contract itself refused."""

    #: Revert data in hexadecimal with `0x`; empty where the RPC gives none.
    data: str = ""


#: The text that a call returned, or why there is none.
Outcome = str | Failed | Reverted


async def ask_batch(
    client: httpx.AsyncClient,
    url: str,
    requests: Sequence[Request],
    *,
    first_id: int,
    timeout: float,
    limit: int,
) -> list[Outcome]:
    """Send all `requests` as one batch; return their outcomes in the order of the requests.

    `first_id` and on are the ids: a number that no earlier batch had tells an old answer from
    this one. `timeout` in seconds is for the whole, `limit` in bytes for the answer.
    Raises SourceError where no call was answered.
    """
    body = msgspec.json.encode(
        [
            {"jsonrpc": "2.0", "id": first_id + place, "method": r.method, "params": r.params}
            for place, r in enumerate(requests)
        ]
    )
    try:
        answer = await asyncio.wait_for(
            post_json(client, url, body, timeout=timeout, limit=limit), timeout
        )
    except asyncio.TimeoutError:
        raise SourceError(
            Reason.TIMEOUT,
            f"no answer within {format_duration(timeout)} from {origin_of(url)}",
        ) from None
    refuse_other_than_json(answer, private=True)
    return decode_batch(answer.body, first_id, len(requests), url)


def decode_batch(body: bytes | bytearray, first_id: int, count: int, url: str) -> list[Outcome]:
    """Return the outcomes of calls `first_id` to `first_id + count - 1`, in this order.

    Raises SourceError where the body is no answer to this batch.
    """
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise SourceError(Reason.INVALID_JSON, "the answer is not whole, valid JSON") from None
    if isinstance(content, dict) and isinstance(content.get("error"), dict):
        failed = _failed(content["error"], url)
        raise SourceError(failed.reason, f"the batch was refused: {failed.detail}")
    if not isinstance(content, list):
        raise SourceError(Reason.WRONG_SHAPE, "JSON, but no answer to a JSON-RPC batch")
    answers: dict[int, list[Mapping[str, object]]] = {}
    for item in content:
        # An id of another type is another id (section 5), and `true` is no 1.
        if isinstance(item, dict) and type(item.get("id")) is int:
            answers.setdefault(item["id"], []).append(item)
    outcomes = [
        _outcome(answers.get(number, []), url) for number in range(first_id, first_id + count)
    ]
    if not any(number in answers for number in range(first_id, first_id + count)):
        raise SourceError(Reason.WRONG_SHAPE, "the answers are to other questions (ids)")
    return outcomes


def _outcome(answers: Sequence[Mapping[str, object]], url: str) -> Outcome:
    if not answers:
        return Failed(Reason.WRONG_SHAPE, "a call was left unanswered")
    if len(answers) > 1:
        return Failed(Reason.WRONG_SHAPE, "a call was answered twice")
    (answer,) = answers
    error = answer.get("error")
    if error is not None:
        return _refusal(error, url) if isinstance(error, dict) else _failed({}, url)
    result = answer.get("result")
    if not isinstance(result, str):
        return Failed(Reason.INVALID_VALUE, "a call returned no text")
    return result


def _refusal(error: Mapping[str, object], url: str) -> Outcome:
    """Tell a contract's refusal from a fault of the RPC."""
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if isinstance(data, dict):
        # Hardhat wraps it.
        data = data.get("data")
    # OpenEthereum writes "Reverted 0x…".
    text = data.removeprefix("Reverted ") if isinstance(data, str) else ""
    said = isinstance(message, str) and "revert" in message.lower()
    if code in _REVERT_CODES or said:
        return Reverted(text if text.startswith("0x") else "")
    return _failed(error, url)


def _failed(error: Mapping[str, object], url: str) -> Failed:
    code, message = error.get("code"), error.get("message")
    number = code if type(code) is int and abs(code) < 1_000_000 else "without a code"
    text = _without_secrets(message, url) if isinstance(message, str) else ""
    line = "".join(c if c.isprintable() else " " for c in text)[:_LONGEST_QUOTE]
    line = " ".join(line.split())
    detail = f"error {number}" + (f": {line}" if line else "")
    return Failed(Reason.RATE_LIMITED if code in _RATE_CODES else Reason.RPC_ERROR, detail)


def _without_secrets(text: str, url: str) -> str:
    """Return `text` without anything that `url` has besides its host."""
    parts = urlsplit(url)
    pieces = {parts.username or "", parts.password or ""}
    pieces |= set(parts.path.split("/"))
    for pair in parts.query.split("&"):
        pieces |= {pair, pair.partition("=")[2]}
    pieces |= {unquote(piece) for piece in pieces}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SHORTEST_SECRET:
            text = text.replace(piece, "…")
    return text
