"""Twenty machines as a person has them: `sd`, prometheus/fleet, VictoriaMetrics, the fleet's board."""

from __future__ import annotations

import time

import httpx
import pytest

from board_support import Server
from command_line import command, good
from fleet_servers import FleetServers, ask, board_questions, fleet_servers
from support import eventually

pytestmark = pytest.mark.real

HOUR, DAY = 3600.0, 86_400.0
MACHINES = 20
NODES = 3
#: Every tenth machine has a node that is down.
DOWN = 2


@pytest.fixture(scope="module")
def servers(real_binary, tmp_path_factory: pytest.TempPathFactory):
    programs = {name: real_binary(name) for name in ("prometheus", "victoria-metrics")}
    folder = tmp_path_factory.mktemp("fleet")
    with fleet_servers(folder, programs, machines=MACHINES, scrape="1s") as running:
        for server in (running.prometheus, running.victoria):
            for expression in (
                f"count(up == 1) == {MACHINES}",
                f"count(instance:swarm_reward_earned:increase1d > 0) == {MACHINES}",
                f"count(instance:swarm_reward_earned:increase1w > 0) == {MACHINES}",
                # A step of the board's last hour is 5 s: two of them have figures for sure.
                "count(count_over_time(instance:swarm_reward_earned:increase1h[5m]) >= 10)"
                f" == {MACHINES}",
            ):
                eventually(
                    lambda query=expression, s=server: s.ask("query", query=query),
                    f"{expression} in {server.url}",
                    within=60.0,
                )
        yield running


@pytest.fixture(params=["prometheus", "victoria"])
def server(request, servers: FleetServers) -> Server:
    return getattr(servers, request.param)


def value(server: Server, expression: str) -> float:
    (found,) = server.ask("query", query=expression)
    return float(found["value"][1])


def test_a_machine_is_called_by_its_name_and_keeps_its_owner(server, servers):
    found = server.ask("query", query="swarm_exporter_build_info")
    names = {series["metric"]["instance"] for series in found}
    assert names == {machine.name for machine in servers.fleet.machines}
    assert all(s["metric"]["machine"] == s["metric"]["instance"] for s in found)
    assert {s["metric"]["owner"] for s in found} == {"anna", "bob"}


def test_both_servers_say_the_same_of_the_fleet(server):
    assert value(server, "count(swarm_node_info)") == MACHINES * NODES
    earning = 'sum(swarm_node_condition{condition="earning"})'
    assert value(server, earning) == MACHINES * NODES - DOWN
    assert (
        value(server, "sum by (owner) (up) and on () up == bool 1" if False else "sum(up)")
        == MACHINES
    )
    down = server.ask("query", query='swarm_node_condition{condition="down"} == 1')
    assert {s["metric"]["instance"] for s in down} == {"machine-009", "machine-019"}


@pytest.mark.parametrize("span", [HOUR, 7 * DAY], ids=["hour", "week"])
def test_every_query_of_the_fleets_board_is_answered_for_every_machine(server, span):
    for query, question in board_questions(time.time(), scrape=1.0, span=span):
        series = ask(server, query, question)
        if not query.instant and span > HOUR:
            # Steps of a quarter of an hour: none may lie within the seconds that there are.
            continue
        assert series, query.where
        if query.table and query.ref == "A":
            rows = {s["metric"]["row"] for s in series}
            assert len(rows) in (MACHINES, MACHINES * NODES), query.where
        if "increase1h" in query.expr or query.legend == "{{instance}}":
            assert len(series) == MACHINES, query.where


def test_an_alert_names_its_machine_so_that_messages_group_by_it(servers):
    def pending() -> set[str]:
        alerts = servers.prometheus.ask("query", query='ALERTS{alertname="NodeDown"}')
        return {s["metric"]["machine"] for s in alerts}

    eventually(lambda: pending() == {"machine-009", "machine-019"}, "alerts of two machines")


def test_a_list_of_hosts_that_changes_is_seen_without_a_restart(servers):
    few = servers.hosts.read_text().splitlines(keepends=True)[1:]
    (shorter := servers.hosts.with_name("shorter.txt")).write_text("".join(few))
    good("sd", str(shorter), "--output", str(servers.targets))
    targets = f"{servers.prometheus.url}/api/v1/targets"

    def scraped() -> int:
        return len(httpx.get(targets).json()["data"]["activeTargets"])

    eventually(lambda: scraped() == MACHINES - 1, "one target less")
    # A file that is no list keeps the targets before; `sd --check` says what is wrong with it.
    servers.targets.write_text('[{"targets": ["machine-000"]}]')
    assert '"machine-000" has no port' in command("sd", "--check", str(servers.targets)).err
    assert scraped() == MACHINES - 1
