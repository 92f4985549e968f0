"""`python -m swarm_exporter.launcher.sweep`: end what is left of a node, and look at its ports.

A program of its own, so that a runner does without psutil in its memory while a node trains.
"""

from __future__ import annotations

import argparse
import json
import sys

from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.processes import end_tree, name_of


def main() -> None:
    """Print what could not be ended and which ports are still held, as JSON."""
    parser = argparse.ArgumentParser(description="End what is left of a node.")
    parser.add_argument("--marker", required=True)
    parser.add_argument("--root", type=int, action="append", default=[])
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--port", type=int, action="append", default=[])
    options = parser.parse_args()
    survivors = end_tree(options.marker, options.root, options.grace)
    result = {
        "survivors": [f"process {p.pid} ({name_of(p)})" for p in survivors],
        "ports": {str(port): holder(port) for port in options.port if is_taken(port)},
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
