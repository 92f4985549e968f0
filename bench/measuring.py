"""What the benchmarks share: figures with ratios and goals, programs run beside them, their cost.

Each benchmark prints a table of its own; where BENCH_RESULTS names a file, it is kept there too.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import msgspec
import psutil

RESULTS = "BENCH_RESULTS"
NODE_EXPORTER = "prometheus-node-exporter"
_START_SECONDS = 120.0


class Figure(msgspec.Struct, frozen=True):
    """One measured figure; `ratio` is to what `beside` names, from the same run."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    beside: str = ""
    #: In words, as in "under 2x"; empty where the figure is only told.
    goal: str = ""
    met: bool | None = None


class Results:
    """The figures of one benchmark, in the order in which they were measured."""

    def __init__(self, benchmark: str) -> None:
        """Begin without a figure."""
        self._benchmark = benchmark
        self._figures: list[Figure] = []

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        *,
        beside: tuple[str, float] | None = None,
        goal: str = "",
        met: bool | None = None,
    ) -> float | None:
        """Note a figure, with its ratio to another one and its name; return the ratio."""
        name, other = beside or ("", 0.0)
        ratio = value / other if other else None
        self._figures.append(Figure(what, value, unit, ratio, name, goal, met))
        return ratio

    def end(self) -> None:
        """Print the table, and add it to the file of results where there is one."""
        print(table(self._benchmark, self._figures))
        if RESULTS in os.environ:
            path = Path(os.environ[RESULTS])
            known = json.loads(path.read_text()) if path.exists() else {"machine": machine()}
            known[self._benchmark] = [msgspec.to_builtins(figure) for figure in self._figures]
            path.write_text(json.dumps(known, indent=2) + "\n")


def table(title: str, figures: Sequence[Figure]) -> str:
    """Return figures as a table in plain text."""
    rows = [
        (
            figure.what,
            f"{_number(figure.value)} {figure.unit}",
            f"{_number(figure.ratio)}x {figure.beside}" if figure.ratio is not None else "",
            _verdict(figure),
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([f"== {title} ==", *(f"  {line.rstrip()}" for line in lines)])


def _verdict(figure: Figure) -> str:
    if figure.met is None:
        return ""
    return f"{'met' if figure.met else 'NOT MET'}: {figure.goal}"


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else "unknown",
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
    }


def quantile(taken: Sequence[float], percent: int) -> float:
    """Return a percentile of some durations."""
    return statistics.quantiles(taken, n=100, method="inclusive")[percent - 1]


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent by which a cost grows with a size: least squares on the logarithms."""
    slope, _ = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    )
    return slope


def best_of(repeats: int, function: Callable[[], object]) -> float:
    """Return the shortest of some runs in seconds: the others were disturbed."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return min(taken)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time that a process and its children that have ended have used."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running(msgspec.Struct, frozen=True):
    """A program that is being measured."""

    process: psutil.Process
    url: str


@contextlib.contextmanager
def running(command: Sequence[str], url: str = "", log: Path | None = None) -> Iterator[Running]:
    """Run a program until the end of the block; it is there once `url` answers 200."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        child = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603
        stack.callback(_end, child)
        if url:
            try:
                wait_until(lambda: answers(url), f"answer from {url}", child)
            except AssertionError as error:
                said = log.read_text()[-2000:] if log else ""
                raise AssertionError(f"{error}\n{said}") from None
        yield Running(psutil.Process(child.pid), url)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def answers(url: str) -> bool:
    """Tell whether a server answers 200."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=10).status_code == 200
    return False


def wait_until(
    look: Callable[[], bool], what: str, child: subprocess.Popen[bytes] | None = None
) -> None:
    """Look again until it is so."""
    end = time.monotonic() + _START_SECONDS
    while not look():
        assert child is None or child.poll() is None, f"it ended: {child.args if child else ''}"
        assert time.monotonic() < end, f"no {what} within {_START_SECONDS:g} s"
        time.sleep(0.02)


@contextlib.contextmanager
def node_exporter() -> Iterator[Running | None]:
    """Run Debian's node_exporter with its defaults; None where it is not installed."""
    program = shutil.which(NODE_EXPORTER)
    if program is None:
        print(f"{NODE_EXPORTER} is not installed: nothing to compare with")
        yield None
        return
    address = f"127.0.0.1:{free_port()}"
    with running(
        [program, f"--web.listen-address={address}"], f"http://{address}/metrics"
    ) as server:
        yield server


class Api(msgspec.Struct, frozen=True):
    """A simulated swarm API of one node."""

    url: str
    peer_id: str
    #: "healthy", "hung" or "failing".
    state: str


@contextlib.contextmanager
def swarm_apis(nodes: int, *options: str) -> Iterator[list[Api]]:
    """Run the APIs of so many nodes, each on a port of its own, in one process beside this one."""
    command = [sys.executable, str(Path(__file__).with_name("swarm_apis.py")), str(nodes), *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603
    assert child.stdout is not None
    try:
        yield msgspec.json.decode(child.stdout.readline(), type=list[Api])
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def exporter(apis: Sequence[Api], *, ready: bool = True, **settings: object) -> Iterator[Running]:
    """Run the exporter on APIs, with its defaults beyond `settings`.

    `ready` waits until every source was asked once.
    """
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        configuration = {
            "listen": f"127.0.0.1:{port}",
            "state_dir": f"{folder}/state",
            "nodes": [
                {"name": str(number), "api": api.url, "peer_id": api.peer_id}
                for number, api in enumerate(apis, 1)
            ],
            **settings,
        }
        file = Path(folder) / "swarm.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML.
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "swarm_exporter", "serve", "--config", str(file)]
        log = Path(folder) / "log"
        path = "/-/ready" if ready else "/-/healthy"
        with running(command, f"{url}{path}", log) as server:
            yield Running(server.process, url)
