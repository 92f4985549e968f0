"""Stands in for the modal-login app under Next 14.2.35, run with modal-login as its folder.

Read from stdin, so there is no __file__. One account, read from temp-data at every request.
"""

import contextlib
import http.server
import json
import os
import signal
import socketserver
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_STANDIN = Path(os.environ["STANDIN_FOLDER"]) / "standin"
sys.path.insert(0, str(_STANDIN))
from behaviour import read_behaviours  # noqa: E402

_CALLS = {
    "register-peer": "registerPeer",
    "submit-reward": "submitReward",
    "submit-winner": "submitWinners",
}
_PAGE = "<!DOCTYPE html><html><body>404: This page could not be found.</body></html>"


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def temp_data(name):
    with contextlib.suppress(FileNotFoundError):
        return json.loads(Path("temp-data", name).read_text())
    return {}


def key_status(org):
    """Return the status and text of the answer about an account's key."""
    if not org:
        return 400, "orgId is required"
    pending = read_behaviours(_STANDIN.parent)["login_pending"]
    keys = temp_data("userApiKey.json").get(org) or [{}]
    return 200, "activated" if keys[-1].get("activated") and not pending else "pending"


def call_contract(route, body):
    """Return the status and JSON of the answer to a call that becomes a transaction."""
    org = body.get("orgId")
    if org not in temp_data("userData.json"):
        return 404, {"error": "user not found"}
    if not temp_data("userApiKey.json").get(org):
        return 500, {"error": "api key not found"}
    if route == "register-peer":
        say(org)
    say(Path(".env").read_text().splitlines()[2].partition("=")[2])
    status = 200
    if route != "register-peer":
        status = read_behaviours(_STANDIN.parent)["submit_status"]
    if status == 200:
        return 200, {"hash": "0x" + "00" * 32}
    say(f"Failed to call {_CALLS[route]}: InvalidRoundNumber")
    return status, {"error": "InvalidRoundNumber", "metaMessages": ["Error: InvalidRoundNumber()"]}


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self):
        address = urlsplit(self.path)
        if address.path == "/api/get-api-key-status":
            org = parse_qs(address.query).get("orgId", [""])[0]
            status, text = key_status(org)
            self._answer(status, "text/plain;charset=UTF-8", text)
        else:
            self._answer(404, "text/html; charset=utf-8", _PAGE)

    def do_POST(self):
        route = self.path.removeprefix("/api/")
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if route == "get-api-key-status":
            self._answer(405, "text/plain", "")
        elif route not in _CALLS:
            self._answer(404, "text/html; charset=utf-8", _PAGE)
        else:
            body = json.loads(content)
            status, answer = call_contract(route, body)
            with (_STANDIN / "submissions.jsonl").open("a") as record:
                record.write(json.dumps({"route": route, "status": status, "body": body}) + "\n")
            self._answer(status, "application/json", json.dumps(answer))

    def _answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(text.encode())

    def log_message(self, *_):
        """Next logs no request."""


class Server(http.server.HTTPServer):
    def server_bind(self):
        # HTTPServer asks the name service for its own name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


def main():
    signal.alarm(int(os.environ.get("STANDIN_LIFETIME", "300")))
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("next-server (v1")
    port = int(os.environ["STANDIN_PORT"])
    try:
        server = Server(("127.0.0.1", port), Handler)
    except OSError:
        say(" ⨯ Failed to start server")
        say(f"Error: listen EADDRINUSE: address already in use :::{port}")
        sys.exit(1)
    say(" ✓ Starting...")
    say(" ✓ Ready in 0.1s")
    server.serve_forever()


main()
