"""What a person would find wrong with a board before looking at any data."""

from __future__ import annotations

import json
import re

import pytest

from board_support import FILES, FOLDERS, GRAFANA, UIDS, asked, ident, load, names, panels
from swarm_exporter.metrics import PARTS

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Panels that come with Grafana.
CORE = {"timeseries", "stat", "table", "state-timeline", "bargauge"}
#: The units in use, all from Grafana's list (packages/grafana-data/src/valueFormats).
UNITS = {
    "short", "none", "percentunit", "bytes", "Bps", "s", "d", "watt", "kwatth", "celsius", "hertz",
    "bool_yes_no",
}  # fmt: skip
#: Okabe and Ito's colours, and the colour of the text.
COLOURS = {"#56B4E9", "#E69F00", "#D55E00", "#999999", "text"}
#: Names that Grafana fills in.
BUILT_IN = {
    "__interval", "__rate_interval", "__range", "__url_time_range", "__data", "__value",
}  # fmt: skip
#: What Prometheus itself adds to a scrape, and what it says of alerts.
PROMETHEUS = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "ALERTS",
    "ALERTS_FOR_STATE",
}
#: Read from the nodes' logs, where a source tells them.
FROM_LOGS = re.compile(r"swarm_training_(joined_round|loss|reward|errors_total|last_line_.*)")

each_board = pytest.mark.parametrize("path", FILES, ids=ident)


def test_there_are_five_boards_in_two_languages():
    assert UIDS == ["swarm", "swarm-exporter", "swarm-fleet", "swarm-machine", "swarm-node"]
    assert sorted(path.stem for path in FOLDERS["zh"].glob("*.json")) == UIDS


@each_board
def test_the_board_itself(path):
    board = load(path)
    assert board["uid"] == path.stem
    assert 39 <= board["schemaVersion"] <= 41
    assert board["tags"] == ["rl-swarm"]
    assert board["description"]
    assert "id" not in board
    assert "__inputs" not in board


@each_board
def test_every_panel_says_what_it_is_and_what_good_looks_like(path):
    good = "正常" if path.parent.name.endswith("zh") else "good"
    titles = []
    for panel in panels(load(path)):
        assert panel["type"] in CORE
        assert panel["datasource"] == SOURCE
        assert panel["title"].strip() == panel["title"] != ""
        assert "$" not in panel["title"]
        titles.append(panel["title"])
        assert len(panel["description"]) > 10, panel["title"]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS, panel["title"]
        assert good in panel["description"].lower(), panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
    assert len(titles) == len(set(titles)), "two panels with one title"


@each_board
def test_panels_have_ids_of_their_own_and_lie_beside_each_other(path):
    board = load(path)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} on {taken[x, y]}"
                taken[x, y] = panel["title"]
    deepest = max(y for _, y in taken) + 1
    rows = sum(24 for panel in board["panels"] if panel["type"] == "row")
    drawn = sum(p["gridPos"]["w"] * p["gridPos"]["h"] for p in panels(board))
    assert drawn + rows == deepest * 24, "a gap"


@each_board
def test_variables_are_defined_before_they_are_used(path):
    board = load(path)
    defined = [variable["name"] for variable in board["templating"]["list"]]
    assert defined[0] == "datasource"
    assert len(defined) == len(set(defined))
    text = json.dumps({**board, "templating": {}})
    used = set(re.findall(r"\$\{?(\w+)", text))
    assert used <= BUILT_IN | set(defined)
    assert set(defined) <= used
    for place, variable in enumerate(board["templating"]["list"]):
        earlier = set(defined[:place])
        assert set(re.findall(r"\$\{?(\w+)", json.dumps(variable))) <= earlier | BUILT_IN
        assert variable["label"]


@each_board
def test_links_lead_to_boards_that_exist(path):
    text = path.read_text()
    for uid, arguments in re.findall(r"/d/([\w-]+)\?([^\"]*)", text):
        assert uid in UIDS
        target = load(path.parent / f"{uid}.json")
        known = {variable["name"] for variable in target["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", arguments)) <= known
    kinds = [link["type"] for link in load(path)["links"]]
    assert "dashboards" in kinds


@each_board
def test_a_tables_links_name_its_own_columns(path):
    for panel in panels(load(path)):
        if panel["type"] != "table":
            continue
        organize = panel["transformations"][-1]["options"]
        columns = set(organize["renameByName"].values())
        assert set(re.findall(r'fields\[\\"(.+?)\\"\]', json.dumps(panel, ensure_ascii=False))) <= (
            columns
        )
        assert {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]} == columns
        refs = {target["refId"] for target in panel["targets"]}
        values = {name for name in organize["renameByName"] if name.startswith("Value #")}
        expected = {f"Value #{ref}" for ref in refs} if len(refs) > 1 else set()
        assert values == expected


@each_board
def test_colours_are_told_apart_by_everybody(path):
    found = set(re.findall(r'"(?:color|iconColor|fixedColor)": "([^"]+)"', path.read_text()))
    assert found <= COLOURS


@each_board
def test_timelines_do_not_get_more_points_than_they_draw(path):
    for panel in panels(load(path)):
        if panel["type"] in ("state-timeline", "status-history"):
            assert panel["maxDataPoints"] <= 200


@each_board
def test_queries_ask_for_what_is_exported(path):
    exported = {metric.name for _, metrics in PARTS for metric in metrics}
    for query in asked(load(path)):
        found = names(query.expr)
        assert found, query.where
        for name in found:
            known = name in exported | PROMETHEUS or FROM_LOGS.fullmatch(name)
            assert known or _recorded(name), f"{query.where}: {name}"


def _recorded(name: str) -> bool:
    """Is it of the rules in prometheus/rules (level:metric:operation)?"""
    if not re.fullmatch(r"\w+:\w+:\w+", name):
        return False
    rules = "".join(p.read_text() for p in (GRAFANA.parent / "prometheus").glob("rules/*.yml"))
    return not rules or f"record: {name}\n" in rules
