"""How soon it is there: `--help`, and the first complete /metrics of 3 nodes.

Beside Python's own start, and node_exporter's first answer. `complete` is the moment from which
every source was asked once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import httpx
from measuring import Results, best_of, exporter, node_exporter, swarm_apis

#: What `--help` has no use for.
OPTIONAL = ("uvicorn", "starlette", "httpx", "supervisor", "pynvml", "eth_abi", "prometheus_client")
IMPORTS = """
import sys
from swarm_exporter.cli import main
optional, sys.argv[1:] = sys.argv[1:], ["--help"]
try:
    main()
except SystemExit:
    names = set(sys.modules)
    print(len(names), *(name for name in optional if name in names), file=sys.stderr)
"""


def run(*arguments: str) -> None:
    """Run Python to its end."""
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    results = Results("start")
    python = best_of(repeats, lambda: run("-c", "pass"))
    shown = best_of(repeats, lambda: run("-m", "swarm_exporter", "--help"))
    results.add("--help", shown * 1e3, "ms", beside=("python -c pass", python * 1e3))
    command = [sys.executable, "-c", IMPORTS, *OPTIONAL]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    modules, *needless = done.stderr.split()
    results.add("--help: modules imported", int(modules), "")
    results.add(
        "--help: parts imported that it does not use",
        len(needless),
        "",
        goal=f"none of {', '.join(OPTIONAL)}",
        met=not needless,
    )
    with swarm_apis(3) as apis:
        first, complete = [], []
        for _ in range(max(repeats // 3, 1)):
            began = time.perf_counter()
            with exporter(apis, ready=False) as own:
                assert httpx.get(f"{own.url}/metrics", timeout=30).status_code == 200
                first.append(time.perf_counter() - began)
                while httpx.get(f"{own.url}/-/ready", timeout=30).status_code != 200:
                    time.sleep(0.01)
                assert 'swarm_rank{node="3"}' in httpx.get(f"{own.url}/metrics", timeout=30).text
                complete.append(time.perf_counter() - began)
    began = time.perf_counter()
    with node_exporter() as other:
        theirs = time.perf_counter() - began
    beside = ("node_exporter's first answer", theirs * 1e3) if other is not None else None
    results.add("first answer of /metrics", min(first) * 1e3, "ms", beside=beside)
    results.add("first complete /metrics", min(complete) * 1e3, "ms", beside=beside)
    results.end()


if __name__ == "__main__":
    main()
