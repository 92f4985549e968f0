"""The board of one machine: what its nodes leave of it, and whether one more fits."""

from __future__ import annotations

from boards.palette import BAD, GOOD, QUIET, WATCH, thresholds
from boards.parts import Query, Sheet, counted
from boards.texts import Language

_MACHINE = 'instance="$machine"'
#: What the machine draws: the whole of it, else the chip; and its graphics cards.
_WATTS = (
    f'(swarm_host_power_watts{{domain="system",{_MACHINE}}}'
    f' or on (instance, job) swarm_host_power_watts{{domain="soc",{_MACHINE}}}'
    f" or on (instance, job) sum by (instance, job) (swarm_host_gpu_power_watts{{{_MACHINE}}}))"
)
_KWH_A_DAY = f"sum(avg_over_time({_WATTS}[1d:5m])) * 24 / 1000"
#: Of disks that lose space, and were seen to for three hours; the others have no last day.
_DAYS_LEFT = (
    f"swarm_host_disk_free_bytes{{{_MACHINE}}}"
    f" / (-(deriv(swarm_host_disk_free_bytes{{{_MACHINE}}}[6h]) < 0)) / 86400"
    f" and swarm_host_disk_free_bytes{{{_MACHINE}}} offset 3h"
)


def board(language: Language) -> Sheet:
    """Return the board."""
    sheet = Sheet("swarm-machine", language, since="now-6h")
    sheet.machines(many=False)
    # Cost of a kilowatt hour in the person's own currency; 0: no cost is shown.
    sheet.input("price", "0")
    sheet.link("machine.status_page", "http://$machine/")
    _strip(sheet)
    sheet.row("machine.cpu_row")
    _processors(sheet)
    sheet.row("machine.memory_row")
    _memory(sheet)
    sheet.row("machine.gpu_row")
    _gpu(sheet)
    sheet.row("machine.energy_row")
    _energy(sheet)
    sheet.row("machine.disk_row")
    _disk_and_network(sheet)
    return sheet


def _of(name: str) -> str:
    return f"{name}{{{_MACHINE}}}"


def _rate(name: str) -> str:
    return f"rate({name}{{{_MACHINE}}}[$__rate_interval])"


def _strip(sheet: Sheet) -> None:
    room = thresholds(BAD, (0, QUIET), (1, GOOD))
    sheet.add(
        sheet.stat("machine.room", "none", Query(_of("swarm_plan_room_nodes")), colour=room), 4, 4
    )
    sheet.add(
        sheet.stat(
            "machine.available",
            "percentunit",
            Query(_of("swarm_host_memory_available_ratio")),
            colour=thresholds(BAD, (0.1, WATCH), (0.2, GOOD)),
            decimals=0,
        ),
        4,
        4,
    )
    used = f'swarm_host_swap_bytes{{kind="used",{_MACHINE}}}'
    sheet.add(
        sheet.stat(
            "machine.swap_used",
            "bytes",
            Query(used),
            colour=thresholds(GOOD, (2**30, WATCH), (4 * 2**30, BAD)),
            decimals=1,
        ),
        3,
        4,
    )
    busy = f"1 - sum({_rate_of_idle()}) / sum({_of('swarm_host_cpus')})"
    sheet.add(sheet.stat("machine.busy", "percentunit", Query(busy), decimals=0, trend=True), 3, 4)
    sheet.add(
        sheet.stat(
            "machine.hot",
            "none",
            Query(_of("swarm_host_thermal_pressure_level")),
            colour=thresholds(GOOD, (1, WATCH), (2, BAD)),
        ),
        3,
        4,
    )
    sheet.add(
        sheet.stat(
            "machine.days_left",
            "d",
            Query(f"min({_DAYS_LEFT})"),
            colour=thresholds(BAD, (1, WATCH), (7, GOOD)),
            decimals=0,
        ),
        4,
        4,
    )
    sheet.add(
        sheet.stat("machine.uptime", "s", Query(f"time() - {_of('swarm_host_boot_time_seconds')}")),
        3,
        4,
    )


def _rate_of_idle() -> str:
    return f'rate(swarm_host_cpu_seconds_total{{mode="idle",{_MACHINE}}}[$__rate_interval])'


def _processors(sheet: Sheet) -> None:
    total = _rate("swarm_host_cpu_seconds_total")
    busy_modes = f'rate(swarm_host_cpu_seconds_total{{mode!="idle",{_MACHINE}}}[$__rate_interval])'
    by_mode = f"sum by (mode) ({busy_modes}) / scalar(sum({total}))"
    sheet.add(
        sheet.graph(
            "machine.cpu_modes",
            "percentunit",
            Query(by_mode, "{{mode}}"),
            stacked=True,
            highest=1,
        ),
        8,
        8,
    )
    busy = f"1 - sum by (cluster) ({_rate_of_idle()}) / sum by (cluster) ({total})"
    # Without the label where all cores are alike.
    busy = f'label_replace({busy}, "cluster", "all", "cluster", "")'
    clocks = _of("swarm_host_cpu_frequency_hertz")
    sheet.add(
        sheet.graph(
            "machine.cpu_clusters", "percentunit", Query(busy, "cores {{cluster}}"), highest=1
        ),
        6,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.load",
            "short",
            Query(_of("swarm_host_load1"), "1 minute"),
            Query(_of("swarm_host_load15"), "15 minutes"),
            Query(f"sum({_of('swarm_host_cpus')})", "processors"),
        ),
        5,
        8,
    )
    sheet.add(sheet.graph("machine.clocks", "hertz", Query(clocks, "{{cluster}}")), 5, 8)


