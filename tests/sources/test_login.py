"""The login of a node: read from files full of secrets, and asked of a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import traceback
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_answers import Answer, answering, of_json
from support import ManualClock, free_port, make_config, make_node
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import LauncherState, NodeRecord, save_state
from swarm_exporter.logs import configure_logging
from swarm_exporter.model import FactsOfNodes
from swarm_exporter.reasons import Reason
from swarm_exporter.sources import login_files
from swarm_exporter.sources.base import Context, Facts
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.login import DEFAULT_PORT, LoginFacts, LoginState, recorded_port
from swarm_exporter.sources.login_files import login_folder, read_login

ORG = "CANARY-org-7f3a"
SECRETS = [ORG, "CANARY-private-key", "CANARY-mail", "CANARY-address", "CANARY-public"]
NOT_FOUND = Answer(404, b"<!DOCTYPE html><title>404</title>", "text/html; charset=utf-8")


def user_data(*org_ids: str) -> dict[str, object]:
    return {
        org_id: {
            "orgId": org_id,
            "address": "CANARY-address",
            "userId": "CANARY-user",
            "email": "CANARY-mail@example.org",
        }
        for org_id in org_ids
    }


def keys(*activated: object, org_id: str = ORG) -> dict[str, object]:
    key = {"publicKey": "CANARY-public", "privateKey": "CANARY-private-key", "createdAt": 1}
    return {org_id: [key | {"activated": value} for value in activated]}


def node_folder(folder: Path, data: object = None, key_data: object = None) -> Path:
    """A node's folder with login data, as upstream's login app writes them."""
    place = folder / "modal-login" / "temp-data"
    place.mkdir(parents=True)
    for name, content in {"userData.json": data, "userApiKey.json": key_data}.items():
        if isinstance(content, bytes):
            (place / name).write_bytes(content)
        elif content is not None:
            (place / name).write_text(json.dumps(content, indent=2))
    return folder


def login_app(status: str = "activated", org_id: str = ORG):
    """Upstream's status route, and the login app's answer to everything else."""

    def answer(path: str) -> Answer:
        parts = urlsplit(path)
        asked = parse_qs(parts.query).get("orgId")
        if parts.path != "/api/get-api-key-status":
            return NOT_FOUND
        if asked is None:
            return Answer(400, b"bad request", "text/plain;charset=UTF-8")
        told = status if asked == [org_id] else "pending"
        return Answer(200, told.encode(), "text/plain;charset=UTF-8")

    return answer


def poll(folder: Path, port: int | None, **settings) -> Facts:
    async def ask() -> Facts:
        source = LoginState(port=lambda config, node: port)
        config = make_config(make_node("1", folder=folder), **settings)
        (target,) = source.targets(config)
        async with new_client() as client:
            context = Context(client, ManualClock(), config, {}, first=False)
            return await source.poll(target, context)

    return asyncio.run(ask())


def facts_of(facts: Facts) -> LoginFacts:
    assert isinstance(facts.value, FactsOfNodes)
    found = facts.value.nodes["1"]
    assert isinstance(found, LoginFacts)
    return found


def login(folder: Path, port: int | None = None, **settings) -> tuple[bool | None, ...]:
    found = facts_of(poll(folder, free_port() if port is None else port, **settings))
    return found.login_data, found.activated, found.app_answers


def test_a_node_that_is_logged_in(tmp_path):
    with answering(login_app()) as app:
        facts = poll(node_folder(tmp_path, user_data(ORG), keys(True)), app.port)
    assert facts_of(facts) == LoginFacts(login_data=True, activated=True, app_answers=True)
    assert facts.defects == ()
    assert facts.summary == (
        f"logged in: yes, activated: yes, the login app answers at port {app.port}: yes"
    )


def test_a_node_that_waits_for_a_person(tmp_path):
    with answering(login_app()) as app:
        assert login(node_folder(tmp_path), app.port) == (False, False, True)
        # Without an account there is nothing to ask with.
        assert app.asked == ["/api/get-api-key-status"]


def test_the_login_apps_word_counts_more_than_the_file(tmp_path):
    folder = node_folder(tmp_path, user_data(ORG), keys(True))
    with answering(login_app("pending")) as app:
        assert login(folder, app.port) == (True, False, True)
    # The script of a second node talks to the app of the first: of another account.
    with answering(login_app(org_id="other")) as app:
        assert login(folder, app.port) == (True, False, True)
    assert login(folder) == (True, True, False)


KEYS = {
    "the newest key counts": (keys(False, True), True),
    "the newest key counts, even if an older one was activated": (keys(True, False), False),
    "no key": (keys(), False),
    "the keys of another account": (keys(True, org_id="other"), False),
    "no file": (None, False),
    "no word of it": ({ORG: [{"privateKey": "CANARY-private-key"}]}, False),
}


@pytest.mark.parametrize(("key_data", "activated"), KEYS.values(), ids=KEYS)
def test_whether_the_login_is_activated_is_in_the_file_too(tmp_path, key_data, activated):
    assert login(node_folder(tmp_path, user_data(ORG), key_data)) == (True, activated, False)


def test_no_account_in_the_file_is_logged_out(tmp_path):
    assert login(node_folder(tmp_path, {}, keys(True))) == (False, True, False)


def test_several_accounts_are_a_login_of_the_first(tmp_path):
    folder = node_folder(tmp_path, user_data(ORG, "second"), keys(True) | keys(org_id="second"))
    with answering(login_app()) as app:
        assert login(folder, app.port) == (True, True, True)


BROKEN = {
    "half a file": (b'{"CANARY-org-7f3a": {"orgId": "CANARY-o', Reason.INVALID_JSON),
    "an empty file": (b"", Reason.INVALID_JSON),
    "other bytes": (b'{"\xff": {}}', Reason.INVALID_JSON),
    "a list": (b'["CANARY-org-7f3a"]', Reason.WRONG_SHAPE),
    "text for an account": (b'{"CANARY-org-7f3a": "CANARY-mail"}', Reason.WRONG_SHAPE),
    "endless nesting": (b'{"a": {"CANARY-org-7f3a":' + b"[" * 100_000, Reason.INVALID_JSON),
    "too large a file": (b'{"CANARY-mail": {}}' + b" " * 2**20, Reason.UNREADABLE),
}


def secret_free(*told: object) -> bool:
    text = "\n".join(map(str, told))
    return not any(secret in text for secret in [*SECRETS, "CANARY"])


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_costs_its_own_value_and_shows_nothing(tmp_path, content, reason):
    folder = node_folder(tmp_path, content, keys(True))
    facts = poll(folder, free_port())
    found = facts_of(facts)
    assert (found.login_data, found.activated, facts.defects) == (None, True, (reason,))
    assert secret_free(facts)


@pytest.mark.parametrize(
    "content",
    [
        b'{"CANARY-org-7f3a": [{"privateKey": "CANARY-private-key", "activated": "CANARY-mail"}]}',
        b'{"CANARY-org-7f3a": [{"privateKey": "CANARY-private-key", "activ',
        b'["CANARY-private-key"]',
    ],
)
def test_broken_keys_cost_their_own_value_and_show_nothing(tmp_path, content):
    facts = poll(node_folder(tmp_path, user_data(ORG), content), free_port())
    assert (facts_of(facts).login_data, facts_of(facts).activated) == (True, None)
    assert facts.defects[0] in (Reason.WRONG_SHAPE, Reason.INVALID_JSON)
    assert secret_free(facts)


def test_where_nothing_can_be_told_the_poll_fails_without_a_secret(tmp_path):
    broken = b'{"CANARY-org-7f3a": {"email": "CANARY-mail'
    folder = node_folder(tmp_path, broken, broken)
    with pytest.raises(SourceError) as error:
        poll(folder, free_port())
    assert error.value.reason is Reason.INVALID_JSON
    assert "userData.json is not whole, valid JSON" in error.value.detail
    text = "".join(traceback.format_exception(error.value))
    assert secret_free(error.value.detail, repr(error.value), text)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_whatever_is_in_the_files_reading_them_raises_nothing(tmp_path_factory, content):
    place = tmp_path_factory.mktemp("login")
    data = content.encode() if isinstance(content, str) else content
    for name in ("userData.json", "userApiKey.json"):
        (place / name).write_bytes(data)
    found = read_login(place)
    assert found.data is not None or found.problems
    assert all(problem.detail.startswith(str(place)) for problem in found.problems)


def deny(monkeypatch, name: str) -> None:
    """As root every file may be read: the kernel's answer is put in its place."""
    read = login_files.read_bounded

    def denying(path, largest):
        if path.name == name:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return read(path, largest)

    monkeypatch.setattr(login_files, "read_bounded", denying)


