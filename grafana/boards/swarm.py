"""The board to open in the morning: what all nodes earn, and which one to look at."""

from __future__ import annotations

from typing import Any

from boards.kit import GOOD, LOOK, NODES, WRONG, Column, Kit, Steps, Text, cell, now, query

#: Condition -> its words and colour; those of the status page and the terminal.
CONDITIONS = (
    ("earning", Text("✓ earning", "✓ 正在赚取"), GOOD),
    ("training", Text("▲ not earning", "▲ 未赚取"), LOOK),
    ("waiting_swarm", Text("… waiting for the swarm", "… 等待 swarm"), "text"),
    ("waiting_login", Text("▲ waiting for login", "▲ 等待登录"), LOOK),
    ("wrong_identity", Text("✗ wrong identity", "✗ 身份错误"), WRONG),
    ("too_slow", Text("▲ too slow", "▲ 太慢"), LOOK),
    ("crash_looping", Text("✗ crash looping", "✗ 反复崩溃"), WRONG),
    ("down", Text("✗ down", "✗ 已停机"), WRONG),
    ("swarm_halted", Text("‖ swarm halted", "‖ swarm 停滞"), "text"),
    ("stopped", Text("■ stopped", "■ 已停止"), "text"),
    ("unknown", Text("? not known", "? 未知"), LOOK),
)
_BY_NODE = "by (instance, node)"
_EARNED = "swarm_reward_earned_total"


def table_of_nodes(kit: Kit, where: str, height: int = 9) -> Any:  # noqa: ANN401 - a builder
    """Return a row for each node, the one that earned least first."""
    gpu = (
        f"sum {_BY_NODE} (swarm_mps_memory_bytes{{{where}}}) "
        f"or sum {_BY_NODE} (swarm_gpu_memory_bytes{{{where}}})"
    )
    columns = [
        Column("instance", Text("Machine", "机器")),
        Column(
            "node",
            Text("Node", "节点"),
            link="/d/swarm-node?var-machine=${__data.fields[0]}&var-node=${__value.text}",
        ),
        Column(
            "condition",
            Text("Condition", "状态"),
            cell(f"max by (instance, node, condition) (swarm_node_condition{{{where}}} == 1)"),
            label=True,
            mappings=CONDITIONS,
        ),
        Column(
            "nickname",
            Text("Nickname", "昵称"),
            cell(f"max by (instance, node, nickname) (swarm_node_info{{{where}}})"),
            label=True,
        ),
        Column(
            "earned",
            Text("Earned 24 h", "24 小时赚取"),
            cell(f"sum {_BY_NODE} (increase({_EARNED}{{{where}}}[24h]))"),
            unit="short",
        ),
        Column(
            "age",
            Text("Last earned", "上次赚取"),
            cell(
                f"max {_BY_NODE} (time() - swarm_reward_last_increase_timestamp_seconds{{{where}}})"
            ),
            unit="s",
            steps=Steps(2 * 3600, 4.5 * 3600),
        ),
        Column("rank", Text("Rank", "排名"), cell(f"max {_BY_NODE} (swarm_rank{{{where}}})")),
        Column(
            "percentile",
            Text("Better than", "超过"),
            cell(f"max {_BY_NODE} (1 - swarm_rank{{{where}}} / swarm_total_peers{{{where}}})"),
            unit="percentunit",
        ),
        Column(
            "lag",
            Text("Rounds behind", "落后轮数"),
            cell(f"max {_BY_NODE} (swarm_round{{{where}}} - swarm_node_recorded_round{{{where}}})"),
            steps=Steps(2, 4),
        ),
        Column(
            "restarts",
            Text("Restarts 24 h", "24 小时重启"),
            cell(f"sum {_BY_NODE} (round(increase(swarm_node_restarts_total{{{where}}}[24h])))"),
            steps=Steps(1, 6),
        ),
        Column(
            "memory",
            Text("Memory", "内存"),
            cell(
                f"max {_BY_NODE} (swarm_process_footprint_bytes{{{where}}}) "
                f"or max {_BY_NODE} (swarm_process_resident_memory_bytes{{{where}}})"
            ),
            unit="bytes",
        ),
        Column("gpu", Text("For the GPU", "GPU 占用"), cell(gpu), unit="bytes"),
    ]
    return kit.table(
        Text("Nodes, the one that earned least first", "节点，赚取最少的在前"),
        Text(
            "Good: every row is earning, last earned within the submit period (3 hours from "
            "RL Swarm v0.5.7 on), no round behind, no restart. Click a node for its board.",
            "正常情况：每行都在赚取，上次赚取在提交周期内（RL Swarm v0.5.7 起为 3 小时），"
            "没有落后，没有重启。点击节点查看它的面板。",
        ),
        columns,
        sort="earned",
        height=height,
    )


