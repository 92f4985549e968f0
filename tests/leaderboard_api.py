"""A leaderboard API that says what a test wants, and thinks it is some other time."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from email.utils import formatdate

BOARD = {
    "leaders": [
        {
            "id": "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "nickname": "tall slow flamingo",
            "recordedRound": 7,
            "recordedStage": 1,
            "cumulativeScore": 3.0,
            "lastScore": 1.0,
            "scoreHistory": [],
        }
    ],
    "total": 1,
}


@contextlib.contextmanager
def api(answers: dict[str, object], behind: float = 0.0, status: int = 200, date: bool = True):
    """A server that answers these paths with JSON, and thinks that it is earlier than it is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response_only(status if known else 404)
            if date:
                self.send_header("date", formatdate(time.time() - behind, usegmt=True))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


WHOLE = {"/api/leaderboard-cumulative": BOARD, "/api/round_and_stage": {"round": 7, "stage": 1}}
