"""The committed JSON is what the boards' Python makes, and what Grafana's SDK reads."""

from __future__ import annotations

import json

import pytest
import yaml

from board_support import FILES, FOLDERS, GRAFANA, UIDS, ident, load

sdk = pytest.importorskip("grafana_foundation_sdk", reason="needs Python 3.11")

from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: E402

from boards import boards  # noqa: E402
from boards.__main__ import main  # noqa: E402
from boards.texts import TEXTS, Language  # noqa: E402

#: Keys of Prometheus' annotations that the SDK does not know; Grafana does.
_ANNOTATION_KEYS = {"useValueForTime", "titleFormat", "step"}


@pytest.mark.parametrize("language", Language)
def test_the_committed_boards_are_up_to_date(language):
    committed = {path.stem: path.read_text("utf-8") for path in FOLDERS[language].glob("*.json")}
    assert committed == boards(language), "run `make boards`"


def test_boards_that_are_no_more_are_taken_away(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("kept")
    main(tmp_path, Language.ZH)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{uid}.json" for uid in UIDS), "mine.txt"]
    )


@pytest.mark.parametrize("path", FILES, ids=ident)
def test_the_sdk_reads_back_every_key(path):
    document = load(path)
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(document)))
    for annotation in document["annotations"].get("list", ()):
        for key in _ANNOTATION_KEYS:
            annotation.pop(key)
    assert again == document


def test_every_text_is_on_a_board_in_both_languages():
    shown = {language: "".join(boards(language).values()) for language in Language}
    for key, text in TEXTS.items():
        for language in Language:
            assert json.dumps(text[language].title, ensure_ascii=False) in shown[language], key


def test_chinese_boards_differ_in_texts_alone():
    for uid in UIDS:
        english, chinese = (load(FOLDERS[language] / f"{uid}.json") for language in ("en", "zh"))
        assert english["title"] != chinese["title"]
        assert _shape(english) == _shape(chinese)


def _shape(board):
    return [
        (
            panel["id"],
            panel["type"],
            panel["gridPos"],
            [t["expr"] for t in panel.get("targets", [])],
        )
        for panel in board["panels"]
    ]


def test_provisioning_names_one_source_and_one_folder():
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/swarm.yml").read_text())[
        "datasources"
    ]
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/swarm.yml").read_text())[
        "providers"
    ]
    assert (source["type"], source["url"]) == ("prometheus", "$SWARM_PROMETHEUS")
    assert provider["options"] == {"path": "$SWARM_BOARDS"}
