"""One API server as an ASGI app: upstream's routes, status codes and headers (v0.3.1 to v0.4.4)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from swarm_exporter.demo.leaderboard import Json, Leaderboard, ServerError

_Answer = Callable[[Request], Json]
_Endpoint = Callable[[Request], Awaitable[Response]]

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>RL Swarm (simulated)</title></head>
<body>This is no RL Swarm but a simulation; its leaderboard is at
<a href="/api/leaderboard">/api/leaderboard</a>.</body>
</html>
"""
_PAGE_HEADERS = {
    "cache-control": "no-store, no-cache, must-revalidate, proxy-revalidate",
    "pragma": "no-cache",
    "expires": "0",
}


def build_api(board: Leaderboard, now: Callable[[], float]) -> Starlette:
    """Return the app that serves `board`; `now` tells the time in Unix seconds."""
    answers: dict[str, _Answer] = {
        "healthz": lambda _: board.healthz(now()),
        "round_and_stage": lambda _: board.round_and_stage(),
        "leaderboard": lambda _: board.leaderboard(),
        "leaderboard-cumulative": lambda _: board.leaderboard_cumulative(),
        "rewards-history": lambda _: board.rewards_history(),
        "gossip": lambda _: board.gossip(),
        "name-to-id": lambda request: board.name_to_id(request.query_params.get("name", "")),
    }
    return Starlette(
        routes=[
            *(_GetRoute(f"/api/{name}", _endpoint(answer)) for name, answer in answers.items()),
            _GetRoute("/{path:path}", _page),
        ],
        exception_handlers={405: _refuse},
    )


class _GetRoute(Route):
    """A route for GET alone, as FastAPI's are; Starlette's answer HEAD as well."""

    def __init__(self, path: str, endpoint: _Endpoint) -> None:
        super().__init__(path, endpoint)
        self.methods = {"GET"}


def _endpoint(answer: _Answer) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(answer(request))
        except ServerError as error:
            return _json(error.body, 500)

    return endpoint


async def _page(_: Request) -> Response:
    """Answer a path that is no route: upstream serves its web page there, with status 200."""
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


async def _refuse(_: Request, __: Exception) -> Response:
    return _json({"detail": "Method Not Allowed"}, 405, {"allow": "GET"})


def _json(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Encode a body as upstream does: compact, and an error where a number is NaN or Infinity."""
    try:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise ServerError(
            detail="Internal Server Error",
            message="Out of range float values are not JSON compliant",
        ) from None
    return Response(content, status, headers, media_type="application/json")
