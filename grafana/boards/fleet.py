"""All machines: which of them earn, and the worst nodes anywhere; built on recording rules."""

from __future__ import annotations

from typing import Any

from boards.kit import MACHINES, Column, Kit, Steps, Text, cell, now, query
from boards.swarm import table_of_nodes

_DAY = "instance:swarm_reward_earned:increase1d"


def board(kit: Kit) -> Any:  # noqa: ANN401 - a builder
    """Return the board."""
    built = kit.board(
        "fleet",
        Text("Fleet", "机群"),
        Text("All machines: which of them earn.", "所有机器：哪些在赚取。"),
        node=False,
    )
    earning = f'swarm_node_condition{{condition="earning",{MACHINES}}}'
    panels = [
        kit.stat(
            Text("Machines", "机器"),
            Text("Good: both figures are the same.", "正常情况：两个数字相同。"),
            [
                now(f"count(swarm_exporter_build_info{{{MACHINES}}})", kit.say(Text("up", "在线"))),
                now(
                    "count(count by (instance) (last_over_time(swarm_exporter_build_info"
                    f"{{{MACHINES}}}[1d])))",
                    kit.say(Text("seen in a day", "一天内见过")),
                ),
            ],
            "none",
            span=6,
        ),
        kit.stat(
            Text("Nodes earning", "正在赚取的节点"),
            Text("Good: both figures are the same.", "正常情况：两个数字相同。"),
            [
                now(f"sum({earning})", kit.say(Text("earning", "赚取中"))),
                now(f"count({earning})", kit.say(Text("of", "总数"))),
            ],
            "none",
            span=6,
        ),
        kit.stat(
            Text("Earned in 24 hours", "24 小时赚取"),
            Text("By all machines.", "所有机器合计。"),
            [now(f"sum({_DAY}{{{MACHINES}}})")],
            "short",
            span=6,
            decimals=2,
        ),
        kit.stat(
            Text("Earned in 7 days", "7 天赚取"),
            Text("By all machines.", "所有机器合计。"),
            [now(f"sum(instance:swarm_reward_earned:increase1w{{{MACHINES}}})")],
            "short",
            span=6,
            decimals=2,
        ),
        kit.table(
            Text("Machines, the one that earned least first", "机器，赚取最少的在前"),
            Text(
                "Good: every node of each machine earns, and memory is left.",
                "正常情况：每台机器的所有节点都在赚取，内存有余。",
            ),
            [
                Column(
                    "instance",
                    Text("Machine", "机器"),
                    link="/d/swarm-machine?var-machine=${__value.text}",
                ),
                Column(
                    "earned",
                    Text("Earned 24 h", "24 小时赚取"),
                    cell(f"{_DAY}{{{MACHINES}}}"),
                    unit="short",
                ),
                Column(
                    "earning",
                    Text("Earning", "赚取中"),
                    cell(f"sum by (instance) ({earning})"),
                ),
                Column("nodes", Text("Nodes", "节点"), cell(f"count by (instance) ({earning})")),
                Column(
                    "room",
                    Text("Room for more", "还能加"),
                    cell(f"max by (instance) (swarm_plan_room_nodes{{{MACHINES}}})"),
                ),
                Column(
                    "memory",
                    Text("Memory available", "可用内存"),
                    cell(f"max by (instance) (swarm_host_memory_available_ratio{{{MACHINES}}})"),
                    unit="percentunit",
                    steps=Steps(0.15, 0.1),
                ),
                Column(
                    "disk",
                    Text("Disk free", "磁盘剩余"),
                    cell(f"min by (instance) (swarm_host_disk_free_bytes{{{MACHINES}}})"),
                    unit="bytes",
                    steps=Steps(20 * 2**30, 5 * 2**30),
                ),
            ],
            sort="earned",
        ),
        kit.series(
            Text("Earned per day, by machine", "每天赚取（按机器）"),
            Text("Good: every machine has its part.", "正常情况：每台机器都有一份。"),
            [query(f"{_DAY}{{{MACHINES}}}", "{{instance}}")],
            "short",
            span=24,
            stacked=True,
            bars=True,
            interval="1d",
        ).time_from("14d"),
        table_of_nodes(kit, MACHINES, height=12),
    ]
    for panel in panels:
        built = built.with_panel(panel)
    return built
