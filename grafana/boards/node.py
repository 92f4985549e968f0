"""One node after the other: what it earned, when it was restarted, what it takes."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from boards.kit import NODES, Kit, Steps, Text, now, query

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def board(kit: Kit) -> Any:  # noqa: ANN401 - a builder
    """Return the board."""
    built = kit.board(
        "node",
        Text("Node", "节点"),
        Text("One node: reward, rounds, restarts, memory, errors.", "单个节点的全部情况。"),
        node=True,
    )
    for name, expression, colour in (
        (
            Text("restarts", "重启"),
            f"sum by (node, reason) (increase(swarm_node_restarts_total{{{NODES}}}[2m])) > 0",
            "dark-red",
        ),
        (
            Text("submissions", "提交"),
            f"changes(swarm_last_submit_timestamp_seconds{{{NODES}}}[2m]) > 0",
            "blue",
        ),
    ):
        built = built.annotation(
            dashboard.AnnotationQuery()
            .name(kit.say(name))
            .datasource(_SOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(expression)
        )
    built = built.with_row(kit.row(Text("Node $node", "节点 $node"), repeat="node"))
    for panel in _panels(kit):
        built = built.with_panel(panel)
    return built


def _panels(kit: Kit) -> list[Any]:
    earned = f"swarm_reward_earned_total{{{NODES}}}"
    return [
        kit.stat(
            Text("Earned in 24 hours", "24 小时赚取"),
            Text("Good: about as much as your other nodes.", "正常情况：与其他节点相近。"),
            [now(f"sum(increase({earned}[24h]))")],
            "short",
            decimals=2,
        ),
        kit.stat(
            Text("Last earned", "上次赚取"),
            Text(
                "Good: less than the submit period ago, 3 hours from RL Swarm v0.5.7 on.",
                "正常情况：在提交周期内（RL Swarm v0.5.7 起为 3 小时）。",
            ),
            [now(f"min(time() - swarm_reward_last_increase_timestamp_seconds{{{NODES}}})")],
            "s",
            steps=Steps(2 * 3600, 4.5 * 3600),
        ),
        kit.stat(
            Text("Rank", "排名"),
            Text("Lower is better.", "越低越好。"),
            [
                now(f"min(swarm_rank{{{NODES}}})", kit.say(Text("rank", "排名"))),
                now(f"max(swarm_total_peers{{{NODES}}})", kit.say(Text("of", "总数"))),
            ],
            "none",
            decimals=0,
        ),
        kit.stat(
            Text("Rounds behind", "落后轮数"),
            Text("Good: 0 or 1. From 2 on it is too slow for the swarm.", "正常情况：0 或 1。"),
            [now(f"max(swarm_round{{{NODES}}} - swarm_node_recorded_round{{{NODES}}})")],
            "none",
            steps=Steps(2, 4),
            decimals=0,
        ),
        kit.stat(
            Text("Up for", "已运行"),
            Text(
                "A restart loses what was not submitted: up to 3 hours of reward.",
                "重启会丢失尚未提交的奖励（最多 3 小时）。",
            ),
            [now(f"max(time() - swarm_node_start_time_seconds{{{NODES}}})")],
            "s",
        ),
        kit.stat(
            Text("Restarts in 24 hours", "24 小时重启"),
            Text("Good: 0, or those that you asked for.", "正常情况：0，或您自己要求的。"),
            [now(f"sum(round(increase(swarm_node_restarts_total{{{NODES}}}[24h])))")],
            "none",
            steps=Steps(1, 6),
            decimals=0,
        ),
        kit.series(
            Text("Reward", "奖励"),
            Text(
                "What was really earned rises in steps; the score of the open stage saws below it. "
                "Lines mark restarts and submissions.",
                "真正赚取的逐级上升；当前阶段得分呈锯齿状。竖线标出重启和提交。",
            ),
            [
                query(earned, kit.say(Text("earned", "赚取"))),
                query(f"swarm_last_score{{{NODES}}}", kit.say(Text("last score", "最近得分"))),
            ],
            "short",
            least=None,
        ),
        kit.series(
            Text("Rounds", "轮次"),
            Text("Good: the node's round stays with the swarm's.", "正常情况：与 swarm 同步。"),
            [
                query(f"swarm_round{{{NODES}}}", kit.say(Text("swarm", "swarm"))),
                query(f"swarm_node_recorded_round{{{NODES}}}", kit.say(Text("recorded", "已记录"))),
                query(f"swarm_training_joined_round{{{NODES}}}", kit.say(Text("joined", "已加入"))),
            ],
            "none",
            least=None,
        ),
        kit.series(
            Text("Memory", "内存"),
            Text(
                "Good: flat below the plan's figure. On a Mac look at the footprint; what is "
                "compressed for the GPU grows where the machine is short of memory.",
                "正常情况：平稳且低于计划值。Mac 上看 footprint；GPU 压缩内存增长说明内存不足。",
            ),
            [
                query(
                    f"swarm_process_resident_memory_bytes{{{NODES}}}",
                    kit.say(Text("resident", "常驻")),
                ),
                query(
                    f"swarm_process_footprint_bytes{{{NODES}}}",
                    kit.say(Text("footprint", "footprint")),
                ),
                query(f"swarm_mps_memory_bytes{{{NODES}}}", "MPS"),
                query(
                    f"swarm_mps_memory_compressed_bytes{{{NODES}}}",
                    kit.say(Text("MPS, compressed", "MPS（已压缩）")),
                ),
                query(
                    'max(swarm_plan_node_memory_bytes{instance=~"$machine"})',
                    kit.say(Text("plan", "计划")),
                ),
            ],
            "bytes",
        ),
        kit.series(
            Text("Processors", "处理器"),
            Text("Cores that its whole process tree keeps busy.", "整个进程树占用的核数。"),
            [
                query(
                    f"rate(swarm_process_cpu_seconds_total{{{NODES}}}[$__rate_interval])",
                    kit.say(Text("cores", "核")),
                )
            ],
            "short",
        ),
        kit.series(
            Text("GPU", "GPU"),
            Text(
                "GPU time that it uses. A node that trains and shows none is on the CPU.",
                "使用的 GPU 时间和显存。训练中却为零说明在用 CPU。",
            ),
            [
                query(
                    f"rate(swarm_gpu_seconds_total{{{NODES}}}[$__rate_interval])",
                    kit.say(Text("time {{gpu}}", "时间 {{gpu}}")),
                ),
                query(
                    f"swarm_gpu_utilization_ratio{{{NODES}}}",
                    kit.say(Text("use {{gpu}}", "利用率 {{gpu}}")),
                ),
            ],
            "percentunit",
        ),
        kit.series(
            Text("Errors in its log", "日志中的错误"),
            Text("Good: none. The kind says what to do.", "正常情况：没有。"),
            [
                query(
                    f"sum by (kind) (increase(swarm_training_errors_total{{{NODES}}}[1h]))",
                    "{{kind}}",
                ),
                query(
                    f'increase(swarm_submissions_total{{{NODES},result="refused"}}[1h])',
                    kit.say(Text("refused submissions", "被拒绝的提交")),
                ),
            ],
            "short",
            bars=True,
            stacked=True,
            interval="1h",
        ),
    ]