def test_a_file_that_nobody_may_read_is_a_permission(tmp_path, monkeypatch):
    folder = node_folder(tmp_path, user_data(ORG), keys(True))
    deny(monkeypatch, "userData.json")
    facts = poll(folder, free_port())
    assert (facts_of(facts).login_data, facts.defects) == (None, (Reason.PERMISSION,))


def test_a_folder_that_nobody_may_read_is_a_permission(tmp_path, monkeypatch):
    folder = node_folder(tmp_path, user_data(ORG))

    def denying(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(login_files.os, "scandir", denying)
    with pytest.raises(SourceError) as error:
        poll(folder, free_port())
    assert error.value.reason is Reason.PERMISSION
    assert str(folder) in error.value.detail


def test_a_node_without_its_folder_is_a_failure(tmp_path):
    with pytest.raises(SourceError) as error:
        poll(tmp_path / "gone", free_port())
    assert error.value.reason is Reason.UNREADABLE
    assert "no such file or directory" in error.value.detail


def test_a_folder_in_place_of_a_file_and_a_pipe_are_no_login_data(tmp_path):
    folder = node_folder(tmp_path)
    place = folder / "modal-login" / "temp-data"
    (place / "userData.json").mkdir()
    os.mkfifo(place / "userApiKey.json")
    with pytest.raises(SourceError) as error:
        poll(folder, free_port())
    assert error.value.reason is Reason.UNREADABLE


def test_where_the_login_data_are(tmp_path):
    assert login_folder(tmp_path) is None
    (tmp_path / "temp-data").mkdir()
    assert login_folder(tmp_path) == tmp_path / "temp-data"
    (tmp_path / "modal-login").mkdir()
    assert login_folder(tmp_path) == tmp_path / "modal-login" / "temp-data"


def test_a_node_without_a_login_app_is_not_asked_for(tmp_path):
    with answering(login_app()) as app:
        facts = poll(tmp_path, app.port)
        assert app.asked == []
    assert (facts_of(facts), facts.summary) == (LoginFacts(), "the node has no login app")


def test_a_login_app_before_its_first_login(tmp_path):
    (tmp_path / "modal-login").mkdir()
    with answering(login_app()) as app:
        assert login(tmp_path, app.port) == (False, False, True)


NO_LOGIN_APPS = {
    "another Next.js app": NOT_FOUND,
    "Grafana": of_json({"message": "Not found"}, 404),
    "one that wants a login": of_json({}, 401),
    "one that answers everything": Answer(200, b"activated", "text/plain"),
    "a page for a bad request": Answer(400, b"<html></html>", "text/html"),
    "a redirect": Answer(307, headers={"location": "https://example.org/"}),
    "one in trouble": Answer(500, b"", "text/plain"),
    "too much": Answer(400, b"x" * 100_000, "text/plain"),
}


@pytest.mark.parametrize("answer", NO_LOGIN_APPS.values(), ids=NO_LOGIN_APPS)
def test_what_else_listens_there_is_no_login_app_and_never_learns_the_account(tmp_path, answer):
    folder = node_folder(tmp_path, user_data(ORG), keys(True))
    with answering(lambda path: answer) as app:
        assert login(folder, app.port) == (True, True, False)
        assert app.asked == ["/api/get-api-key-status"]


@pytest.mark.parametrize(
    "second", [Answer(200, b"maybe", "text/plain"), NOT_FOUND, Answer(500), Answer(400, b"")]
)
def test_an_app_that_does_not_tell_the_state_is_not_up(tmp_path, second):
    folder = node_folder(tmp_path, user_data(ORG), keys(True))

    def answer(path: str) -> Answer:
        return second if "?" in path else Answer(400, b"bad request", "text/plain")

    with answering(answer) as app:
        assert login(folder, app.port) == (True, True, False)


def test_an_app_that_hangs_is_not_up(tmp_path):
    release = threading.Event()

    def answer(path: str) -> Answer:
        release.wait(30.0)
        return NOT_FOUND

    folder = node_folder(tmp_path, user_data(ORG), keys(True))
    with answering(answer) as app:
        try:
            assert login(folder, app.port, timeout=0.2) == (True, True, False)
        finally:
            release.set()


def test_an_account_of_odd_letters_is_sent_whole(tmp_path):
    odd = "a&b=c/ü #1"
    folder = node_folder(tmp_path, user_data(odd), keys(False, org_id=odd))
    with answering(login_app(org_id=odd)) as app:
        assert login(folder, app.port) == (True, True, True)


def test_the_port_is_the_launchers_for_a_node_that_it_runs(tmp_path):
    config = make_config(make_node("1"), make_node("2"), state_dir=tmp_path)
    assert recorded_port(config, config.nodes[0]) is None
    record = NodeRecord(name="1", ports={"login": 4711})
    save_state(LauncherFiles(tmp_path).state, LauncherState(nodes={"1": record}))
    assert [recorded_port(config, node) for node in config.nodes] == [4711, None]


def test_without_a_port_the_login_apps_own_is_asked(tmp_path):
    asked = []

    async def run() -> None:
        source = LoginState(port=lambda config, node: None)
        config = make_config(make_node("1", folder=node_folder(tmp_path)))
        (target,) = source.targets(config)
        async with new_client() as client:
            client.event_hooks["request"].append(lambda request: note(request.url))
            await source.poll(target, Context(client, ManualClock(), config, {}, first=False))

    async def note(url) -> None:
        asked.append((url.host, url.port))

    asyncio.run(run())
    assert asked == [("127.0.0.1", DEFAULT_PORT)]


def test_only_nodes_with_a_folder_are_targets(tmp_path):
    config = make_config(make_node("1"), make_node("2", folder=tmp_path))
    assert [(t.key, t.interval) for t in LoginState().targets(config)] == [("2", 60.0)]


@pytest.mark.parametrize("status", ["activated", "pending", ORG])
def test_no_secret_comes_out_anywhere(tmp_path, capsys, status):
    """Whatever the app answers, and with the log at its most talkative."""
    configure_logging("debug", "text")
    folder = node_folder(tmp_path, user_data(ORG), keys(True))
    with answering(login_app(status)) as app:
        facts = poll(folder, app.port)
        assert any(ORG in asked for asked in app.asked)
    place = login_folder(folder)
    logging.getLogger("test").warning("%r %r", facts, read_login(place))
    assert secret_free(facts, facts.summary, repr(read_login(place)), *capsys.readouterr())
