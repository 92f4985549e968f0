"""The monitor of the monitor: how fresh what we see is, why not, and what it costs."""

from __future__ import annotations

from typing import Any

from boards.kit import MACHINES, Kit, Steps, Text, now, query


def board(kit: Kit) -> Any:  # noqa: ANN401 - a builder
    """Return the board."""
    built = kit.board(
        "exporter",
        Text("Exporter", "采集器"),
        Text("How well we see, and what seeing costs.", "看得有多清楚，代价是多少。"),
        node=False,
    )
    for panel in (*_strip(kit), *_series(kit)):
        built = built.with_panel(panel)
    return built


def _strip(kit: Kit) -> list[Any]:
    saved = f"swarm_exporter_state_last_save_successful{{{MACHINES}}}"
    loaded = f"swarm_exporter_config_last_reload_successful{{{MACHINES}}}"
    return [
        kit.stat(
            Text("Sources down", "失败的数据源"),
            Text("Good: 0. The panel below says which and why.", "正常情况：0。下方说明原因。"),
            [now(f"count(swarm_source_up{{{MACHINES}}} == 0) or vector(0)")],
            "none",
            steps=Steps(1, 3),
            decimals=0,
        ),
        kit.stat(
            Text("Oldest source", "最旧的数据"),
            Text("Good: below a minute or two.", "正常情况：一两分钟以内。"),
            [now(f"max(time() - swarm_source_last_success_timestamp_seconds{{{MACHINES}}})")],
            "s",
            steps=Steps(400, 900),
        ),
        kit.stat(
            Text("Configuration", "配置"),
            Text("1 where the file in force is the newest one.", "1 表示已加载最新配置。"),
            [now(f"min({loaded})")],
            "none",
            steps=Steps(1, 0.5),
            decimals=0,
        ),
        kit.stat(
            Text("State saved", "状态已保存"),
            Text("1 where what was earned is on disk.", "1 表示赚取记录已写入磁盘。"),
            [now(f"min({saved})")],
            "none",
            steps=Steps(1, 0.5),
            decimals=0,
        ),
        kit.stat(
            Text("Memory of the exporter", "采集器内存"),
            Text("Good: below 60 MB.", "正常情况：低于 60 MB。"),
            [now(f"max(process_resident_memory_bytes{{{MACHINES}}})")],
            "bytes",
            steps=Steps(100e6, 200e6),
        ),
        kit.stat(
            Text("CPU of the exporter", "采集器 CPU"),
            Text("Good: below 0.5 % of a core.", "正常情况：低于单核的 0.5%。"),
            [now(f"max(rate(process_cpu_seconds_total{{{MACHINES}}}[5m]))")],
            "percentunit",
            steps=Steps(0.02, 0.1),
            decimals=2,
        ),
    ]


def _series(kit: Kit) -> list[Any]:
    return [
        kit.series(
            Text("Age of what each source last said", "各数据源的数据年龄"),
            Text("Good: a saw below each source's interval.", "正常情况：低于其轮询间隔的锯齿。"),
            [
                query(
                    "max by (source) (time() - swarm_source_last_success_timestamp_seconds"
                    f"{{{MACHINES}}})",
                    "{{source}}",
                )
            ],
            "s",
        ),
        kit.series(
            Text("Errors by reason", "错误（按原因）"),
            Text(
                "Good: none. docs/metrics.md says what to do for each reason.", "正常情况：没有。"
            ),
            [
                query(
                    "sum by (source, reason) (increase(swarm_source_errors_total"
                    f"{{{MACHINES}}}[$__rate_interval]))",
                    "{{source}} {{reason}}",
                )
            ],
            "short",
            bars=True,
            stacked=True,
        ),
        kit.series(
            Text("Time that each source takes", "各数据源耗时"),
            Text("Good: far below the timeout (10 s).", "正常情况：远低于超时（10 秒）。"),
            [query(f"max by (source) (swarm_source_duration_seconds{{{MACHINES}}})", "{{source}}")],
            "s",
        ),
        kit.series(
            Text("Time of a scrape", "抓取耗时"),
            Text("Good: milliseconds; nothing on its way waits.", "正常情况：毫秒级。"),
            [query(f"scrape_duration_seconds{{{MACHINES}}}", "{{instance}}")],
            "s",
        ),
        kit.series(
            Text("Series", "序列数"),
            Text("It does not grow with time.", "不应随时间增长。"),
            [query(f"scrape_samples_scraped{{{MACHINES}}}", "{{instance}}")],
            "none",
        ),
        kit.series(
            Text("Age of the API's own data", "API 自身数据的年龄"),
            Text(
                "Good: below five minutes. An API that lost the swarm goes on answering 200.",
                "正常情况：五分钟以内。失去 swarm 的 API 仍会返回 200。",
            ),
            [
                query(
                    f"time() - swarm_leaderboard_data_timestamp_seconds{{{MACHINES}}}",
                    "{{instance}} {{node}}",
                )
            ],
            "s",
            steps=Steps(300, 900),
        ),
    ]
