"""The boards against the types of Grafana's own front end; `make boards-schema` installs those."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from board_support import FILES, FOLDERS, GRAFANA, load

pytestmark = pytest.mark.skipif(
    not os.environ.get("SWARM_TEST_REQUIRE_REAL")
    and (shutil.which("node") is None or not (GRAFANA / "schema" / "node_modules").is_dir()),
    reason="Grafana's types are not installed (make boards-schema)",
)


def check(*paths) -> subprocess.CompletedProcess[str]:
    command = ["node", GRAFANA / "schema" / "check.js", *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_grafana_knows_every_key_and_value():
    result = check(*FILES)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_grafana_would_not_understand_is_found(tmp_path):
    board = load(FOLDERS["en"] / "swarm.json")
    by_title = {panel["title"]: panel for panel in board["panels"]}
    board["refrsh"] = "1m"
    by_title["Nodes earning"]["options"]["colorMode"] = "rainbow"
    by_title["Need you"]["gridPos"]["w"] = "3"
    by_title["Rank"]["fieldConfig"]["defaults"]["custom"]["drawStyle"] = "lines"
    (path := tmp_path / "board.json").write_text(json.dumps(board))
    result = check(path)
    assert result.returncode == 1
    found = [
        line.removeprefix(f"{path}: ").partition(" must")[0] for line in result.stdout.splitlines()
    ]
    assert sorted(found) == [
        "",
        "Need you: /gridPos/w",
        "Nodes earning: /options/colorMode",
        "Rank: /fieldConfig/defaults/custom/drawStyle",
    ]
