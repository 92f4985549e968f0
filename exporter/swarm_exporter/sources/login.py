"""Whether a node is logged in: by its login data, and by the login app's own word.

RL Swarm's login app (Next.js, port 3000 unless PORT says otherwise) answers
`/api/get-api-key-status?orgId=` with the text `activated` or `pending`, and with 400 without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote as encode

import httpx

from swarm_exporter.config import Config
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import load_state
from swarm_exporter.model import FactsOfNodes, Node, NodeFacts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import get
from swarm_exporter.sources.login_files import LoginFiles, login_folder, read_login
from swarm_exporter.sources.worker import Worker

DEFAULT_PORT = 3000
_INTERVAL_SECONDS = 60.0
#: Its answers are one word; larger ones are not its.
_LARGEST_ANSWER = 64 * 1024
_STATUS = {b"activated": True, b"pending": False}


class LoginFacts(NodeFacts, frozen=True, kw_only=True):
    """How a node's login stands; all None where the node has no login app."""

    #: Whether its login data are there: somebody has logged in.
    login_data: bool | None = None
    #: Whether the login app, or else the newest key, says that the account is activated.
    activated: bool | None = None
    #: Whether the login app answers at the port that this node uses.
    app_answers: bool | None = None


def recorded_port(config: Config, node: Node) -> int | None:
    """Return the login port that the launcher gave a node, or None. Blocks on the file system."""
    state = load_state(LauncherFiles(config.state_dir).state)
    record = state.nodes.get(node.name) if state is not None else None
    return record.ports.get("login") if record is not None else None


class LoginState(Source):
    """The login of each node."""

    name = "login"

    def __init__(
        self,
        folder: Callable[[Config, Node], Path | None] = lambda _, node: node.folder,
        port: Callable[[Config, Node], int | None] = recorded_port,
    ) -> None:
        """Look into what `folder` returns for a node; None is not looked at.

        `port` may block; where it returns None the login app's own default is asked.
        """
        self._folder = folder
        self._port = port
        self._workers: dict[str, Worker] = {}

    def targets(self, config: Config) -> list[Target]:
        """Return one target for each node that has a folder."""
        return [
            Target(self.name, node.name, (node,), max(config.interval, _INTERVAL_SECONDS))
            for node in config.nodes
            if self._folder(config, node) is not None
        ]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Read one node's files, then ask its login app.

        Raises SourceError (permission, unreadable, invalid_json, wrong_shape, timeout) where
        nothing can be told.
        """
        (node,) = target.nodes
        folder = self._folder(context.config, node)
        if folder is None:
            raise SourceError(Reason.UNREADABLE, "the node has no folder; give it one")
        worker = self._workers.setdefault(node.name, Worker())
        files, port = await worker.run(
            lambda: self._read(folder, context.config, node),
            context.config.timeout,
            f"{folder} does not answer",
        )
        if files is None:
            return Facts(FactsOfNodes({node.name: LoginFacts()}), (), "the node has no login app")
        answers, told = await ask_login_app(
            context.client, port, files.org_id, context.config.timeout
        )
        facts = LoginFacts(
            login_data=files.data,
            # It is what upstream's script waits for, whoever else's app it may be.
            activated=files.activated if told is None else told,
            app_answers=answers,
        )
        if facts.login_data is None and facts.activated is None and not answers:
            raise files.problems[0]
        defects = tuple(problem.reason for problem in files.problems)
        return Facts(FactsOfNodes({node.name: facts}), defects, _summary(facts, port))

    def _read(self, folder: Path, config: Config, node: Node) -> tuple[LoginFiles | None, int]:
        place = login_folder(folder)
        files = read_login(place) if place is not None else None
        return files, self._port(config, node) or DEFAULT_PORT


async def ask_login_app(
    client: httpx.AsyncClient, port: int, org_id: str | None, timeout: float
) -> tuple[bool, bool | None]:
    """Ask what listens at `port` of this machine; raises nothing.

    Returns whether it is a login app that answers within `timeout` seconds, and whether it says
    that the account is activated; None where it does not say.
    """
    route = f"http://127.0.0.1:{port}/api/get-api-key-status"

    async def ask() -> tuple[bool, bool | None]:
        # First without the account: what else listens there need not learn it.
        answer = await get(client, route, timeout=timeout, limit=_LARGEST_ANSWER)
        if answer.status != 400 or "html" in answer.content_type:
            return False, None
        if org_id is None:
            return True, None
        url = f"{route}?orgId={encode(org_id, safe='')}"
        answer = await get(client, url, timeout=timeout, limit=_LARGEST_ANSWER)
        told = _STATUS.get(bytes(answer.body).strip()) if answer.status == 200 else None
        return told is not None, told

    try:
        return await asyncio.wait_for(ask(), timeout)
    except (SourceError, asyncio.TimeoutError):
        return False, None


def _summary(facts: LoginFacts, port: int) -> str:
    words = {None: "unknown", True: "yes", False: "no"}
    return (
        f"logged in: {words[facts.login_data]}, activated: {words[facts.activated]}, "
        f"the login app answers at port {port}: {words[facts.app_answers]}"
    )
