"""The board of the exporter itself: what it sees, how well, and what looking costs."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table

from boards.palette import BAD, GOOD, QUIET, WATCH, thresholds
from boards.parts import Column, Query, Sheet, counted
from boards.texts import Language

_MACHINES = 'instance=~"$machine"'
_SOURCE = "{{what}} ({{instance}})"


def board(language: Language) -> Sheet:
    """Return the board."""
    sheet = Sheet("swarm-exporter", language, since="now-6h")
    sheet.machines(many=True)
    _strip(sheet)
    sheet.add(_sources(sheet), 24, 11)
    sheet.row("exporter.sources_row")
    _over_time(sheet)
    sheet.row("exporter.cost_row")
    _cost(sheet)
    return sheet


def _of(name: str) -> str:
    return f"{name}{{{_MACHINES}}}"


def _strip(sheet: Sheet) -> None:
    sheet.add(
        sheet.stat(
            "exporter.up",
            "short",
            Query(f'count(up{{job=~"swarm.*",{_MACHINES}}} == 1) or vector(0)', "answer"),
            Query(f'count(up{{job=~"swarm.*",{_MACHINES}}} == 0) or vector(0)', "silent"),
        ),
        5,
        4,
    )
    failing = f"count({_of('swarm_source_up')} == 0) or vector(0)"
    sheet.add(
        sheet.stat(
            "exporter.failing", "short", Query(failing), colour=thresholds(GOOD, (1, WATCH))
        ),
        5,
        4,
    )
    refused = f"count({_of('swarm_exporter_config_last_reload_successful')} == 0) or vector(0)"
    sheet.add(
        sheet.stat("exporter.config", "short", Query(refused), colour=thresholds(GOOD, (1, BAD))),
        5,
        4,
    )
    unsaved = f"count({_of('swarm_exporter_state_last_save_successful')} == 0) or vector(0)"
    sheet.add(
        sheet.stat("exporter.state", "short", Query(unsaved), colour=thresholds(GOOD, (1, BAD))),
        5,
        4,
    )
    versions = f"count by (version) ({_of('swarm_exporter_build_info')})"
    sheet.add(sheet.stat("exporter.version", "short", Query(versions, "{{version}}")), 4, 4)


def _sources(sheet: Sheet) -> table.Panel:
    by = "instance, node, source"
    each = f"max by ({by}) (%s)"
    errors = f"increase({_of('swarm_source_errors_total')}[1h])"
    last = _of("swarm_source_last_success_timestamp_seconds")
    return sheet.grid(
        "exporter.table",
        ["instance", "node", "source"],
        [
            Column("instance", width=220),
            Column("node", width=100),
            Column("source", width=160),
            Column(
                "works",
                each % _of("swarm_source_up"),
                "bool_yes_no",
                colour=thresholds(WATCH, (1, GOOD)),
            ),
            Column(
                "last answer ago",
                f"time() - {each % last}",
                "s",
                decimals=0,
                colour=thresholds(GOOD, (600, WATCH), (900, BAD)),
            ),
            Column("took", each % _of("swarm_source_duration_seconds"), "s"),
            Column(
                "errors 1 h",
                f"sum by ({by}) ({errors})",
                decimals=0,
                colour=thresholds(QUIET, (1, WATCH)),
            ),
        ],
        sort="last answer ago",
    )


def _over_time(sheet: Sheet) -> None:
    errors = f"sum by (source, reason) ({counted(_of('swarm_source_errors_total'))})"
    sheet.add(
        sheet.bars("exporter.errors", "short", Query(errors, "{{source}}: {{reason}}"), every="5m"),
        8,
        9,
    )
    last = _of("swarm_source_last_success_timestamp_seconds")
    # Sources of the machine have no node.
    age = f'label_join(time() - {last}, "what", " ", "source", "node")'
    sheet.add(sheet.graph("exporter.age", "s", Query(f"topk(20, {age})", _SOURCE)), 8, 9)
    took = f"max by (source) ({_of('swarm_source_duration_seconds')})"
    sheet.add(sheet.graph("exporter.took", "s", Query(took, "{{source}}")), 8, 9)


def _cost(sheet: Sheet) -> None:
    job = f'job=~"swarm.*",{_MACHINES}'
    machine = "{{instance}}"
    sheet.add(
        sheet.graph("exporter.scrape", "s", Query(f"scrape_duration_seconds{{{job}}}", machine)),
        6,
        8,
    )
    sheet.add(
        sheet.graph("exporter.series", "short", Query(f"scrape_samples_scraped{{{job}}}", machine)),
        6,
        8,
    )
    cpu = f"rate(process_cpu_seconds_total{{{job}}}[$__rate_interval])"
    sheet.add(sheet.graph("exporter.cpu", "percentunit", Query(cpu, machine)), 6, 8)
    sheet.add(
        sheet.graph(
            "exporter.memory", "bytes", Query(f"process_resident_memory_bytes{{{job}}}", machine)
        ),
        6,
        8,
    )
    loaded = f"time() - {_of('swarm_exporter_config_last_reload_success_timestamp_seconds')}"
    sheet.add(sheet.graph("exporter.config_age", "s", Query(loaded, machine)), 12, 7)
    fds = f"process_open_fds{{{job}}}"
    sheet.add(sheet.graph("exporter.fds", "short", Query(fds, machine)), 12, 7)