def board(kit: Kit) -> Any:  # noqa: ANN401 - a builder
    """Return the board."""
    built = kit.board(
        "swarm",
        Text("Swarm", "总览"),
        Text(
            "What all nodes earn, where they rank, and which one to look at.",
            "所有节点赚了多少、排在哪里、该看哪一个。",
        ),
        node=True,
    )
    earning = f'swarm_node_condition{{condition="earning",{NODES}}}'
    for panel in (
        kit.stat(
            Text("Nodes earning", "正在赚取的节点"),
            Text("Good: both figures are the same.", "正常情况：两个数字相同。"),
            [
                now(f"sum({earning})", kit.say(Text("earning", "赚取中"))),
                now(f"count({earning})", kit.say(Text("of", "总数"))),
            ],
            "none",
        ),
        kit.stat(
            Text("Earned in 24 hours", "24 小时赚取"),
            Text(
                "Really earned: upstream's own cumulative figure jumps and restarts.",
                "真正赚取的：上游自己的累计值会跳变和清零。",
            ),
            [now(f"sum(increase({_EARNED}{{{NODES}}}[24h]))")],
            "short",
            decimals=2,
        ),
        kit.stat(
            Text("Earned in 7 days", "7 天赚取"),
            Text("Good: seven times the day's.", "正常情况：约为一天的七倍。"),
            [now(f"sum(increase({_EARNED}{{{NODES}}}[7d]))")],
            "short",
            decimals=2,
        ),
        kit.stat(
            Text("Earned since first seen", "首次看到以来赚取"),
            Text("It never falls; restarts keep it.", "只增不减；重启不影响。"),
            [now(f"sum({_EARNED}{{{NODES}}})")],
            "short",
            decimals=2,
        ),
        kit.stat(
            Text("Round of the swarm", "swarm 轮次"),
            Text("Good: it moves on. One that stands still halts all.", "正常情况：不断前进。"),
            [now(f"max(swarm_round{{{NODES}}})")],
            "none",
            decimals=0,
        ),
        kit.stat(
            Text("Alerts firing", "触发的告警"),
            Text(
                "Good: 0. Each alert has a runbook that says what to do.",
                "正常情况：0。每个告警都有处理手册。",
            ),
            [
                now(
                    'count(ALERTS{alertstate="firing",alertname!~"Watchdog|SwarmDigest",'
                    'instance=~"$machine|"}) or vector(0)'
                )
            ],
            "none",
            steps=Steps(1, 3),
            decimals=0,
        ),
    ):
        built = built.with_panel(panel)
    built = built.with_panel(table_of_nodes(kit, NODES))
    who = "{{instance}} {{node}}"
    stacked_help = Text(
        "Good: every node has a part of each bar. A stage that ends counts in its hour.",
        "正常情况：每根柱子里都有每个节点的一份。",
    )
    for panel in (
        kit.series(
            Text("Earned per hour, by node", "每小时赚取（按节点）"),
            stacked_help,
            [query(f"sum {_BY_NODE} (increase({_EARNED}{{{NODES}}}[1h]))", who)],
            "short",
            stacked=True,
            bars=True,
            interval="1h",
        ),
        kit.series(
            Text("Earned per day, by node", "每天赚取（按节点）"),
            stacked_help,
            [query(f"sum {_BY_NODE} (increase({_EARNED}{{{NODES}}}[1d]))", who)],
            "short",
            stacked=True,
            bars=True,
            interval="1d",
        ).time_from("14d"),
        kit.series(
            Text("Rank", "排名"),
            Text("Lower is better; 1 is the first.", "越低越好；1 是第一名。"),
            [query(f"max {_BY_NODE} (swarm_rank{{{NODES}}})", who)],
            "none",
            least=None,
        ),
        kit.series(
            Text("Us against the swarm", "我们与整个 swarm"),
            Text(
                "The API's own figure of our nodes beside the median and the best of all peers. "
                "Good: not below the median for long. It may fall: upstream resets it.",
                "我们节点的 API 数值与全体的中位数、最高分位对比。上游会清零，所以可能下降。",
            ),
            [
                query(f"max {_BY_NODE} (swarm_cumulative_reward{{{NODES}}})", who),
                query(
                    'max by (quantile) (swarm_leaderboard_reward{instance=~"$machine",'
                    'quantile=~"0.5|0.9|0.99"})',
                    kit.say(Text("quantile {{quantile}}", "分位 {{quantile}}")),
                ),
            ],
            "short",
            least=None,
        ),
    ):
        built = built.with_panel(panel)
    return (
        built.with_row(kit.row(Text("Energy", "能耗")))
        .with_panel(_power(kit))
        .with_panel(_energy(kit))
        .with_panel(_per_energy(kit))
        .with_panel(_cost(kit))
        .with_variable(_price(kit))
    )


