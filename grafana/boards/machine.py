"""The machine under the nodes: what it has, what is short, and whether one more node fits."""

from __future__ import annotations

from typing import Any

from boards.kit import MACHINES, Kit, Steps, Text, now, query
from boards.swarm import WATTS


def board(kit: Kit) -> Any:  # noqa: ANN401 - a builder
    """Return the board."""
    built = kit.board(
        "machine",
        Text("Machine", "机器"),
        Text("What the machine has, and what is short.", "机器有什么、缺什么。"),
        node=False,
    )
    for panel in (*_strip(kit), *_series(kit)):
        built = built.with_panel(panel)
    return built


def _strip(kit: Kit) -> list[Any]:
    return [
        kit.stat(
            Text("Room for more nodes", "还能加几个节点"),
            Text(
                "By `swarm-exporter plan`, which says why. Below zero more run than fit well.",
                "来自 `swarm-exporter plan`。负数表示已经太多。",
            ),
            [now(f"min(swarm_plan_room_nodes{{{MACHINES}}})")],
            "none",
            steps=Steps(1, 0),
            decimals=0,
        ),
        kit.stat(
            Text("Memory available", "可用内存"),
            Text("Good: above 15 %. Below 10 % it begins to swap.", "正常情况：高于 15%。"),
            [now(f"min(swarm_host_memory_available_ratio{{{MACHINES}}})")],
            "percentunit",
            steps=Steps(0.15, 0.1),
            decimals=0,
        ),
        kit.stat(
            Text("Memory pressure", "内存压力"),
            Text(
                "macOS: 1 normal, 2 warning, 4 critical. Linux: share of time that waits.",
                "macOS：1 正常，2 警告，4 危急。Linux：等待内存的时间占比。",
            ),
            [
                now(
                    f"max(swarm_host_memory_pressure_level{{{MACHINES}}}) or "
                    "max(rate(swarm_host_memory_pressure_stalled_seconds_total"
                    f'{{{MACHINES},kind="some"}}[5m]))'
                )
            ],
            "none",
            steps=Steps(2, 4),
            decimals=2,
        ),
        kit.stat(
            Text("Hottest", "最高温度"),
            Text("Good: below 85 °C. From 95 °C on machines slow down.", "正常情况：低于 85 °C。"),
            [
                now(
                    f"max(swarm_host_temperature_celsius{{{MACHINES}}}) or "
                    f"max(swarm_host_gpu_temperature_celsius{{{MACHINES}}})"
                )
            ],
            "celsius",
            steps=Steps(85, 95),
            decimals=0,
        ),
        kit.stat(
            Text("Disk lasts for", "磁盘可用时间"),
            Text(
                "At the rate of the last day; none is shown where it does not fill.",
                "按最近一天的速度计算；不增长时不显示。",
            ),
            [
                now(
                    f"min((swarm_host_disk_free_bytes{{{MACHINES}}} / "
                    f"-(deriv(swarm_host_disk_free_bytes{{{MACHINES}}}[1d]) < -1)))"
                )
            ],
            "s",
            steps=Steps(7 * 86_400, 86_400),
        ),
        kit.stat(
            Text("Nodes that run", "运行中的节点"),
            Text("By their trainers, not by the scripts around them.", "按训练进程统计。"),
            [now(f"sum(swarm_trainer_up{{{MACHINES}}})")],
            "none",
            decimals=0,
        ),
    ]


