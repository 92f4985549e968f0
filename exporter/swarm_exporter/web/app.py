"""The ASGI application: /metrics, the status page and its document, health, reload."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from swarm_exporter.clock import Clock
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.metrics.render import Renderer
from swarm_exporter.model import Snapshot
from swarm_exporter.status import StatusDocument, status_document
from swarm_exporter.web.page import CONTENT_SECURITY_POLICY, asset, render_index

_SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_NO_STORE = {"cache-control": "no-store"}
#: With hundreds of nodes polls end all the time: making the metrics anew may take this share of the
#: processor, whoever scrapes how often. What is cheaper than this is made anew at once.
_SHARE_OF_RENDERING = 0.1
_CHEAP_SECONDS = 0.01


class Views(msgspec.Struct, frozen=True):
    """What the application needs of the rest of the program."""

    snapshot: Callable[[], Snapshot]
    clock: Clock
    #: How often the page asks again, seconds.
    refresh_seconds: Callable[[], float]
    #: Loads the configuration anew; raises SwarmExporterError. None: the endpoint is not there.
    reload: Callable[[], Awaitable[None]] | None = None


def create_app(views: Views) -> Starlette:
    """Return the application over `views`."""
    pages = _Pages(views)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/metrics", pages.metrics),
            Route("/api/status", pages.status),
            Route("/page/{name}", pages.static),
            Route("/-/healthy", pages.healthy),
            Route("/-/ready", pages.ready),
            Route("/-/reload", pages.reload, methods=["POST"]),
        ]
    )


class _Pages:
    """What is answered on each path."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._renderer = Renderer()
        self._rendered: Snapshot | None = None
        #: Until when, by the clock's monotonic time, it is shown whatever has changed.
        self._rests_until = 0.0

    async def metrics(self, request: Request) -> Response:
        compress = _accepts_gzip(request.headers.get("accept-encoding", ""))
        accept = request.headers.get("accept", "")
        began = time.thread_time()
        if self._rendered is None or self._views.clock.monotonic() >= self._rests_until:
            self._rendered = self._views.snapshot()
        body, content_type = self._renderer.render(self._rendered, accept, compress=compress)
        took = time.thread_time() - began
        if took > _CHEAP_SECONDS:
            self._rests_until = self._views.clock.monotonic() + took / _SHARE_OF_RENDERING
        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if compress:
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)

    async def status(self, _: Request) -> Response:
        return Response(
            msgspec.json.encode(self._document()),
            headers={"content-type": "application/json", **_NO_STORE},
        )

    async def index(self, _: Request) -> Response:
        return Response(
            render_index(self._document()),
            headers={"content-type": "text/html; charset=utf-8", **_NO_STORE, **_SECURITY_HEADERS},
        )

    async def static(self, request: Request) -> Response:
        found = asset(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        body, content_type = found
        return Response(body, headers={"content-type": content_type, **_SECURITY_HEADERS})

    async def healthy(self, _: Request) -> Response:
        return PlainTextResponse("swarm-exporter is healthy.\n")

    async def ready(self, _: Request) -> Response:
        if self._views.snapshot().exporter.ready:
            return PlainTextResponse("swarm-exporter is ready.\n")
        return PlainTextResponse("Some sources have not been asked yet.\n", 503)

    async def reload(self, _: Request) -> Response:
        if self._views.reload is None:
            return PlainTextResponse(
                "Reloading by HTTP is off: set `reload_endpoint: true`, or send SIGHUP.\n", 403
            )
        try:
            await self._views.reload()
        except SwarmExporterError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("The configuration is in force.\n")

    def _document(self) -> StatusDocument:
        views = self._views
        return status_document(views.snapshot(), views.clock.time(), views.refresh_seconds())


def _accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether a client takes gzip (RFC 9110, section 12.5.3): named, and not with q=0."""
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
