"""One API server as an ASGI app: upstream's routes, status codes and headers (v0.3.1 to v0.4.4)."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from swarm_exporter.demo.leaderboard import Json, Leaderboard, ServerError

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>RL Swarm (simulated)</title></head>
<body>The API is below <a href="/api/leaderboard">/api</a>.</body>
</html>
"""


def build_api(board: Leaderboard, now: Callable[[], float]) -> Starlette:
    """Return the app that serves `board`; `now` tells the time in Unix seconds."""
    answers: dict[str, Callable[[Request], Json]] = {
        "healthz": lambda _: board.healthz(now()),
        "round_and_stage": lambda _: board.round_and_stage(),
        "leaderboard": lambda _: board.leaderboard(),
        "leaderboard-cumulative": lambda _: board.leaderboard_cumulative(),
        "rewards-history": lambda _: board.rewards_history(),
        "gossip": lambda _: board.gossip(),
        "name-to-id": lambda request: board.name_to_id(request.query_params.get("name", "")),
    }
    handlers: dict[type[Exception], ExceptionHandler] = {
        HTTPException: _refuse,
        ServerError: _fail,
    }
    return Starlette(
        routes=[
            *(_GetRoute(f"/api/{name}", _endpoint(answer)) for name, answer in answers.items()),
            _GetRoute("/{path:path}", _page),
        ],
        exception_handlers=handlers,
    )


class _GetRoute(Route):
    """A route for GET alone, as FastAPI makes them; Starlette's own answer HEAD as well."""

    def __init__(self, path, endpoint) -> None:
        super().__init__(path, endpoint)
        self.methods = {"GET"}


def _endpoint(answer: Callable[[Request], Json]):
    async def endpoint(request: Request) -> Response:
        return _json(answer(request))

    return endpoint


async def _page(_: Request) -> Response:
    """Answer any path that is no route: upstream serves its web page there, with status 200."""
    return HTMLResponse(
        _PAGE,
        headers={
            "cache-control": "no-store, no-cache, must-revalidate, proxy-revalidate",
            "pragma": "no-cache",
            "expires": "0",
        },
    )


def _json(body: Json, status: int = 200, headers=None) -> Response:
    """Encode as upstream does; what is no JSON number ends in its error."""
    try:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return _json(
            {
                "detail": "Internal Server Error",
                "message": "Out of range float values are not JSON compliant",
            },
            500,
        )
    return Response(content, status, headers, media_type="application/json")
