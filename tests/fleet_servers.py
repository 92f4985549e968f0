"""Prometheus with the configuration of many machines, VictoriaMetrics behind it, and the fleet."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from board_support import FOLDERS, Asked, Sent, Server, asked, load, sent
from command_line import good
from simulated_fleet import Fleet, serving
from support import ROOT, eventually, free_port, reachable, running

BOARD = "swarm-fleet"


@dataclass(frozen=True)
class FleetServers:
    """What runs, and the processes whose memory counts."""

    fleet: Fleet
    #: What `sd` reads and writes.
    hosts: Path
    targets: Path
    prometheus: Server
    victoria: Server
    prometheus_process: psutil.Process
    victoria_process: psutil.Process


@contextlib.contextmanager
def fleet_servers(
    folder: Path, programs: dict[str, str], *, machines: int, scrape: str
) -> Iterator[FleetServers]:
    """Run the project's own configuration, with the addresses and the interval of this run."""
    prometheus, victoria = (f"127.0.0.1:{free_port()}" for _ in range(2))
    store = [
        programs["victoria-metrics"],
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr={victoria}",
        "-search.latencyOffset=1s",
    ]
    with serving(machines) as fleet, running(store, folder / "victoria.log") as victoria_process:
        config = _configure(folder, fleet, victoria, scrape)
        command = [
            programs["prometheus"],
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus-data'}",
            f"--web.listen-address={prometheus}",
        ]
        with running(command, folder / "prometheus.log") as prometheus_process:
            for address, path in ((prometheus, "-/ready"), (victoria, "health")):
                eventually(lambda url=f"http://{address}/{path}": reachable(url), "server")
            yield FleetServers(
                fleet,
                folder / "hosts.txt",
                config.parent / "targets" / "swarm.json",
                Server(f"http://{prometheus}", ""),
                Server(f"http://{victoria}", ""),
                psutil.Process(prometheus_process.pid),
                psutil.Process(victoria_process.pid),
            )


def _configure(folder: Path, fleet: Fleet, victoria: str, scrape: str) -> Path:
    """Write the configuration, the rules, and the targets that the program's own command writes."""
    place = folder / "prometheus" / "fleet"
    (place / "targets").mkdir(parents=True)
    (folder / "hosts.txt").write_text(fleet.hosts())
    good(
        "sd", str(folder / "hosts.txt"), "--output", str(place / "targets" / "swarm.json"), "--ask"
    )
    text = (ROOT / "prometheus/fleet/prometheus.yml").read_text()
    for ours, theirs in (
        ("127.0.0.1:8428", victoria),
        ("scrape_interval: 30s", f"scrape_interval: {scrape}"),
        ("evaluation_interval: 30s", f"evaluation_interval: {scrape}"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    # No Alertmanager: what it is sent is another test's.
    text = re.sub(r"(?s)alerting:.*?(?=scrape_configs:)", "", text)
    (place / "prometheus.yml").write_text(text)
    rules = folder / "prometheus" / "rules"
    rules.mkdir()
    for file in (ROOT / "prometheus" / "rules").glob("*.yml"):
        # As in prometheus/rules; only what is read every two minutes would be waited for.
        content = file.read_text()
        (rules / file.name).write_text(
            content.replace("    interval: 2m\n", "") if scrape != "30s" else content
        )
    return place / "prometheus.yml"


def board_questions(now: float, *, scrape: float, span: float) -> Iterator[tuple[Asked, Sent]]:
    """Yield every query of the fleet's board as Grafana sends it, for all machines."""
    values = {"datasource": "prometheus", "runbooks": "docs/runbooks", "machine": ".+"}
    for query in asked(load(FOLDERS["en"] / f"{BOARD}.json")):
        yield query, sent(query, values, now=now, span=span, scrape=scrape)


def ask(server: Server, query: Asked, question: Sent) -> list[dict]:
    if query.instant:
        return server.ask("query", query=question.expr, time=question.end)
    return server.ask(
        "query_range",
        query=question.expr,
        start=question.start,
        end=question.end,
        step=question.step,
    )
