"""The board of many machines; its sums come from recording rules (prometheus/rules/)."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table

from boards.conditions import condition_names, condition_number
from boards.palette import BAD, GOOD, QUIET, WATCH, thresholds
from boards.parts import Column, Query, Sheet
from boards.swarm import NODE_LINK
from boards.texts import Language

_MACHINES = 'instance=~"$machine"'
_JOB = f'job=~"swarm.*",{_MACHINES}'
_EARNING = f'swarm_node_condition{{condition="earning",{_MACHINES}}}'
_MACHINE_LINK = (
    "/d/swarm-machine?var-datasource=${datasource}"
    '&var-machine=${__data.fields["%s"]}&${__url_time_range}'
)


def board(language: Language) -> Sheet:
    """Return the board."""
    sheet = Sheet("swarm-fleet", language, since="now-7d")
    sheet.machines(many=True)
    _strip(sheet)
    sheet.add(_machines(sheet), 24, 11)
    sheet.add(_worst(sheet), 24, 11)
    sheet.row("fleet.over_time")
    _over_time(sheet)
    return sheet


def _of(name: str) -> str:
    return f"{name}{{{_MACHINES}}}"


def _strip(sheet: Sheet) -> None:
    down = f"count(up{{{_JOB}}} == 0) or vector(0)"
    sheet.add(
        sheet.stat(
            "fleet.machines",
            "short",
            Query(f"count(up{{{_JOB}}} == 1) or vector(0)", "answer"),
            Query(down, "silent"),
        ),
        4,
        4,
    )
    sheet.add(
        sheet.stat(
            "fleet.earning",
            "short",
            Query(f"sum({_EARNING})", "earning"),
            Query(f"count({_of('swarm_node_info')})", "nodes"),
        ),
        4,
        4,
    )
    day, week = (f"sum({_of(f'instance:swarm_reward_earned:increase1{x}')})" for x in "dw")
    sheet.add(sheet.stat("fleet.day", "short", Query(day)), 4, 4)
    sheet.add(sheet.stat("fleet.week", "short", Query(week)), 4, 4)
    room = f"sum(clamp_min({_of('swarm_plan_room_nodes')}, 0))"
    sheet.add(sheet.stat("fleet.room", "none", Query(room)), 4, 4)
    alerts = 'count(ALERTS{alertstate="firing",severity!="none",instance=~"$machine|"})'
    sheet.add(
        sheet.stat(
            "fleet.alerts",
            "short",
            Query(f"{alerts} or vector(0)"),
            colour=thresholds(GOOD, (1, BAD)),
        ),
        4,
        4,
    )


def _machines(sheet: Sheet) -> table.Panel:
    each = "max by (instance) (%s)"
    busy = f'rate(swarm_host_cpu_seconds_total{{mode!="idle",{_MACHINES}}}[5m])'
    cpus = f"sum by (instance) ({_of('swarm_host_cpus')})"
    nodes = f"count by (instance) ({_of('swarm_node_info')})"
    day = _of("instance:swarm_reward_earned:increase1d")
    return sheet.grid(
        "fleet.table",
        ["instance"],
        [
            Column(
                "instance",
                link=_MACHINE_LINK % sheet.word("instance"),
                link_name="open the machine",
                width=220,
            ),
            Column(
                "share earning",
                f"sum by (instance) ({_EARNING}) / {nodes}",
                "percentunit",
                decimals=0,
                colour=thresholds(BAD, (0.5, WATCH), (0.99, GOOD)),
            ),
            Column("earning", f"sum by (instance) ({_EARNING})", "none"),
            Column("nodes", nodes, "none"),
            Column("earned 24 h", each % day, decimals=1),
            Column("per node 24 h", f"{each % day} / {nodes}", decimals=1),
            Column(
                "earned 7 days",
                each % _of("instance:swarm_reward_earned:increase1w"),
                decimals=1,
            ),
            Column(
                "memory available",
                each % _of("swarm_host_memory_available_ratio"),
                "percentunit",
                decimals=0,
                colour=thresholds(BAD, (0.1, WATCH), (0.2, GOOD)),
            ),
            Column(
                "processors busy",
                f"sum by (instance) ({busy}) / {cpus}",
                "percentunit",
                decimals=0,
            ),
            Column(
                "room for",
                each % _of("swarm_plan_room_nodes"),
                "none",
                colour=thresholds(BAD, (0, QUIET), (1, GOOD)),
            ),
        ],
        sort="share earning",
        descending=False,
    )


def _worst(sheet: Sheet) -> table.Panel:
    link = NODE_LINK % (sheet.word("instance"), sheet.word("node"))
    each = "max by (instance, node) (%s)"
    return sheet.grid(
        "fleet.worst",
        ["instance", "node"],
        [
            Column("instance", width=220),
            Column("node", width=100, link=link, link_name="open the node"),
            Column(
                "condition",
                condition_number(_MACHINES, "instance, node"),
                width=140,
                mapping=condition_names(sheet.language),
            ),
            Column(
                "others earned for",
                each % _of("node:swarm_reward_idle:seconds"),
                "s",
                decimals=1,
                colour=thresholds(GOOD, (3 * 3600, WATCH), (4.5 * 3600, BAD)),
            ),
            Column("earned 24 h", each % _of("node:swarm_reward_earned:increase1d"), decimals=1),
            Column("ahead of", each % _of("node:swarm_rank:percentile"), "percentunit", decimals=0),
            Column(
                "rounds behind",
                each % _of("node:swarm_round:lag"),
                "none",
                colour=thresholds(GOOD, (2, WATCH), (4, BAD)),
            ),
        ],
        sort="condition",
        most=25,
    )


def _over_time(sheet: Sheet) -> None:
    machine = "{{instance}}"
    hour = _of("instance:swarm_reward_earned:increase1h")
    sheet.add(sheet.graph("fleet.per_hour", "short", Query(hour, machine), stacked=True), 12, 9)
    day = _of("instance:swarm_reward_earned:increase1d")
    nodes = f"count by (instance, job) ({_of('swarm_node_info')})"
    sheet.add(
        sheet.graph(
            "fleet.per_node", "short", Query(f"{day} / on (instance, job) {nodes}", machine)
        ),
        12,
        9,
    )
    earning = f"sum by (instance) ({_EARNING})"
    sheet.add(
        sheet.graph("fleet.nodes", "none", Query(earning, machine), stacked=True, decimals=0), 12, 8
    )
    watts = (
        f'swarm_host_power_watts{{domain="system",{_MACHINES}}}'
        f' or on (instance, job) swarm_host_power_watts{{domain="soc",{_MACHINES}}}'
        f" or on (instance, job) sum by (instance, job) ({_of('swarm_host_gpu_power_watts')})"
    )
    sheet.add(sheet.graph("fleet.power", "watt", Query(watts, machine), stacked=True), 12, 8)
