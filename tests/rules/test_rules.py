"""Rules, their promtool tests, runbooks and the table of alerts, held against each other."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT
from swarm_exporter import metrics

RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
TESTS = Path(__file__).parent
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = [
    "What it means",
    "Why it fires",
    "What it costs",
    "What to look at",
    "What to do",
    "When it is a false alarm",
    "How to silence",
]
#: Read from logs by a source of its own.
FROM_LOGS = {
    "swarm_training_last_line_timestamp_seconds",
    "swarm_training_joined_round",
}


def rules() -> list[dict[str, Any]]:
    groups = [g for path in RULES for g in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDS = {rule["record"] for rule in rules() if "record" in rule}


def promtool(real_binary, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [real_binary("promtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_promtool_accepts_the_rules(real_binary):
    result = promtool(real_binary, "check", "rules", *RULES)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_fires_does_not_fire_and_resolves(real_binary, name):
    path = TESTS / f"{name}.yml"
    result = promtool(real_binary, "test", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr

    cases = yaml.safe_load(path.read_text())["tests"]
    expected = [[bool(look.get("exp_samples")) for look in c["promql_expr_test"]] for c in cases]
    assert expected[0][-2:] == [True, name == "Watchdog"], "the first case fires and resolves"
    if name != "Watchdog":
        assert any(fired == [False] for fired in expected), "a case that looks like it"


@pytest.mark.parametrize("name", sorted(set(ALERTS) - {"Watchdog"}))
def test_its_words_are_whole(real_binary, tmp_path, name):
    """What promtool shows of an alert that it was not told to expect is what would be sent."""
    # As text: 0x120 is promtool's "120 times again", and a number to YAML.
    text = (TESTS / f"{name}.yml").read_text()
    document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text
    case = document["tests"][0]
    looks = case.pop("promql_expr_test")
    fires_at = next(look["eval_time"] for look in looks if look.get("exp_samples"))
    case["alert_rule_test"] = [{"eval_time": fires_at, "alertname": name}]
    files = [str(TESTS / pattern) for pattern in document["rule_files"]]
    asked = {**document, "rule_files": files, "tests": [case]}
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump(asked))
    result = promtool(real_binary, "test", "rules", path)
    shown = result.stdout + result.stderr
    first = re.search(r"got:\[\s+0:\s+Labels:\{(.*)\}\s+Annotations:\{(.*)\}", shown)
    assert first, shown
    labels, annotations = (
        dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', part.splitlines()[0]))
        for part in first.groups()
    )
    assert not re.search(r"error|%!|\{\{|<no value>|  ", "\n".join(annotations.values())), shown
    assert not re.search(r"for hours", annotations["description"]), "the figure is known here"
    if labels.get("node"):
        assert re.search(rf"\b[Nn]ode {labels['node']}\b", annotations["summary"]), shown
        if 'nickname="tall slow flamingo"' in str(case["input_series"]):
            assert annotations["nickname"] == "tall slow flamingo", shown


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_its_shape_is_that_of_all(name):
    rule = ALERTS[name]
    labels, annotations = rule["labels"], rule["annotations"]
    assert labels["severity"] in ("critical", "warning", "info", "none")
    assert labels["scope"] in ("node", "machine", "swarm", "exporter")
    assert ("nickname" in annotations) == (labels["scope"] == "node" or name == "SourceStale")
    assert annotations["runbook"] == f"docs/runbooks/{name}.md"
    assert {"summary", "description"} <= set(annotations)


def test_every_alert_has_a_runbook_a_test_and_a_row_and_nothing_else_has():
    table = (ROOT / "docs" / "alerts.md").read_text()
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| .+ \|$", table, re.MULTILINE
    )
    assert {name: severity for name, _, severity in rows} == {
        name: rule["labels"]["severity"] for name, rule in ALERTS.items()
    }
    assert all(name == runbook for name, runbook, _ in rows)
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)
    assert {path.stem for path in TESTS.glob("*.yml")} == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_runbook_answers_every_question(name):
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    bodies = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(body.strip() for body in bodies)


def test_rules_ask_for_metrics_that_there_are():
    names = [
        f"{metrics.__name__}.{module.name}" for module in pkgutil.iter_modules(metrics.__path__)
    ]
    listed = [getattr(importlib.import_module(name), "METRICS", ()) for name in names]
    known = {metric.name for each in listed for metric in each} | FROM_LOGS
    for rule in rules():
        expression = re.sub(r'"[^"]*"', "", rule["expr"])
        assert set(re.findall(r"(?<![:\w])swarm_\w+(?!:)\b", expression)) <= known, rule
        used = set(re.findall(r"\b(?:node|instance):\w+:\w+", expression))
        assert used <= RECORDS, rule


def test_the_table_lists_every_record():
    table = (ROOT / "docs" / "alerts.md").read_text().partition("## Recorded series")[2]
    listed = set()
    for row in re.findall(r"^\| (`.+`) \|", table, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        listed |= {first} | {first.removesuffix("1h") + other for other in others}
    assert listed == RECORDS


def test_records_are_named_by_level_metric_and_operation():
    assert all(re.fullmatch(r"(node|instance):swarm_\w+:\w+", name) for name in RECORDS)