#: What the whole machine draws, or its parts where nobody measures the whole.
WATTS = (
    'sum(swarm_host_power_watts{instance=~"$machine",domain="system"}) '
    'or sum(swarm_host_power_watts{instance=~"$machine",domain="soc"}) '
    'or sum(swarm_host_gpu_power_watts{instance=~"$machine"})'
)
#: The same over a day, kilowatt hours.
_DAY = (
    '24 / 1000 * (sum(avg_over_time(swarm_host_power_watts{instance=~"$machine",'
    'domain="system"}[1d])) '
    'or sum(avg_over_time(swarm_host_power_watts{instance=~"$machine",domain="soc"}[1d])) '
    'or sum(avg_over_time(swarm_host_gpu_power_watts{instance=~"$machine"}[1d])))'
)
_MACMON = Text(
    "On a Mac macmon tells it (brew install macmon); with NVIDIA or AMD it is the GPUs' alone.",
    "Mac 上需要 macmon（brew install macmon）；NVIDIA 或 AMD 只含 GPU。",
)


def _power(kit: Kit) -> Any:  # noqa: ANN401
    return kit.series(
        Text("Power", "功率"), _MACMON, [query(WATTS, "W")], "watt", span=12, height=6
    )


def _energy(kit: Kit) -> Any:  # noqa: ANN401
    return kit.stat(Text("kWh a day", "每天千瓦时"), _MACMON, [now(_DAY)], "kwatth", decimals=2)


def _per_energy(kit: Kit) -> Any:  # noqa: ANN401
    return kit.stat(
        Text("Points per kWh", "每千瓦时收益"),
        Text("More is better: what a kilowatt hour earned in the last day.", "越高越好。"),
        [now(f"sum(increase({_EARNED}{{{NODES}}}[1d])) / ({_DAY})")],
        "short",
        decimals=2,
    )


def _cost(kit: Kit) -> Any:  # noqa: ANN401
    return kit.stat(
        Text("Cost a day", "每天费用"),
        Text(
            "Shown where a price per kWh is written above, in its currency.",
            "在上方填入每千瓦时价格后显示，单位为该货币。",
        ),
        [now(f"({_DAY}) * $price > 0")],
        "short",
        decimals=2,
    )


def _price(kit: Kit) -> Any:  # noqa: ANN401
    from grafana_foundation_sdk.builders import dashboard

    return (
        dashboard.TextBoxVariable("price")
        .label(kit.say(Text("Price per kWh", "每千瓦时价格")))
        .default_value("0")
    )
