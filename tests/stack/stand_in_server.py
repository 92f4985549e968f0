"""A server that is healthy on the port it is given, says its version, and tells how it was run."""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = {"arguments": sys.argv[1:], "cwd": str(Path.cwd()), "pid": os.getpid()}
        told["environ"] = {k: v for k, v in os.environ.items() if k.startswith("SWARM_")}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: object) -> None:
        pass


if "--version" in sys.argv:
    sys.stdout.write("stand-in, version 1.2.3+test (branch: none)" + "\n")
    sys.exit(0)
if "--fail" in sys.argv:
    sys.stdout.write("cannot bind: no luck today" + "\n")
    sys.exit(1)
if "--ignore-term" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
port = next(int(a.rpartition(":")[2]) for a in sys.argv if "listen-address=127" in a)
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