def _memory(sheet: Sheet) -> None:
    taken = (
        f"{_of('swarm_process_footprint_bytes')} or {_of('swarm_process_resident_memory_bytes')}"
    )
    limit = _of("swarm_host_memory_limit_bytes")
    total = f'swarm_host_memory_bytes{{kind="total",{_MACHINE}}}'
    nodes = sheet.graph(
        "machine.memory_nodes",
        "bytes",
        Query(f"max by (node) ({taken})", "{{node}}"),
        Query(f"{limit} or {total}", "limit"),
        stacked=True,
    )
    limit_alone = [("custom.stacking", {"mode": "none"}), ("custom.fillOpacity", 0)]
    sheet.add(sheet.changed(nodes, "limit", limit_alone), 8, 9)
    sheet.add(
        sheet.graph(
            "machine.memory_kinds",
            "bytes",
            Query(_of("swarm_host_memory_bytes"), "{{kind}}"),
        ),
        8,
        9,
    )
    sheet.add(
        sheet.graph(
            "machine.pressure_level",
            "none",
            Query(_of("swarm_host_memory_pressure_level"), "memory"),
            Query(_of("swarm_host_thermal_pressure_level"), "heat"),
            highest=4,
        ),
        8,
        9,
    )
    stalled = "swarm_host_%s_pressure_stalled_seconds_total"
    sheet.add(
        sheet.graph(
            "machine.stalls",
            "percentunit",
            Query(_rate(stalled % "memory"), "memory {{kind}}"),
            Query(_rate(stalled % "io"), "disks {{kind}}"),
            Query(_rate(stalled % "cpu"), "processors"),
        ),
        8,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.swap",
            "bytes",
            Query(_of("swarm_host_swap_bytes"), "{{kind}}"),
        ),
        5,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.swapping",
            "Bps",
            Query(_rate("swarm_host_swap_in_bytes_total"), "in"),
            Query(_rate("swarm_host_swap_out_bytes_total"), "out"),
        ),
        5,
        8,
    )
    kills = counted(_of("swarm_host_oom_kills_total"))
    sheet.add(sheet.bars("machine.kills", "short", Query(kills, "killed"), every="10m"), 6, 8)


def _gpu(sheet: Sheet) -> None:
    sheet.add(
        sheet.graph(
            "machine.gpu",
            "percentunit",
            Query(_of("swarm_host_gpu_utilization_ratio"), "GPU {{gpu}}"),
            highest=1,
        ),
        8,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.gpu_memory",
            "bytes",
            Query(_of("swarm_host_gpu_memory_bytes"), "GPU {{gpu}} {{kind}}"),
            Query(_of("swarm_host_mps_memory_bytes"), "MPS"),
            Query(f"max({_of('swarm_torch_mps_recommended_max_bytes')})", "limit of Metal"),
        ),
        8,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.temperature",
            "celsius",
            Query(_of("swarm_host_temperature_celsius"), "{{sensor}}"),
            Query(_of("swarm_host_gpu_temperature_celsius"), "GPU {{gpu}} {{sensor}}"),
            lowest=None,
        ),
        8,
        8,
    )


def _energy(sheet: Sheet) -> None:
    sheet.add(
        sheet.graph(
            "machine.power",
            "watt",
            Query(_of("swarm_host_power_watts"), "{{domain}}"),
            Query(_of("swarm_host_gpu_power_watts"), "GPU {{gpu}}"),
        ),
        12,
        7,
    )
    sheet.add(sheet.stat("machine.kwh", "kwatth", Query(_KWH_A_DAY), decimals=2), 4, 7)
    earned = f"sum(increase({_of('swarm_reward_earned_total')}[1d]))"
    sheet.add(
        sheet.stat("machine.points_per_kwh", "short", Query(f"{earned} / ({_KWH_A_DAY})")), 4, 7
    )
    sheet.add(
        sheet.stat(
            "machine.cost",
            "short",
            Query(f"{_KWH_A_DAY} * $price > 0"),
            decimals=2,
            empty=sheet.word("set a price"),
        ),
        4,
        7,
    )


def _disk_and_network(sheet: Sheet) -> None:
    free = f"{_of('swarm_host_disk_free_bytes')} / {_of('swarm_host_disk_size_bytes')}"
    sheet.add(
        sheet.graph("machine.disk_free", "percentunit", Query(free, "{{mountpoint}}"), highest=1),
        6,
        8,
    )
    sheet.add(sheet.graph("machine.disk_days", "d", Query(_DAYS_LEFT, "{{mountpoint}}")), 6, 8)
    sheet.add(
        sheet.graph(
            "machine.disk_io",
            "Bps",
            Query(_rate("swarm_host_disk_read_bytes_total"), "{{device}} ←"),
            Query(_rate("swarm_host_disk_written_bytes_total"), "{{device}} →"),
        ),
        6,
        8,
    )
    sheet.add(
        sheet.graph(
            "machine.network",
            "Bps",
            Query(_rate("swarm_host_network_receive_bytes_total"), "{{interface}} ←"),
            Query(_rate("swarm_host_network_transmit_bytes_total"), "{{interface}} →"),
        ),
        6,
        8,
    )
