"""The board of single nodes: a row for each chosen node of one machine."""

from __future__ import annotations

from boards.conditions import CONDITIONS, condition_names, condition_number
from boards.palette import BAD, GOOD, QUIET, WATCH, thresholds
from boards.parts import Query, Sheet, counted
from boards.texts import Language

_MACHINE = 'instance="$machine"'
_NODE = f'{_MACHINE},node="$node"'
_CONDITION_COLOURS = thresholds(GOOD, (len(CONDITIONS) - 8, QUIET), (len(CONDITIONS) - 5, WATCH))


def board(language: Language) -> Sheet:
    """Return the board."""
    sheet = Sheet("swarm-node", language, since="now-24h")
    sheet.machines(many=False)
    sheet.nodes(_MACHINE)
    sheet.link("node.status_page", "http://$machine/")
    chosen = f'{_MACHINE},node=~"$node"'
    sheet.mark("starts", f"swarm_node_start_time_seconds{{{chosen}}}", "{{node}}", WATCH)
    sheet.mark("submissions", f"swarm_last_submit_timestamp_seconds{{{chosen}}}", "{{node}}", GOOD)
    sheet.row("node.row", repeat="node")
    _strip(sheet)
    _reward(sheet)
    _costs(sheet)
    _log(sheet)
    return sheet


def _of(name: str) -> str:
    return f"{name}{{{_NODE}}}"


def _strip(sheet: Sheet) -> None:
    names = condition_names(sheet.language)
    sheet.add(
        sheet.stat(
            "node.condition",
            "short",
            Query(condition_number(_NODE, "node")),
            mapping=names,
            colour=_CONDITION_COLOURS,
        ),
        4,
        4,
    )
    day = Query(f"increase({_of('swarm_reward_earned_total')}[1d])")
    sheet.add(sheet.stat("node.earned", "short", day, decimals=1), 4, 4)
    since = Query(f"time() - {_of('swarm_reward_last_increase_timestamp_seconds')}")
    late = thresholds(GOOD, (3 * 3600, WATCH), (4.5 * 3600, BAD))
    sheet.add(sheet.stat("node.since", "s", since, colour=late, decimals=1), 4, 4)
    sheet.add(
        sheet.stat(
            "node.rank",
            "none",
            Query(_of("swarm_rank"), "rank"),
            Query(_of("swarm_total_peers"), "peers"),
        ),
        4,
        4,
    )
    restarts = Query(f"sum(increase({_of('swarm_node_restarts_total')}[1d]))")
    often = thresholds(QUIET, (1, WATCH), (8, BAD))
    sheet.add(sheet.stat("node.restarts", "short", restarts, colour=often, decimals=0), 4, 4)
    uptime = Query(f"time() - {_of('swarm_node_start_time_seconds')}")
    sheet.add(sheet.stat("node.uptime", "s", uptime, decimals=1), 4, 4)


def _reward(sheet: Sheet) -> None:
    sheet.add(
        sheet.graph(
            "node.reward",
            "short",
            Query(_of("swarm_reward_earned_total"), "earned"),
            Query(_of("swarm_cumulative_reward"), "on the board"),
            lowest=None,
        ),
        12,
        9,
    )
    sheet.add(
        sheet.graph(
            "node.rounds",
            "none",
            Query(_of("swarm_round"), "the swarm"),
            Query(_of("swarm_node_recorded_round"), "recorded"),
            Query(_of("swarm_training_joined_round"), "joined"),
            lowest=None,
            decimals=0,
        ),
        12,
        9,
    )
    sheet.add(
        sheet.timeline(
            "node.conditions",
            Query(condition_number(_NODE, "node"), "{{node}}"),
            mapping=condition_names(sheet.language),
            colour=_CONDITION_COLOURS,
        ),
        12,
        5,
    )
    handed_in = f"sum by (result) ({counted(_of('swarm_submissions_total'))})"
    sheet.add(
        sheet.bars("node.submissions", "short", Query(handed_in, "{{result}}"), every="30m"), 12, 5
    )


def _costs(sheet: Sheet) -> None:
    recommended = _of("swarm_torch_mps_recommended_max_bytes")
    watermark = f'swarm_mps_watermark_ratio{{bound="high",{_NODE}}} > 0'
    sheet.add(
        sheet.graph(
            "node.memory",
            "bytes",
            Query(_of("swarm_process_footprint_bytes"), "footprint"),
            Query(_of("swarm_process_resident_memory_bytes"), "resident"),
            Query(_of("swarm_mps_memory_bytes"), "MPS"),
            Query(_of("swarm_mps_memory_compressed_bytes"), "MPS compressed"),
            Query(_of("swarm_torch_mps_driver_allocated_bytes"), "MPS reserved by PyTorch"),
            Query(f"sum by (gpu) ({_of('swarm_gpu_memory_bytes')})", "GPU {{gpu}}"),
            Query(recommended, "limit of Metal"),
            Query(
                f"{recommended} * on (instance, job, node) max without (bound) ({watermark})",
                "limit of PyTorch",
            ),
        ),
        12,
        9,
    )
    cpu = f"rate({_of('swarm_process_cpu_seconds_total')}[$__rate_interval])"
    performance = f"rate({_of('swarm_process_performance_cpu_seconds_total')}[$__rate_interval])"
    sheet.add(
        sheet.graph(
            "node.cpu",
            "short",
            Query(cpu, "all processors"),
            Query(performance, "performance cores"),
        ),
        6,
        9,
    )
    time = f"rate({_of('swarm_gpu_seconds_total')}[$__rate_interval])"
    sheet.add(
        sheet.graph(
            "node.gpu",
            "percentunit",
            Query(f"{time} or {_of('swarm_gpu_utilization_ratio')}", "GPU {{gpu}}"),
        ),
        6,
        9,
    )


def _log(sheet: Sheet) -> None:
    errors = f"sum by (kind) ({counted(_of('swarm_training_errors_total'))})"
    sheet.add(sheet.bars("node.errors", "short", Query(errors, "{{kind}}"), every="10m"), 8, 8)
    sheet.add(
        sheet.graph(
            "node.training",
            "short",
            Query(_of("swarm_training_loss"), "loss"),
            Query(_of("swarm_training_reward"), "reward of the round"),
            Query(_of("swarm_last_score"), "score of the stage"),
            lowest=None,
        ),
        8,
        8,
    )
    silent = f"time() - {_of('swarm_training_last_line_timestamp_seconds')}"
    sheet.add(sheet.graph("node.silence", "s", Query(silent, "without a line")), 8, 8)
    _elsewhere(sheet)


def _elsewhere(sheet: Sheet) -> None:
    """What contract and dashboard say of the node's peer, and the runs that nobody has fetched."""
    sheet.add(
        sheet.graph(
            "node.sums",
            "short",
            Query(_of("swarm_chain_rewards"), "chain"),
            Query(_of("swarm_hosted_reward"), "dashboard"),
            Query(_of("swarm_chain_votes"), "votes"),
            lowest=None,
        ),
        16,
        8,
    )
    sheet.add(
        sheet.graph(
            "node.runs",
            "bytes",
            Query(_of("swarm_wandb_offline_bytes"), "Weights & Biases"),
            Query(_of("swarm_tensorboard_bytes"), "TensorBoard"),
        ),
        8,
        8,
    )
