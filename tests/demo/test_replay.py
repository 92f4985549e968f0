"""The simulated API, told what the recorded servers' peers had published, answers as they did."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from swarm_exporter.demo.api import build_api
from swarm_exporter.demo.dht import DhtCache
from swarm_exporter.demo.leaderboard import Leaderboard
from swarm_exporter.model import Stage

DATA = Path(__file__).parents[1] / "data" / "api"


def moments() -> list[tuple[str, str]]:
    return [
        (version.name, folder.name)
        for version in sorted(DATA.iterdir())
        for folder in sorted(version.iterdir())
        if folder.is_dir()
    ]


def replay(version: str, until: str) -> tuple[Leaderboard, str, float]:
    """The state at a moment, the name that was looked up there, and the time of asking."""
    recorded = json.loads((DATA / version / "polls.json").read_text("utf-8"))
    board = Leaderboard(recorded["nicknames"].__getitem__)
    dht = DhtCache()
    for moment in recorded["moments"]:
        for poll in moment["polls"]:
            stage, rewards = Stage(poll["round"], poll["stage"]), poll["published"]
            if recorded["dht_cache"]:
                rewards = dht.look(stage, rewards)
            board.poll(poll["time"], stage, rewards)
        if moment["folder"] == until:
            return board, recorded["asked_name"], moment["asked"]
    raise AssertionError(f"{until} is not in polls.json")


@pytest.mark.parametrize(("version", "folder"), moments())
def test_every_recorded_body_is_answered_byte_for_byte(version: str, folder: str):
    board, name, asked = replay(version, folder)
    bodies = {path.stem: path.read_bytes() for path in (DATA / version / folder).iterdir()}

    async def ask() -> dict[str, httpx.Response]:
        transport = httpx.ASGITransport(build_api(board, lambda: asked))
        async with httpx.AsyncClient(transport=transport, base_url="http://swarm") as client:
            return {
                route: await client.get(f"/api/{route}", params={"name": name}) for route in bodies
            }

    answers = asyncio.run(ask())

    assert {route: answer.content for route, answer in answers.items()} == bodies
    for route, answer in answers.items():
        assert answer.status_code == (500 if "detail" in json.loads(bodies[route]) else 200)
        assert dict(answer.headers) == {
            "content-length": str(len(bodies[route])),
            "content-type": "application/json",
        }
