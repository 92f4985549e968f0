"""The boards by rule: up to date, whole, readable, and nothing that Grafana refuses."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from boards_support import BOARDS, ROOT, board_json, load, panels, queries

#: Grafana's own names of units, as far as the boards use them.
UNITS = {
    "short", "none", "percentunit", "s", "bytes", "Bps", "celsius", "watt", "kwatth",
}  # fmt: skip
BUILT_IN = {"__rate_interval", "__interval", "__range"}
LANGUAGES = ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", BOARDS)
def test_the_json_is_up_to_date(name, language):
    file = ROOT / "grafana" / "dashboards" / language / f"{name}.json"
    assert file.read_text(encoding="utf-8") == board_json(name, language), "run `make boards`"


@pytest.fixture(params=[(n, lang) for n in BOARDS for lang in LANGUAGES], ids="-".join)
def board(request):
    return load(*request.param)


def test_nothing_is_lost_between_grafanas_types_and_the_json(board):
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert set(board) <= set(again)
    assert len(list(panels(again))) == len(list(panels(board)))


def test_ids_are_unique_and_the_schema_is_fixed():
    boards = [load(name) for name in BOARDS]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        assert board["schemaVersion"] == 41
        assert board["uid"] == load(board["uid"].removeprefix("swarm-"), "zh")["uid"]


def test_no_panel_covers_another(board):
    for one, other in itertools.combinations(panels(board), 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one["title"], other["title"])
        assert a["x"] + a["w"] <= 24


def test_every_panel_says_what_it_is_and_what_good_looks_like(board):
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert panel["title"]
        assert "$__range" not in panel["title"]
        assert len(panel["description"]) >= 5
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] in {"stat", "timeseries", "table"}


def test_every_variable_that_is_used_is_defined(board):
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert used - BUILT_IN - {"__data", "__value", "__auto", "__all"} <= defined
    assert {"datasource", "machine"} <= defined


def test_links_lead_to_boards_that_exist(board):
    known = {f"swarm-{name}" for name in BOARDS}
    links = re.findall(r"/d/([\w-]+)", json.dumps(board))
    assert set(links) <= known
    own = board["uid"]
    assert {link["url"] for link in board["links"]} == {f"/d/{n}" for n in known - {own}}


def test_queries_choose_the_machine(board):
    for panel, expression in queries(board):
        assert "$machine" in expression, panel["title"]


def test_chinese_boards_are_chinese_and_ask_the_same():
    for name in BOARDS:
        english, chinese = load(name), load(name, "zh")
        assert [e for _, e in queries(english)] == [e for _, e in queries(chinese)]
        for panel in panels(chinese):
            assert re.search(r"[\u4e00-\u9fff]", panel["description"]), panel["title"]


def test_colours_are_told_apart_without_red_and_green(board):
    text = json.dumps(board)
    assert not re.search(r'"color": ?"(green|red|dark-green|semi-dark-red)"', text)
