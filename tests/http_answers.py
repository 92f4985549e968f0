"""A real HTTP server on loopback that answers by a function, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


def of_json(content: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(content).encode(), "application/json", headers)


class Served(NamedTuple):
    url: str
    port: int
    #: What was asked for, path and query, in order.
    asked: list[str]


@contextlib.contextmanager
def answering(answer: Callable[[str], Answer]) -> Iterator[Served]:
    """Serve `answer(path and query)`. Nothing but what it says is in the head of an answer."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            given = answer(self.path)
            self.send_response_only(given.status)
            head = {"content-type": given.kind, "content-length": str(len(given.body))}
            for name, value in {**head, **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that goes away is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        try:
            yield Served(f"http://127.0.0.1:{port}", port, asked)
        finally:
            server.shutdown()
            thread.join()