def _series(kit: Kit) -> list[Any]:
    rate = "[$__rate_interval]"
    return [
        kit.series(
            Text("Processors by mode", "处理器（按模式）"),
            Text(
                "Busy cores. Good: below the number of cores; iowait is waiting for disks.",
                "占用的核数。正常情况：低于核数；iowait 表示在等磁盘。",
            ),
            [
                query(
                    "sum by (mode) (rate(swarm_host_cpu_seconds_total"
                    f'{{{MACHINES},mode!="idle"}}{rate}))',
                    "{{mode}}",
                ),
                query(f"sum(swarm_host_cpus{{{MACHINES}}})", kit.say(Text("cores", "核数"))),
            ],
            "short",
            stacked=False,
        ),
        kit.series(
            Text("Processors by cluster", "处理器（按集群）"),
            Text(
                "Share of time in which performance and efficiency cores are busy. Training wants "
                "performance cores.",
                "性能核和能效核的占用比例。训练主要用性能核。",
            ),
            [
                query(
                    "1 - sum by (cluster) (rate(swarm_host_cpu_seconds_total"
                    f'{{{MACHINES},mode="idle"}}{rate})) '
                    "/ sum by (cluster) (rate(swarm_host_cpu_seconds_total"
                    f"{{{MACHINES}}}{rate}))",
                    kit.say(Text("busy {{cluster}}", "占用 {{cluster}}")),
                )
            ],
            "percentunit",
            most=1,
        ),
        kit.series(
            Text("Memory by kind", "内存（按种类）"),
            Text(
                "The kinds overlap and do not add up. Good: available stays above a tenth of the "
                "total.",
                "各类有重叠，不可相加。正常情况：available 高于总量的十分之一。",
            ),
            [query(f"max by (kind) (swarm_host_memory_bytes{{{MACHINES}}})", "{{kind}}")],
            "bytes",
        ),
        kit.series(
            Text("Swap", "交换"),
            Text(
                "Good: nothing goes out. Swapping out while training is thrashing.",
                "正常：不换出。",
            ),
            [
                query(
                    f"sum(rate(swarm_host_swap_out_bytes_total{{{MACHINES}}}{rate}))",
                    kit.say(Text("out", "换出")),
                ),
                query(
                    f"sum(rate(swarm_host_swap_in_bytes_total{{{MACHINES}}}{rate}))",
                    kit.say(Text("in", "换入")),
                ),
            ],
            "Bps",
        ),
        kit.series(
            Text("Memory for the GPU", "GPU 内存"),
            Text(
                "Good: what all nodes hold stays below what Metal or the card has.",
                "正常情况：低于 Metal 建议值或显卡总量。",
            ),
            [
                query(f"max(swarm_host_mps_memory_bytes{{{MACHINES}}})", "MPS"),
                query(
                    "max by (gpu, kind) (swarm_host_gpu_memory_bytes"
                    f'{{{MACHINES},kind=~"in_use|total"}})',
                    "{{gpu}} {{kind}}",
                ),
                query(
                    f"max(swarm_torch_mps_recommended_max_bytes{{{MACHINES}}})",
                    kit.say(Text("recommended", "建议值")),
                ),
            ],
            "bytes",
        ),
        kit.series(
            Text("GPU in use", "GPU 利用率"),
            Text("Share of time in which it was busy, whoever used it.", "GPU 忙碌时间占比。"),
            [query(f"max by (gpu) (swarm_host_gpu_utilization_ratio{{{MACHINES}}})", "{{gpu}}")],
            "percentunit",
            most=1,
        ),
        kit.series(
            Text("Temperature", "温度"),
            Text("Good: below 85 °C.", "正常情况：低于 85 °C。"),
            [
                query(
                    f"max by (sensor) (swarm_host_temperature_celsius{{{MACHINES}}})", "{{sensor}}"
                ),
                query(
                    f"max by (gpu, sensor) (swarm_host_gpu_temperature_celsius{{{MACHINES}}})",
                    "{{gpu}} {{sensor}}",
                ),
            ],
            "celsius",
            least=None,
            steps=Steps(85, 95),
        ),
        kit.series(
            Text("Power", "功率"),
            Text("On a Mac macmon tells it.", "Mac 上由 macmon 提供。"),
            [
                query(f"sum by (domain) (swarm_host_power_watts{{{MACHINES}}})", "{{domain}}"),
                query(WATTS, kit.say(Text("whole", "整机"))),
            ],
            "watt",
        ),
        kit.series(
            Text("Free on the nodes' disks", "节点磁盘剩余"),
            Text("Good: more than 20 GiB. Models and logs grow.", "正常情况：大于 20 GiB。"),
            [
                query(
                    f"min by (mountpoint) (swarm_host_disk_free_bytes{{{MACHINES}}})",
                    "{{mountpoint}}",
                )
            ],
            "bytes",
            steps=Steps(20 * 2**30, 5 * 2**30),
        ),
        kit.series(
            Text("Network", "网络"),
            Text("The swarm talks all the time; none is a sign of trouble.", "swarm 持续通信。"),
            [
                query(
                    f"sum by (interface) (rate(swarm_host_network_receive_bytes_total{{{MACHINES}}}"
                    f"{rate}))",
                    kit.say(Text("in {{interface}}", "接收 {{interface}}")),
                ),
                query(
                    "sum by (interface) (rate(swarm_host_network_transmit_bytes_total"
                    f"{{{MACHINES}}}{rate}))",
                    kit.say(Text("out {{interface}}", "发送 {{interface}}")),
                ),
            ],
            "Bps",
        ),
    ]
