"""Every title, description and word of the boards, in English and Chinese.

A description says what is shown and what good looks like.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Language(str, Enum):
    """The language of titles, descriptions and legends."""

    EN = "en"
    ZH = "zh"


class Text(NamedTuple):
    """The title of a board, row, panel or link, and what its "i" says."""

    title: str
    about: str = ""


def _both(en: tuple[str, ...], zh: tuple[str, ...]) -> dict[Language, Text]:
    return {Language.EN: Text(*en), Language.ZH: Text(*zh)}


def word(key: str, language: Language) -> str:
    """Return a word of legends and columns; its key is the English one."""
    chinese = _CHINESE[key]
    return chinese if language is Language.ZH else key


_SWARM: dict[str, dict[Language, Text]] = {
    "swarm": _both(
        ("RL Swarm", "RL Swarm (Gensyn): what your nodes earn, and which of them needs you."),
        ("RL Swarm 总览", "RL Swarm（Gensyn）：各节点的收益，以及哪个节点需要处理。"),
    ),
    "swarm.earning": _both(
        ("Nodes earning", "Nodes that have earned lately, and all nodes. Good: both are the same."),
        ("收益中的节点", "近期有收益的节点数与节点总数。正常：两者相等。"),
    ),
    "swarm.needs_you": _both(
        (
            "Need you",
            "Nodes in a condition that does not pass by itself: down, in a crash loop, waiting for "
            "a login, with a wrong identity, or too slow. Good: 0. The status page of the machine "
            "names the next step.",
        ),
        (
            "需要处理",
            "处于无法自行恢复状态的节点：停机、反复崩溃、等待登录、身份错误或过慢。正常：0。"
            "机器的状态页会给出下一步。",
        ),
    ),
    "swarm.today": _both(
        (
            "Earned today",
            "Reward that all chosen nodes earned since midnight. Good: on the way to what a usual "
            "day brings (the bars by day show it).",
        ),
        ("今日收益", "所选节点自零点以来的收益。正常：与平日同一时刻相近（见按天柱状图）。"),
    ),
    "swarm.week": _both(
        ("Earned in 7 days", "Reward of the last 7 days. Good: about seven times a usual day."),
        ("7 天收益", "最近 7 天的收益。正常：约为平日的七倍。"),
    ),
    "swarm.total": _both(
        (
            "Earned in total",
            "All reward since the exporter first saw the nodes. It never falls; upstream's own "
            "cumulative reward does, by design. Good: it grows.",
        ),
        (
            "累计收益",
            "自首次看到节点以来的全部收益，只增不减；上游自己的累计值会下降，这是其设计。正常："
            "持续增长。",
        ),
    ),
    "swarm.round": _both(
        (
            "Swarm round",
            "The round of the swarm, and how it went on. Good: it climbs. Where it stands still, "
            "the swarm does, and there is nothing to do at your nodes.",
        ),
        (
            "群轮次",
            "整个 swarm 的轮次及其走势。正常：持续上升。若停住，是 swarm 停了，节点无需处理。",
        ),
    ),
    "swarm.alerts": _both(
        (
            "Alerts firing",
            "Alerts of the chosen nodes and machines that fire now; the list is below. Needs the "
            "rules in prometheus/rules. Good: 0.",
        ),
        (
            "告警数",
            "所选节点与机器当前触发的告警，清单在下方。需要加载 prometheus/rules 中的规则。正常："
            "0。",
        ),
    ),
    "swarm.nodes": _both(
        (
            "Nodes, the worst first",
            "One row for each node. Good: all earn, earned lately (blue), are at most one round "
            "behind and were not restarted. Click a node for its own board.",
        ),
        (
            "节点（最差在前）",
            "每个节点一行。正常：都在收益、近期有收益（蓝色）、最多落后一轮、没有重启。"
            "点击节点打开其面板。",
        ),
    ),
    "swarm.rewards": _both(("Rewards",), ("收益",)),
    "swarm.per_hour": _both(
        (
            "Earned per hour",
            "Reward per hour by node, each bar from its begin on; the last one is not over yet. "
            "Over long times a bar is the mean of more than an hour. Good: bars of even height, "
            "every node in them. Nodes of v0.5.7 and later submit every 3 hours.",
        ),
        (
            "每小时收益",
            "按节点统计的每小时收益，柱从该小时开始处画起，最后一根尚未结束；"
            "时间范围很长时为多小时的平均。"
            "正常：柱高均匀，每个节点都有。v0.5.7 及以后的节点每 3 小时提交一次。",
        ),
    ),
    "swarm.per_day": _both(
        (
            "Earned per day, 30 days",
            "Reward per day by node; the last bar is today. Good: even or growing. A colour that "
            "is missing is a node that earned nothing that day.",
        ),
        (
            "每日收益（30 天）",
            "按节点统计的每日收益，最后一根是今天。正常：平稳或增长。"
            "缺少某种颜色表示该节点当天没有收益。",
        ),
    ),
    "swarm.against": _both(("You and the swarm",), ("与整个 swarm 比较",)),
    "swarm.against_swarm": _both(
        (
            "Your nodes and the swarm",
            "Cumulative reward as the board says it: your nodes, and the median, the best tenth, "
            "the best hundredth and the first of all peers. Good: your nodes above the median and "
            "as steep. A fall to a small figure is upstream's reset after an absence.",
        ),
        (
            "我的节点与整个 swarm",
            "榜单上的累计奖励：我的节点，以及所有参与者的中位数、前十分之一、前百分之一和第一名。"
            "正常：高于中位数且同样陡。突然降到很小是缺席后上游的重置。",
        ),
    ),
    "swarm.rank": _both(
        ("Rank", "Place on the board; low is good. A gap: the node is not on the board."),
        ("排名", "榜单名次。正常：数值小且稳定。缺口表示节点不在榜上。"),
    ),
    "swarm.ahead": _both(
        (
            "Ahead of",
            "Share of the board's peers that the node is ahead of. Good: high and level. It does "
            "not move when peers join, as the rank does.",
        ),
        ("领先比例", "节点领先的参与者比例。正常：高且平稳。与排名不同，有人加入时它几乎不变。"),
    ),
    "swarm.conditions": _both(
        (
            "Conditions",
            "What each node did. Good: blue bands (earning, training) with few breaks. Orange may "
            "pass or not, red-orange needs you, grey is waiting or stopped.",
        ),
        (
            "状态变化",
            "各节点的状态。正常：蓝色（收益、训练）且少有中断。橙色可能自行恢复，红橙色需要处理，"
            "灰色为等待或已停止。",
        ),
    ),
    "swarm.alerts_row": _both(("Alerts",), ("告警",)),
    "swarm.alert_list": _both(
        (
            "Alerts that fire",
            "What fires now, and for how long. Good: empty. A click on the name opens its runbook "
            "below the address that is set above.",
        ),
        (
            "当前告警",
            "当前触发的告警及其持续时间。正常：空。点击名称打开上方所设地址下的处理手册。",
        ),
    ),
}

_NODE: dict[str, dict[Language, Text]] = {
    "swarm-node": _both(
        (
            "RL Swarm: node",
            "One RL Swarm (Gensyn) node: what it earns, what it does, what it takes.",
        ),
        ("RL Swarm：节点", "单个 RL Swarm（Gensyn）节点：收益、动作与资源占用。"),
    ),
    "node.status_page": _both(
        ("Status page", "The exporter's own page: why a node is in its condition, and what to do."),
        ("状态页", "导出器自带页面：节点为何处于该状态，以及该怎么做。"),
    ),
    "node.row": _both(("Node $node",), ("节点 $node",)),
    "node.condition": _both(
        (
            "Condition",
            "The one answer for this node. Good: earning or training. The status page says why "
            "and what to do.",
        ),
        ("状态", "该节点的最终判断。正常：收益中或训练中。原因与做法见状态页。"),
    ),
    "node.earned": _both(
        ("Earned in 24 h", "Reward of the last 24 hours. Good: as your other nodes."),
        ("24 小时收益", "最近 24 小时的收益。正常：与其他节点相近。"),
    ),
    "node.since": _both(
        (
            "Since last earning",
            "Good: below the submit period, 3 hours from v0.5.7 on (blue). Red-orange: above the "
            "usual stall threshold of one and a half.",
        ),
        (
            "距上次收益",
            "正常：小于提交周期，v0.5.7 起为 3 小时（蓝色）。红橙色："
            "超过通常的停滞阈值（一个半周期）。",
        ),
    ),
    "node.rank": _both(
        ("Rank", "Place on the board, and out of how many. Good: a low place that holds."),
        ("排名", "榜单名次与总人数。正常：靠前且稳定。"),
    ),
    "node.restarts": _both(
        (
            "Restarts in 24 h",
            "Good: 0. Each restart loses reward that was not submitted yet; with more than one per "
            "submit period (8 a day) the node never earns.",
        ),
        (
            "24 小时重启",
            "正常：0。每次重启都会丢失尚未提交的收益；"
            "若每个提交周期都重启（每天 8 次以上）就永远没有收益。",
        ),
    ),
    "node.uptime": _both(
        ("Uptime", "Since the node was started. Good: longer than the submit period."),
        ("运行时间", "节点启动至今。正常：长于提交周期。"),
    ),
    "node.reward": _both(
        (
            "Reward",
            "What was really earned, and what the board says. Vertical marks: starts of the node "
            "and accepted submissions. Good: a climb with submissions, no starts. Where only the "
            "board's figure falls, upstream has reset it.",
        ),
        (
            "奖励",
            "实际收益与榜单数值。竖线：节点启动与被接受的提交。正常：随提交上升、没有重启。"
            "若只有榜单数值下降，是上游重置。",
        ),
    ),
    "node.rounds": _both(
        (
            "Rounds",
            "The swarm's round, the last one in which this node is recorded, and the last that its "
            "log joined. Good: the lines lie on each other; a node that falls behind is too slow "
            "for the swarm.",
        ),
        (
            "轮次进度",
            "swarm 的轮次、记录到该节点的最近轮次、日志中加入的轮次。正常：几条线重合；"
            "不断落后说明节点太慢。",
        ),
    ),
    "node.conditions": _both(
        ("Conditions", "What the node did. Good: blue (earning, training) with few breaks."),
        ("状态变化", "节点的状态。正常：蓝色（收益、训练）且少有中断。"),
    ),
    "node.submissions": _both(
        (
            "Submissions",
            "Rewards handed in, as the log tells. Good: accepted ones at the submit period, none "
            "refused.",
        ),
        ("提交", "日志中的提交。正常：每个提交周期都有被接受的，没有被拒绝的。"),
    ),
    "node.memory": _both(
        (
            "Memory",
            "Footprint is what the node really takes; MPS (GPU memory of a Mac) is a part of it. "
            "Good: level, below the limits, nothing compressed. A steady climb is a leak.",
        ),
        (
            "内存",
            "占用是节点真正使用的内存，MPS（Mac 的 GPU 内存）是其中一部分。正常："
            "平稳、低于上限、没有压缩。持续上升是泄漏。",
        ),
    ),
    "node.cpu": _both(
        (
            "Processors",
            "Processors that the node keeps busy. Good: a steady rhythm. Nothing for long: it "
            "waits, for the swarm or for a login.",
        ),
        ("处理器", "节点占用的处理器个数。正常：有节奏地工作。长时间为零：在等待 swarm 或登录。"),
    ),
    "node.gpu": _both(
        (
            "GPU",
            "Share of the GPU's time. Good: busy while it generates and trains. Above 100 % where "
            "work overlaps.",
        ),
        ("GPU", "GPU 时间占比。正常：生成与训练时繁忙。任务重叠时可超过 100%。"),
    ),
    "node.errors": _both(
        (
            "Errors in the log",
            "Errors that the training log tells of, by kind. Good: few, and not more than "
            "yesterday: some upstream handles itself.",
        ),
        ("日志错误", "训练日志中的错误，按种类。正常：很少，且不比昨天多；有些由上游自行处理。"),
    ),
    "node.training": _both(
        (
            "Training",
            "Loss and reward from the log, and the score of the stage on the board. Good: scores "
            "above zero; a stage below zero earns nothing.",
        ),
        ("训练", "日志中的损失与奖励，以及榜单上本阶段得分。正常：得分为正；为负的阶段没有收益。"),
    ),
    "node.silence": _both(
        (
            "Silence of the log",
            "Time without a line in the training log. Good: under 15 minutes; upstream may be "
            "silent for so long, and longer while it works.",
        ),
        ("日志静默", "训练日志多久没有新行。正常：15 分钟以内；上游可能这么久不写，工作时可更久。"),
    ),
    "node.sums": _both(
        (
            "Chain and dashboard",
            "What the coordinator contract and a hosted dashboard hold of the node's peer: the sum "
            "of its rewards, and how often it has voted. Good: rising every few hours; a sum may "
            "fall, as rewards may be negative.",
        ),
        (
            "链与网页面板",
            "协调合约和网页面板上该节点的奖励总和与投票次数。正常：每几小时上升；奖励可为负，总和也可下降。",
        ),
    ),
    "node.runs": _both(
        (
            "Runs not fetched",
            "Runs of Weights & Biases that were written offline, and TensorBoard's files. Good: "
            "small. To send them: wandb sync logs/wandb/offline-run-* in the node's folder.",
        ),
        (
            "未上传的运行记录",
            "离线写下的 Weights & Biases 记录与 TensorBoard 文件。正常：很小。"
            "上传：在节点目录中运行 wandb sync logs/wandb/offline-run-*。",
        ),
    ),
}

_MACHINE: dict[str, dict[Language, Text]] = {
    "swarm-machine": _both(
        (
            "RL Swarm: machine",
            "The machine under RL Swarm (Gensyn) nodes: what they leave of it, and whether one "
            "more fits.",
        ),
        ("RL Swarm：机器", "运行 RL Swarm（Gensyn）节点的机器：资源余量，以及能否再加一个节点。"),
    ),
    "machine.status_page": _both(
        ("Status page", "The exporter's own page: nodes, conditions, next steps."),
        ("状态页", "导出器自带页面：节点、状态与下一步。"),
    ),
    "machine.room": _both(
        (
            "Room for one more node?",
            "So many more nodes fit, as `swarm-exporter plan` reckons; it also gives the reason. "
            "Good: 0 or more. 0: full. Below 0: more run than fit well.",
        ),
        (
            "还能加节点吗？",
            "按 `swarm-exporter plan` 的估算还能容纳的节点数，命令会给出理由。"
            "正常：不小于 0。0：已满。小于 0：运行的多于适合的。",
        ),
    ),
    "machine.available": _both(
        (
            "Memory available",
            "Share of the memory that programs can still get. Good: above 20 %. Below 10 % "
            "training slows down, then nodes are ended.",
        ),
        (
            "可用内存",
            "程序仍可取得的内存比例。正常：高于 20%。低于 10% 时训练变慢，随后节点会被结束。",
        ),
    ),
    "machine.swap_used": _both(
        (
            "Swap used",
            "Good: below 1 GiB, and not growing. A Mac uses some at all times; watch the rates "
            "below rather than this.",
        ),
        ("已用交换", "正常：低于 1 GiB 且不增长。Mac 总会用一些，更应看下方的换入换出速率。"),
    ),
    "machine.busy": _both(
        (
            "Processors busy",
            "Share of processor time that is in use. Good: high while nodes train; at 100 % for "
            "hours nodes hold each other up.",
        ),
        ("处理器占用", "处理器时间的使用比例。正常：训练时较高；数小时保持 100% 则节点互相拖慢。"),
    ),
    "machine.hot": _both(
        (
            "Thermal pressure",
            "How hot macOS says the machine is. Good: 0. From 1 on it is slowed down. macOS only.",
        ),
        ("热压力", "macOS 报告的发热等级。正常：0。从 1 起会降速。仅 macOS。"),
    ),
    "machine.days_left": _both(
        (
            "Disk full in",
            "Days until the first disk is full, by the trend of 6 hours. Good: over a week, or "
            "nothing at all: no disk loses space.",
        ),
        (
            "磁盘写满还有",
            "按 6 小时趋势，第一个磁盘写满前的天数。正常：一周以上，或为空（没有磁盘在减少）。",
        ),
    ),
    "machine.uptime": _both(
        ("Up for", "Since the machine was started. Good: no restart that you did not ask for."),
        ("开机时间", "机器启动至今。正常：没有意外重启。"),
    ),
    "machine.cpu_row": _both(("Processors",), ("处理器",)),
    "machine.cpu_modes": _both(
        (
            "Processor time by mode",
            "Share of all processors' time, without idle. Good: user on top while nodes train, "
            "little iowait and "
            "steal, some room below 100 %.",
        ),
        (
            "处理器时间（按模式）",
            "占全部处理器时间的比例，不含空闲。"
            "正常：训练时以 user 为主，iowait 与 steal 很少，仍有空闲。",
        ),
    ),
    "machine.cpu_clusters": _both(
        (
            "Busy by kind of core",
            "Good: performance cores work, efficiency cores have room. One line where all cores "
            "are alike.",
        ),
        ("各类核心占用", "正常：性能核在工作，能效核有余量。核心都相同时只有一条线。"),
    ),
    "machine.load": _both(
        (
            "Load",
            "Programs that run or wait to run. Good: below the number of processors; above it for "
            "long, nodes wait for each other.",
        ),
        (
            "负载",
            "正在运行或等待运行的程序数。正常：低于处理器个数；长期高于它说明节点在互相等待。",
        ),
    ),
    "machine.clocks": _both(
        (
            "Clock rates",
            "Mean clock of each kind of core. Good: level; a fall under load is heat. Mac with "
            "macmon.",
        ),
        ("频率", "各类核心的平均频率。正常：平稳；负载下降频是过热。需要装有 macmon 的 Mac。"),
    ),
    "machine.memory_row": _both(("Memory",), ("内存",)),
    "machine.memory_nodes": _both(
        (
            "Memory by node",
            "What each node takes, on top of each other, and what there is. Good: the stack stays "
            "clear of the line.",
        ),
        ("各节点内存", "各节点占用的堆叠，以及总量。正常：堆叠明显低于总量线。"),
    ),
    "machine.memory_kinds": _both(
        (
            "Memory by kind",
            "As the system counts it; the kinds overlap. Good: available stays well above zero, "
            "compressed (macOS) does not grow.",
        ),
        (
            "内存种类",
            "按系统的分类，各类有重叠。正常：available 明显大于零，compressed（macOS）不增长。",
        ),
    ),
    "machine.pressure_level": _both(
        (
            "What macOS says",
            "Memory: 1 normal, 2 warning, 4 critical. Heat: 0 nominal, above that slowed down. "
            "Good: 1 and 0. macOS only.",
        ),
        (
            "macOS 压力等级",
            "内存：1 正常，2 警告，4 严重。发热：0 正常，以上会降速。正常：1 与 0。仅 macOS。",
        ),
    ),
    "machine.stalls": _both(
        (
            "Time lost by waiting",
            "Share of time in which programs waited for memory, disks or processors; full: all of "
            "them. Good: memory near 0. Linux only.",
        ),
        (
            "等待损失的时间",
            "程序等待内存、磁盘或处理器的时间比例；full 表示全部在等。正常：内存接近 0。仅 Linux。",
        ),
    ),
    "machine.swap": _both(
        ("Swap", "Swap in use, and what there is. Good: level. macOS makes more as it needs it."),
        ("交换空间", "已用与总量。正常：平稳。macOS 会按需增加。"),
    ),
    "machine.swapping": _both(
        (
            "Swapping",
            "Bytes read back and written out per second. Good: 0 for most of the time; both at "
            "once for long means one node too many.",
        ),
        ("换入换出", "每秒读回与写出的字节数。正常：大多为 0；长时间双向都有说明多了一个节点。"),
    ),
    "machine.kills": _both(
        (
            "Ended for want of memory",
            "Programs that the kernel killed. Good: none; each may have been a trainer. Linux "
            "only.",
        ),
        ("因内存不足被结束", "被内核结束的程序数。正常：没有；每一个都可能是训练进程。仅 Linux。"),
    ),
    "machine.gpu_row": _both(("GPU and heat",), ("GPU 与温度",)),
    "machine.gpu": _both(
        (
            "GPU busy",
            "Share of time in which the GPU worked, for anybody. Good: high while nodes train; "
            "long pauses leave room for another node.",
        ),
        (
            "GPU 占用",
            "GPU 工作时间的比例，不论谁在用。正常：训练时较高；长时间空闲说明还能加节点。",
        ),
    ),
    "machine.gpu_memory": _both(
        (
            "GPU and MPS memory",
            "Memory that the GPU holds, and Metal's recommended most. Good: in use stays below "
            "90 % of the limit. The kinds do not add up.",
        ),
        (
            "GPU 与 MPS 内存",
            "GPU 使用的内存与 Metal 建议上限。正常：使用量低于上限的 90%。各类不能相加。",
        ),
    ),
    "machine.temperature": _both(
        (
            "Temperature",
            "Good: level, GPU below 85 °C. A Mac needs macmon, Linux the kernel's sensors.",
        ),
        ("温度", "正常：平稳，GPU 低于 85 °C。Mac 需要 macmon，Linux 使用内核传感器。"),
    ),
    "machine.energy_row": _both(("Energy",), ("能耗",)),
    "machine.power": _both(
        (
            "Power",
            "As the chip and the GPUs estimate it, not the meter at the wall; system and soc are "
            "sums of others. Good: it follows the work.",
        ),
        (
            "功率",
            "芯片与显卡自己的估计，不是墙上电表；system 与 soc 是其他项的合计。正常："
            "随工作量变化。",
        ),
    ),
    "machine.kwh": _both(
        (
            "Energy a day",
            "Mean power of the last 24 hours, over a day: the system where it is known, else the "
            "chip, else the GPUs. Good: stays the same for the same number of nodes.",
        ),
        (
            "每日能耗",
            "最近 24 小时平均功率折合一天：优先整机，其次芯片，再次显卡。正常："
            "节点数不变时基本不变。",
        ),
    ),
    "machine.points_per_kwh": _both(
        (
            "Points per kWh",
            "What the machine's nodes earned in 24 hours for each kilowatt hour. Good: high; it "
            "rises with each node that the machine carries well.",
        ),
        (
            "每度电收益",
            "24 小时内每度电换来的收益。正常：越高越好，机器承载得起的每个节点都会提高它。",
        ),
    ),
    "machine.cost": _both(
        (
            "Cost a day",
            "Energy a day times the price of a kWh that is set above, in your currency. Good: "
            "less than the points are worth to you. Shown once a price is set.",
        ),
        (
            "每日电费",
            "每日能耗乘以上方设置的每度电价格，单位为你的货币。正常：低于收益对你的价值。"
            "设置价格后才显示。",
        ),
    ),
    "machine.disk_row": _both(("Disks and network",), ("磁盘与网络",)),
    "machine.disk_free": _both(
        (
            "Disk free",
            "Free share of each file system that nodes write to. Good: above 10 %.",
        ),
        ("磁盘剩余", "节点所用文件系统的剩余比例。正常：高于 10%。"),
    ),
    "machine.disk_days": _both(
        (
            "Disk full in, by disk",
            "Days until it is full, by the trend of 6 hours. Good: over 7, or no line at all: it "
            "loses no space.",
        ),
        ("各磁盘写满天数", "按 6 小时趋势推算。正常：7 天以上，或没有线（不在减少）。"),
    ),
    "machine.disk_io": _both(
        (
            "Disk traffic",
            "Read (←) and written (→) bytes per second. Good: peaks while models load and are "
            "saved, little between.",
        ),
        ("磁盘读写", "每秒读（←）写（→）字节数。正常：加载与保存模型时有峰值，其余很少。"),
    ),
    "machine.network": _both(
        (
            "Network",
            "Received (←) and sent (→) bytes per second. Good: bursts in each round. Nothing at "
            "all: the swarm is not reached.",
        ),
        ("网络", "每秒接收（←）与发送（→）字节数。正常：每轮都有突发。完全没有：连不上 swarm。"),
    ),
}

_FLEET: dict[str, dict[Language, Text]] = {
    "swarm-fleet": _both(
        (
            "RL Swarm: fleet",
            "Many machines with RL Swarm (Gensyn) nodes. Sums come from the recording rules in "
            "prometheus/rules.",
        ),
        (
            "RL Swarm：机群",
            "运行 RL Swarm（Gensyn）节点的多台机器。合计来自 prometheus/rules 中的记录规则。",
        ),
    ),
    "fleet.machines": _both(
        ("Machines", "Exporters that answer, and those that do not. Good: none is silent."),
        ("机器", "有应答与无应答的导出器。正常：没有无应答的。"),
    ),
    "fleet.earning": _both(
        ("Nodes earning", "Nodes that earn, and all nodes. Good: both are the same."),
        ("收益中的节点", "收益中的节点数与总数。正常：两者相等。"),
    ),
    "fleet.day": _both(
        ("Earned in 24 h", "Reward of all chosen machines. Good: as yesterday or more."),
        ("24 小时收益", "所选机器的收益合计。正常：不低于昨天。"),
    ),
    "fleet.week": _both(
        ("Earned in 7 days", "Reward of all chosen machines. Good: about seven days' worth."),
        ("7 天收益", "所选机器的收益合计。正常：约为七天的量。"),
    ),
    "fleet.room": _both(
        (
            "Room for more nodes",
            "So many more nodes fit on all machines together. Good: as few as you want to keep "
            "free.",
        ),
        ("可再加节点", "所有机器合计还能容纳的节点数。正常：与你想保留的余量一致。"),
    ),
    "fleet.alerts": _both(
        ("Alerts firing", "Alerts of the chosen machines that fire now. Good: 0."),
        ("告警数", "所选机器当前触发的告警。正常：0。"),
    ),
    "fleet.table": _both(
        (
            "Machines, the worst first",
            "One row for each machine. Good: all its nodes earn, and each earns as much as those "
            "of other machines. Click a machine for its own board.",
        ),
        (
            "机器（最差在前）",
            "每台机器一行。正常：全部节点在收益，且每节点收益与其他机器相近。点击机器打开其面板。",
        ),
    ),
    "fleet.worst": _both(
        (
            "Worst nodes anywhere",
            "The 25 nodes in the worst condition. Good: they earn as well. A halt of the swarm "
            "does not count as time in which others earned.",
        ),
        (
            "最差的节点",
            "状态最差的 25 个节点。正常：它们也在收益。swarm 停止的时间不计入“他人收益时间”。",
        ),
    ),
    "fleet.over_time": _both(("Over time",), ("走势",)),
    "fleet.per_hour": _both(
        (
            "Earned in the last hour, by machine",
            "At each moment, the reward of the hour before it. Good: an even band for each "
            "machine.",
        ),
        ("每台机器最近一小时收益", "每一时刻之前一小时的收益。正常：每台机器的色带均匀。"),
    ),
    "fleet.per_node": _both(
        (
            "Earned in 24 h per node, by machine",
            "Good: machines of one kind lie together. One below the others has too many nodes, or "
            "sick ones.",
        ),
        ("每台机器每节点 24 小时收益", "正常：同类机器相近。明显偏低的机器节点过多或有问题。"),
    ),
    "fleet.nodes": _both(
        ("Nodes earning, by machine", "Good: level at the number of your nodes."),
        ("每台机器收益中的节点", "正常：保持在节点总数。"),
    ),
    "fleet.power": _both(
        (
            "Power by machine",
            "The system where it is known, else the chip, else the GPUs. Good: it follows the "
            "number of nodes. Machines that cannot tell are missing.",
        ),
        (
            "每台机器功率",
            "优先整机，其次芯片，再次显卡。正常：随节点数变化。无法读取的机器不显示。",
        ),
    ),
}

_EXPORTER: dict[str, dict[Language, Text]] = {
    "swarm-exporter": _both(
        (
            "RL Swarm: exporter",
            "swarm-exporter for RL Swarm (Gensyn) itself: what it sees, how well, and at which "
            "cost.",
        ),
        (
            "RL Swarm：导出器",
            "RL Swarm（Gensyn）的 swarm-exporter 自身：看到什么、看得多清楚、代价多少。",
        ),
    ),
    "exporter.up": _both(
        ("Exporters", "Those that answer Prometheus, and those that do not. Good: none is silent."),
        ("导出器", "对 Prometheus 有应答与无应答的。正常：没有无应答的。"),
    ),
    "exporter.failing": _both(
        (
            "Sources that fail",
            "Good: 0. What a source tells is missing while it fails, here and in alerts.",
        ),
        ("失败的数据源", "正常：0。数据源失败期间，其数据在面板与告警中都会缺失。"),
    ),
    "exporter.config": _both(
        (
            "Configurations refused",
            "Exporters whose newest configuration was refused; the one before stays in force, and "
            "the log says what is wrong. Good: 0.",
        ),
        ("被拒绝的配置", "最新配置被拒绝的导出器；仍用旧配置，日志会说明原因。正常：0。"),
    ),
    "exporter.state": _both(
        (
            "Accounts not saved",
            "Exporters that could not save what was earned; a restart would lose some of it. "
            "Good: 0.",
        ),
        ("未保存的账目", "无法保存收益记录的导出器；重启会丢失一部分。正常：0。"),
    ),
    "exporter.version": _both(
        ("Versions", "Exporters by version. Good: one version."),
        ("版本", "各版本的导出器数。正常：只有一个版本。"),
    ),
    "exporter.table": _both(
        (
            "Sources, the stalest first",
            "Every place that facts come from; those without a node are the machine's. Good: all "
            "work, answered lately, without errors. docs/metrics.md tells what each reason means.",
        ),
        (
            "数据源（最旧在前）",
            "所有数据来源；没有节点的属于机器。正常：都可用、刚刚应答、没有错误。"
            "各原因见 docs/metrics.md。",
        ),
    ),
    "exporter.sources_row": _both(("Sources",), ("数据源",)),
    "exporter.errors": _both(
        ("Errors by reason", "Polls that failed and values that were left out. Good: none."),
        ("错误（按原因）", "失败的采集与被舍弃的数值。正常：没有。"),
    ),
    "exporter.age": _both(
        (
            "Age of the stalest sources",
            "Since the last answer. Good: saw teeth below a minute or two; a slope is a source "
            "that fails.",
        ),
        ("最旧数据源的时长", "距上次应答。正常：一两分钟以内的锯齿；持续上升是数据源失败。"),
    ),
    "exporter.took": _both(
        ("Duration by source", "The slowest poll of each kind. Good: far below the timeout."),
        ("采集耗时", "每类中最慢的一次。正常：远低于超时。"),
    ),
    "exporter.cost_row": _both(("What looking costs",), ("观测的代价",)),
    "exporter.scrape": _both(
        ("Duration of a scrape", "Good: some milliseconds; sources are not asked in it."),
        ("抓取耗时", "正常：几毫秒；抓取时不会访问数据源。"),
    ),
    "exporter.series": _both(
        (
            "Series",
            "Samples in a scrape. Good: level; it changes with nodes and GPUs alone.",
        ),
        ("序列数", "每次抓取的样本数。正常：平稳，只随节点与 GPU 数变化。"),
    ),
    "exporter.cpu": _both(
        ("Processor time", "Share of one processor. Good: a few percent."),
        ("处理器时间", "占单个处理器的比例。正常：百分之几。"),
    ),
    "exporter.memory": _both(
        ("Memory", "Resident memory of the exporter. Good: level."),
        ("内存", "导出器的常驻内存。正常：平稳。"),
    ),
    "exporter.config_age": _both(
        (
            "Age of the configuration",
            "Since the configuration in force was loaded. Good: back to 0 after each change of "
            "yours.",
        ),
        ("配置时长", "现行配置加载至今。正常：每次修改后归零。"),
    ),
    "exporter.fds": _both(
        ("Open files", "Files and sockets of the exporter. Good: level; a climb is a leak."),
        ("打开的文件", "导出器打开的文件与套接字。正常：平稳；持续上升是泄漏。"),
    ),
}

TEXTS: dict[str, dict[Language, Text]] = _SWARM | _NODE | _MACHINE | _FLEET | _EXPORTER

_CHINESE = {
    # Legends of single panels.
    "chain": "链",
    "dashboard": "网页面板",
    "votes": "投票次数",
    "Weights & Biases": "Weights & Biases",
    "TensorBoard": "TensorBoard",
    # Variables and links.
    "data source": "数据源",
    "boards": "面板",
    "machine": "机器",
    "runbooks": "处理手册地址",
    "price": "每度电价格",
    "open the node": "打开节点",
    "open the machine": "打开机器",
    "open the runbook": "打开处理手册",
    "set a price": "请设置价格",
    "starts": "启动",
    "submissions": "提交",
    # Conditions.
    "crash looping": "反复崩溃",
    "down": "停机",
    "wrong identity": "身份错误",
    "waiting login": "等待登录",
    "too slow": "过慢",
    "unknown": "未知",
    "swarm halted": "swarm 停止",
    "stopped": "已停止",
    "waiting swarm": "等待 swarm",
    "training": "训练中",
    "earning": "收益中",
    # Columns.
    "instance": "机器",
    "node": "节点",
    "nickname": "昵称",
    "condition": "状态",
    "earned 24 h": "24 小时收益",
    "earned 7 days": "7 天收益",
    "per node 24 h": "每节点 24 小时",
    "since last earning": "距上次收益",
    "others earned for": "他人收益时间",
    "rank": "排名",
    "ahead of": "领先",
    "rounds behind": "落后轮数",
    "restarts 24 h": "24 小时重启",
    "memory": "内存",
    "memory available": "可用内存",
    "processors": "处理器",
    "processors busy": "处理器占用",
    "GPU": "GPU",
    "alertname": "告警",
    "severity": "级别",
    "firing for": "持续",
    "share earning": "收益比例",
    "room for": "可再加",
    "source": "数据源",
    "works": "可用",
    "last answer ago": "距上次应答",
    "took": "耗时",
    "errors 1 h": "1 小时错误",
    # Legends.
    "nodes": "节点",
    "peers": "总人数",
    "quantile": "分位",
    "earned": "实际收益",
    "on the board": "榜单",
    "the swarm": "swarm",
    "recorded": "已记录",
    "joined": "已加入",
    "footprint": "占用",
    "resident": "常驻",
    "MPS": "MPS",
    "MPS compressed": "MPS 已压缩",
    "MPS reserved by PyTorch": "PyTorch 预留的 MPS",
    "limit of Metal": "Metal 上限",
    "limit of PyTorch": "PyTorch 上限",
    "limit": "上限",
    "all processors": "全部处理器",
    "performance cores": "性能核",
    "cores": "核心",
    "loss": "损失",
    "reward of the round": "本轮奖励",
    "score of the stage": "本阶段得分",
    "without a line": "无新行",
    "1 minute": "1 分钟",
    "15 minutes": "15 分钟",
    "heat": "发热",
    "disks": "磁盘",
    "in": "换入",
    "out": "换出",
    "killed": "被结束",
    "answer": "有应答",
    "silent": "无应答",
}
