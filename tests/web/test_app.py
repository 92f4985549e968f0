from __future__ import annotations

import asyncio
import gzip

import httpx
import msgspec
import pytest

from support import ManualClock, make_snapshot
from swarm_exporter.errors import ConfigError
from swarm_exporter.status import StatusDocument
from swarm_exporter.web.app import Views, create_app


def ask(
    path: str,
    *,
    method: str = "GET",
    headers=None,
    snapshot=None,
    reload=None,
    accept_encoding="identity",
) -> httpx.Response:
    shown = snapshot or make_snapshot()
    app = create_app(
        Views(
            snapshot=lambda: shown,
            clock=ManualClock(),
            refresh_seconds=lambda: 15.0,
            reload=reload,
        )
    )

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(
                method, path, headers={"accept-encoding": accept_encoding, **(headers or {})}
            )

    return asyncio.run(run())


def test_metrics_as_text():
    answer = ask("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'swarm_rank{node="1"} 1.0' in answer.text


def test_metrics_as_openmetrics():
    answer = ask("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("x-gzip-like", False),
    ],
)
def test_metrics_are_compressed_for_who_takes_it(accepted, packed):
    answer = ask("/metrics", accept_encoding=accepted)
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert "swarm_rank" in answer.text, "httpx has unpacked it"
    assert answer.headers["vary"] == "accept, accept-encoding"


def test_scrapes_without_end_do_not_take_the_processor(monkeypatch):
    monkeypatch.setattr("swarm_exporter.web.app._CHEAP_SECONDS", 0.0)
    clock, shown = ManualClock(), []

    def snapshot():
        shown.append(make_snapshot())
        return shown[-1]

    app = create_app(Views(snapshot=snapshot, clock=clock, refresh_seconds=lambda: 15.0))

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for _ in range(5):
                assert (await client.get("/metrics")).status_code == 200
            assert len(shown) == 1, "what was dear is shown for ten times as long as it took"
            await clock.advance(60)
            await client.get("/metrics")
            assert len(shown) == 2

    asyncio.run(run())


def test_compression_makes_it_smaller():
    plain, packed = ask("/metrics"), ask("/metrics", accept_encoding="gzip")
    assert int(packed.headers["content-length"]) * 2 < int(plain.headers["content-length"])
    assert gzip.compress(plain.content, 1, mtime=0)[:2] == b"\x1f\x8b"


def test_status_is_the_document():
    answer = ask("/api/status")
    assert answer.headers["cache-control"] == "no-store"
    document = msgspec.json.decode(answer.content, type=StatusDocument)
    assert [node.node for node in document.nodes] == ["1", "2"]
    assert document.nodes[0].rank == 1
    assert document.nodes[1].reason == "not earned for 5h"
    assert document.swarm.top[0].nodes == ["1"]
    assert document.swarm.quantiles == {"0.5": 2.25, "0.9": 5.25, "0.99": 5.925, "1": 6.0}


def test_the_page_and_what_it_loads():
    page = ask("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name, kind in (("style.css", "text/css"), ("app.js", "text/javascript")):
        assert f"/page/{name}" in page.text
        answer = ask(f"/page/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    assert ask("/page/../status.py").status_code == 404
    assert ask("/page/secrets").status_code == 404


def test_health_is_independent_of_readiness():
    snapshot = make_snapshot()
    exporter = msgspec.structs.replace(snapshot.exporter, ready=False)
    waiting = msgspec.structs.replace(snapshot, exporter=exporter)
    assert ask("/-/healthy", snapshot=waiting).status_code == 200
    assert ask("/-/ready", snapshot=waiting).status_code == 503
    assert ask("/-/ready").status_code == 200


async def accepted() -> None:
    pass


async def refused() -> None:
    raise ConfigError('swarm.yml:3: intervall: unknown key; did you mean "interval"?')


def test_reload():
    assert ask("/-/reload", method="POST", reload=accepted).status_code == 200
    answer = ask("/-/reload", method="POST", reload=refused)
    assert (answer.status_code, "swarm.yml:3" in answer.text) == (400, True)
    assert ask("/-/reload", reload=accepted).status_code == 405


def test_reload_is_off_by_default():
    answer = ask("/-/reload", method="POST")
    assert answer.status_code == 403
    assert "reload_endpoint" in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/api", "/metrics/x"])
def test_other_paths_are_not_there(path):
    assert ask(path).status_code == 404
