"""The board for every day: what all nodes earn, which of them needs somebody, and the swarm."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table

from boards.conditions import CONDITIONS, NEEDS_YOU, condition_names, condition_number
from boards.palette import BAD, GOOD, QUIET, WATCH, thresholds
from boards.parts import Column, Query, Sheet
from boards.texts import Language

_MACHINES = 'instance=~"$machine"'
_NODES = f'{_MACHINES},node=~"$node"'
_BY = "instance, node"
#: Joins the nickname to series of a node.
_NICKNAME = "* on (instance, job, node) group_left (nickname) "
_NODE = "{{who}} ({{instance}})"
NODE_LINK = (
    "/d/swarm-node?var-datasource=${datasource}"
    '&var-machine=${__data.fields["%s"]}&var-node=${__data.fields["%s"]}&${__url_time_range}'
)
#: By default Prometheus looks at alerts of the whole fleet, some of which name no machine.
ALERTS = 'ALERTS{alertstate="firing",severity!="none",instance=~"$machine|",node=~"$node|"}'
_NO_ALERT_IS_GOOD = thresholds(GOOD, (1, BAD))


def board(language: Language) -> Sheet:
    """Return the board."""
    sheet = Sheet("swarm", language, since="now-24h")
    sheet.machines(many=True)
    sheet.nodes(_MACHINES)
    sheet.input("runbooks", "docs/runbooks")
    _strip(sheet)
    sheet.add(_nodes(sheet), 24, 10)
    sheet.row("swarm.rewards")
    _rewards(sheet)
    sheet.row("swarm.against")
    _standing(sheet)
    sheet.row("swarm.alerts_row")
    sheet.add(_alerts(sheet), 24, 7)
    return sheet


def _names(info: str = f"swarm_node_info{{{_NODES}}}") -> str:
    """Return one name for each node, even while it changes its own or its API moves."""
    return f"topk by (instance, job, node) (1, max by (instance, job, node, nickname) ({info}))"


def _named(expr: str, names: str) -> str:
    """Return series of nodes with the label `who`: node and nickname, if it has one."""
    return f'label_join({expr} {_NICKNAME}{names}, "who", " ", "node", "nickname")'


def _strip(sheet: Sheet) -> None:
    condition = f"swarm_node_condition{{condition=~'%s',{_NODES}}} == 1"
    earned = f"sum(increase(swarm_reward_earned_total{{{_NODES}}}[%s]))"
    sheet.add(
        sheet.stat(
            "swarm.earning",
            "short",
            Query(f"count({condition % 'earning'}) or vector(0)", "earning"),
            Query(f"count(swarm_node_info{{{_NODES}}})", "nodes"),
        ),
        4,
        4,
    )
    sheet.add(
        sheet.stat(
            "swarm.needs_you",
            "short",
            Query(f"count({condition % '|'.join(NEEDS_YOU)}) or vector(0)"),
            colour=_NO_ALERT_IS_GOOD,
        ),
        3,
        4,
    )
    sheet.add(sheet.stat("swarm.today", "short", Query(earned % "$__range"), since="now/d"), 3, 4)
    sheet.add(sheet.stat("swarm.week", "short", Query(earned % "7d")), 3, 4)
    total = f"sum(swarm_reward_earned_total{{{_NODES}}})"
    sheet.add(sheet.stat("swarm.total", "short", Query(total)), 4, 4)
    sheet.add(
        sheet.stat("swarm.round", "none", Query(f"max(swarm_round{{{_NODES}}})"), trend=True), 4, 4
    )
    sheet.add(
        sheet.stat(
            "swarm.alerts",
            "short",
            Query(f"count({ALERTS}) or vector(0)"),
            colour=_NO_ALERT_IS_GOOD,
        ),
        3,
        4,
    )


def _nodes(sheet: Sheet) -> table.Panel:
    link = NODE_LINK % (sheet.word("instance"), sheet.word("node"))
    day = f"sum by ({_BY}) (increase(%s{{{_NODES}}}[1d]))"
    each = f"max by ({_BY}) (%s)"
    memory = "swarm_process_footprint_bytes{%s} or swarm_process_resident_memory_bytes{%s}"
    gpu = "rate(swarm_gpu_seconds_total{%s}[5m]) or swarm_gpu_utilization_ratio{%s}"
    return sheet.grid(
        "swarm.nodes",
        ["instance", "node"],
        [
            Column("instance", width=160),
            Column("node", width=60, link=link, link_name="open the node"),
            Column("nickname", width=180),
            Column(
                "condition",
                condition_number(_NODES, f"{_BY}, job") + f" {_NICKNAME}{_names()}",
                width=120,
                mapping=condition_names(sheet.language),
            ),
            Column("earned 24 h", day % "swarm_reward_earned_total", decimals=1),
            Column(
                "since last earning",
                f"time() - {each % f'swarm_reward_last_increase_timestamp_seconds{{{_NODES}}}'}",
                "s",
                width=140,
                decimals=1,
                colour=thresholds(GOOD, (3 * 3600, WATCH), (4.5 * 3600, BAD)),
            ),
            Column("rank", each % f"swarm_rank{{{_NODES}}}", "none"),
            Column(
                "ahead of",
                each % f"1 - swarm_rank{{{_NODES}}} / swarm_total_peers{{{_NODES}}}",
                "percentunit",
                decimals=0,
            ),
            Column(
                "rounds behind",
                each % f"swarm_round{{{_NODES}}} - swarm_node_recorded_round{{{_NODES}}}",
                "none",
                colour=thresholds(GOOD, (2, WATCH), (4, BAD)),
            ),
            Column(
                "restarts 24 h",
                day % "swarm_node_restarts_total",
                decimals=0,
                colour=thresholds(QUIET, (1, WATCH), (8, BAD)),
            ),
            Column("memory", each % (memory % (_NODES, _NODES)), "bytes", decimals=1),
            Column(
                "processors",
                f"sum by ({_BY}) (rate(swarm_process_cpu_seconds_total{{{_NODES}}}[5m]))",
                "short",
                decimals=2,
            ),
            Column("GPU", f"sum by ({_BY}) ({gpu % (_NODES, _NODES)})", "percentunit", decimals=0),
        ],
        sort="condition",
        width=112,
    )


def _rewards(sheet: Sheet) -> None:
    # A bar begins where what it shows began: hence the look ahead.
    earned = f"rate(swarm_reward_earned_total{{{_NODES}}}[$__interval] offset -$__interval) * %d"
    # Names as they were within the bar.
    names = _names(f"last_over_time(swarm_node_info{{{_NODES}}}[$__interval] offset -$__interval)")
    sheet.add(
        sheet.bars(
            "swarm.per_hour",
            "short",
            Query(_named(earned % 3600, names), _NODE),
            every="1h",
        ),
        12,
        9,
    )
    sheet.add(
        sheet.bars(
            "swarm.per_day",
            "short",
            Query(_named(earned % 86400, names), _NODE),
            every="1d",
        ).time_from("30d"),
        12,
        9,
    )


def _standing(sheet: Sheet) -> None:
    sheet.add(
        sheet.graph(
            "swarm.against_swarm",
            "short",
            Query(
                f"max by (quantile) (swarm_leaderboard_reward{{{_MACHINES}}})",
                "quantile {{quantile}}",
            ),
            Query(_named(f"swarm_cumulative_reward{{{_NODES}}}", _names()), _NODE),
            lowest=None,
        ),
        12,
        9,
    )
    sheet.add(
        sheet.graph(
            "swarm.rank",
            "none",
            Query(_named(f"swarm_rank{{{_NODES}}}", _names()), _NODE),
            lowest=1,
        ),
        12,
        9,
    )
    percentile = _named(f"(1 - swarm_rank{{{_NODES}}} / swarm_total_peers{{{_NODES}}})", _names())
    sheet.add(sheet.graph("swarm.ahead", "percentunit", Query(percentile, _NODE), highest=1), 12, 8)
    sheet.add(
        sheet.timeline(
            "swarm.conditions",
            Query(_named(condition_number(_NODES, f"{_BY}, job"), _names()), _NODE),
            mapping=condition_names(sheet.language),
            colour=thresholds(GOOD, (len(CONDITIONS) - 8, QUIET), (len(CONDITIONS) - 5, WATCH)),
        ),
        12,
        8,
    )


def _alerts(sheet: Sheet) -> table.Panel:
    since = "ALERTS_FOR_STATE and ignoring (alertstate) " + ALERTS
    return sheet.grid(
        "swarm.alert_list",
        ["alertname", "severity", "instance", "node"],
        [
            Column(
                "alertname",
                link="${runbooks}/${__value.text}.md",
                link_name="open the runbook",
                width=220,
            ),
            Column("severity", width=110),
            Column("instance", width=200),
            Column("node", width=110),
            Column(
                "firing for",
                f"time() - max by (alertname, severity, instance, node) ({since})",
                "s",
                colour=thresholds(WATCH),
            ),
        ],
        sort="firing for",
    )
