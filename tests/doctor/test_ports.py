from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading

from support import free_port, make_config, make_node
from swarm_exporter.doctor.check import Outcome
from swarm_exporter.doctor.ports import check_ports
from swarm_exporter.launcher.state import LauncherState, NodeRecord, State


def check(config, state=None) -> dict:
    return {check.subject: check for check in check_ports(config, state)}


@contextlib.contextmanager
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def answering(body: bytes):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_own_port_is_free_ours_or_somebody_elses():
    port = free_port()
    assert check(make_config(listen_port=port))[f"exporter's port {port}"].what == "free"
    with answering(b"swarm-exporter is healthy.\n") as port:
        found = check(make_config(listen_port=port))[f"exporter's port {port}"]
        assert (found.outcome, found.what) == (Outcome.OK, "a swarm-exporter runs there")
    with answering(b"I am something else\n") as port:
        found = check(make_config(listen_port=port))[f"exporter's port {port}"]
        assert found.outcome is Outcome.FAILURE
        assert f"process {os.getpid()} (" in found.what
        assert "--listen" in found.fix


def test_ports_of_apis_on_this_machine_once_each():
    with listening() as port:
        config = make_config(
            make_node("1", f"http://127.0.0.1:{port}"),
            make_node("2", f"http://localhost:{port}"),
            make_node("3", "https://swarm.example.org"),
            make_node("4", f"http://[::1]:{free_port()}"),
            listen_port=0,
        )
        found = check(config)
    held = found[f"API port {port}"]
    assert held.what.startswith(f"of nodes 1, 2; held by process {os.getpid()}")
    assert [c.outcome for c in found.values()] == [Outcome.OK, Outcome.OK, Outcome.ABSENT]


def test_login_ports_of_launched_nodes():
    with listening() as port:
        free = free_port()
        state = LauncherState(
            nodes={
                "a": NodeRecord(name="a", state=State.RUNNING, ports={"login": port}),
                "b": NodeRecord(name="b", state=State.STOPPED, ports={"login": port, "x": free}),
            }
        )
        checks = check_ports(make_config(listen_port=0), state)
    ours, theirs, unused = checks[1:]
    assert ours.outcome is Outcome.OK
    assert theirs.outcome is Outcome.FAILURE
    assert "of node b, which does not run, but held by process" in theirs.what
    assert (unused.outcome, unused.what) == (Outcome.OK, "of node b; free")
