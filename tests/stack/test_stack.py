from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from support import eventually, free_port
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.stack.server import Server, Settings, version
from swarm_exporter.stack.stack import Exporter, Stack

STAND_IN = Path(__file__).with_name("stand_in_server.py")
ELSEWHERE = Exporter(url="http://127.0.0.1:9")


class StandIn(Server):
    """A server of the stack whose program is the stand-in."""

    about = "stands in"
    brew = "brew install stand-in"
    debian = "apt-get install stand-in"
    ready_path = "/ready"

    def __init__(self, name: str, *flags: str, optional: bool = True) -> None:
        self.name = name
        self.programs = (name,)
        self.default_port = free_port()
        self.optional = optional
        self.flags = flags
        self.content = b"first\n"

    def files(self, settings: Settings, root: Path) -> Mapping[str, bytes]:
        return {f"{self.name}/config": self.content}

    def command(self, program: Path, settings: Settings, root: Path) -> Sequence[str]:
        return (
            str(program),
            *self.flags,
            f"--listen-address=127.0.0.1:{settings.ports[self.name]}",
        )

    def environ(self, settings: Settings, root: Path) -> Mapping[str, str]:
        return {"SWARM_TOLD": f"100% of {root}"}


@pytest.fixture
def bin_folder(tmp_path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("one", "two"):
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
        program.chmod(0o755)
    return folder


@pytest.fixture
def stack(tmp_path, bin_folder) -> Iterator[Stack]:
    servers = (StandIn("one", optional=False), StandIn("two"))
    stack = Stack(tmp_path / "state", path=str(bin_folder), servers=servers)
    yield stack
    stack.down()


def settings(stack: Stack, **ports: int) -> Settings:
    servers = {server.name: server for server in stack._servers}
    usual = {name: server.default_port for name, server in servers.items()}
    return Settings(
        ports=usual | ports, servers=tuple(servers), exporter_url=ELSEWHERE.url, interval=1.0
    )


def up(stack: Stack, **ports: int):
    return stack.up(settings(stack, **ports), ELSEWHERE, stack.found(["one", "two"]))


def told(stack: Stack, name: str) -> dict:
    last = stack.last()
    assert last is not None
    return httpx.get(last.settings.url(name)).json()


def states(stack: Stack) -> dict[str, str]:
    return {each.name: each.state for each in stack.state()}


def test_up_runs_what_is_installed_and_down_leaves_nothing_running(stack):
    up(stack)
    assert states(stack) == {"exporter": "stopped", "one": "ready", "two": "ready"}
    first = told(stack, "one")
    assert first["cwd"] == str(stack.files.root)
    assert first["environ"]["SWARM_TOLD"] == f"100% of {stack.files.root}"
    pids = [told(stack, name)["pid"] for name in ("one", "two")]
    assert stack.down() == ["one", "two"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert states(stack)["one"] == "stopped"
    assert stack.down() == []


def test_a_second_up_restarts_only_what_has_changed(stack):
    up(stack)
    one, two = told(stack, "one")["pid"], told(stack, "two")["pid"]
    assert up(stack).written == ()
    assert (told(stack, "one")["pid"], told(stack, "two")["pid"]) == (one, two)
    # A changed file is read by a new process; a changed command is run by one.
    stack._servers[0].content = b"second\n"
    assert up(stack).written == ("one/config",)
    assert told(stack, "one")["pid"] != one
    assert told(stack, "two")["pid"] == two
    up(stack, two=(port := free_port()))
    assert told(stack, "two")["arguments"] == [f"--listen-address=127.0.0.1:{port}"]
    assert told(stack, "two")["pid"] != two


def test_a_server_that_is_killed_returns(stack):
    up(stack)
    killed = told(stack, "two")["pid"]
    os.kill(killed, signal.SIGKILL)

    def returned() -> bool:
        try:
            return told(stack, "two")["pid"] != killed
        except httpx.HTTPError:
            return False

    eventually(returned, "return of the server")


def test_a_file_that_a_person_has_changed_is_kept_and_named(stack):
    up(stack)
    mine = stack.files.root / "one" / "config"
    mine.write_text("mine\n")
    stack._servers[0].content = b"second\n"
    assert up(stack).kept == ("one/config",)
    assert mine.read_text() == "mine\n"


def test_a_port_that_somebody_holds_is_named_with_its_holder_and_the_fix(stack):
    up(stack)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        held = other.getsockname()[1]
        with pytest.raises(SwarmExporterError, match=rf"port {held} of two is held by process \d+"):
            up(stack, two=held)
    assert states(stack)["two"] == "ready"


def test_a_server_that_fails_is_told_with_its_last_words(tmp_path, bin_folder):
    stack = Stack(tmp_path / "state", path=str(bin_folder), servers=(StandIn("one", "--fail"),))
    # supervisord tries for half a minute; here the first failure is enough.
    stack._section = lambda *how: Stack._section(stack, *how).replace("=8", "=0")
    try:
        with pytest.raises(SwarmExporterError, match="one does not start: cannot bind: no luck"):
            up(stack)
        (_, one) = stack.state()
        assert (one.state, "no luck today" in one.action) == ("failed", True)
    finally:
        stack.down()


def test_what_is_missing_is_told_with_how_to_install_it(tmp_path, bin_folder, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    servers = (StandIn("one", optional=False), StandIn("three"))
    stack = Stack(tmp_path / "state", path=str(bin_folder), servers=servers)
    found = stack.found(["one", "three"])
    assert list(found) == ["one"]
    assert stack.missing(found) == ["three (stands in) is not installed: brew install stand-in"]
    assert [(s.name, s.state, s.version) for s in stack.state()] == [
        ("one", "stopped", "1.2.3+test"),
        ("three", "missing", ""),
    ]
    servers[1].optional = False
    with pytest.raises(SwarmExporterError, match="three is not installed: brew install"):
        stack.found(["one"])


def test_the_exporter_of_the_stack_runs_with_the_options_given(tmp_path, bin_folder):
    port = free_port()
    stack = Stack(tmp_path / "state", path=str(bin_folder), servers=(StandIn("one"),))
    options = ("--listen", f"127.0.0.1:{port}", "--instances", "2", "--collectors", "load")
    exporter = Exporter(
        url=f"http://127.0.0.1:{port}",
        options=(*options, "--state-dir", str(tmp_path / "state")),
        cwd=str(tmp_path),
    )
    try:
        stack.up(settings(stack), exporter, stack.found(["one"]))
        answer = httpx.get(f"{exporter.url}/api/status").json()
        assert [node["node"] for node in answer["nodes"]] == ["1", "2"]
        assert states(stack) == {"exporter": "ready", "one": "ready"}
    finally:
        assert stack.down() == ["exporter", "one"]


def test_a_supervisord_that_is_deaf_is_ended_with_what_it_runs(stack):
    up(stack)
    pids = [told(stack, name)["pid"] for name in ("one", "two")]
    stack.files.socket.unlink()
    assert stack.down() == ["supervisord"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_torn_memory_of_the_last_up_is_none(stack):
    stack.files.prepare()
    stack.files.settings.write_bytes(b'{"settings":')
    assert stack.last() is None
    stack.files.settings.write_bytes(msgspec.json.encode({"settings": {}}))
    assert stack.last() is None


def test_the_version_is_what_the_program_says(bin_folder):
    assert version(bin_folder / "one") == "1.2.3+test"
    assert version(Path("/bin/true")) == ""
    assert version(bin_folder / "none") == ""


def test_what_a_killed_supervisord_has_left_is_ended_and_can_be_started_again(stack):
    up(stack)
    pids = [told(stack, name)["pid"] for name in ("one", "two")]
    supervisord = psutil.Process(int(stack.files.pid.read_text()))
    supervisord.kill()
    eventually(lambda: not stack.running(), "end of the supervisor")
    assert all(psutil.pid_exists(pid) for pid in pids)
    assert stack.leftovers()
    up(stack)
    assert not any(is_alive(pid) for pid in pids)
    assert states(stack)["one"] == states(stack)["two"] == "ready"
    psutil.Process(int(stack.files.pid.read_text())).kill()
    eventually(lambda: not stack.running(), "end of the supervisor")
    assert sorted(stack.down()) == ["one", "two"]
    assert not stack.leftovers()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_will_not_end_is_ended_by_force(tmp_path, bin_folder, monkeypatch):
    """It takes longer than an answer of the supervisor may."""
    monkeypatch.setattr("swarm_exporter.launcher.supervisord._ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("swarm_exporter.stack.stack._STOP_SECONDS", 3)
    stack = Stack(
        tmp_path / "state", path=str(bin_folder), servers=(StandIn("one", "--ignore-term"),)
    )
    try:
        up(stack)
        before = told(stack, "one")["pid"]
        stack._servers[0].content = b"second\n"
        up(stack)
        assert told(stack, "one")["pid"] != before
    finally:
        stack.down()


def test_two_servers_at_one_port_are_refused_before_anything_starts(stack):
    port = settings(stack).ports["one"]
    with pytest.raises(SwarmExporterError, match=f"port {port} is given to one and two"):
        up(stack, two=port)
    assert not stack.running()


@pytest.mark.parametrize("name", ["a #1", "a ;b", 'x"q', "two\nlines"])
def test_a_folder_that_the_supervisor_cannot_take_is_one_sentence(tmp_path, bin_folder, name):
    stack = Stack(tmp_path / name, path=str(bin_folder), servers=(StandIn("one"),))
    with pytest.raises(SwarmExporterError, match="rename the folder, or give another --state-dir"):
        up(stack)


@pytest.mark.parametrize("name", ["with spaces", "100%", "a'b", "a,b", "%(here)s", "$HOME", "é中"])
def test_every_other_folder_will_do(tmp_path, bin_folder, name):
    stack = Stack(tmp_path / name, path=str(bin_folder), servers=(StandIn("one"),))
    try:
        up(stack)
        assert told(stack, "one")["environ"]["SWARM_TOLD"] == f"100% of {tmp_path / name}/stack"
    finally:
        stack.down()


def test_a_changed_exporter_is_started_anew_although_its_command_is_the_same(tmp_path, bin_folder):
    port = free_port()
    stack = Stack(tmp_path / "state", path=str(bin_folder), servers=(StandIn("one"),))
    (file := tmp_path / "swarm.yml").write_text("instances: 1\n")
    options = ("--config", "swarm.yml", "--listen", f"127.0.0.1:{port}", "--collectors", "none")

    def nodes(stamp: str) -> int:
        exporter = Exporter(
            url=f"http://127.0.0.1:{port}",
            options=(*options, "--state-dir", str(tmp_path / "state")),
            cwd=str(tmp_path),
            stamp=stamp,
        )
        stack.up(settings(stack), exporter, stack.found(["one"]))
        return len(httpx.get(f"{exporter.url}/api/status").json()["nodes"])

    try:
        assert nodes("first") == 1
        file.write_text("instances: 3\n")
        assert nodes("second") == 3
    finally:
        stack.down()


def test_what_was_left_out_is_no_fault(stack):
    found = stack.found(["one"])
    chosen = msgspec.structs.replace(settings(stack), servers=("one",), without=("two",))
    stack.up(chosen, ELSEWHERE, found)
    assert states(stack) == {"exporter": "stopped", "one": "ready", "two": "left out"}
    last = stack.last()
    assert last is not None
    assert last.settings.without == ("two",)
