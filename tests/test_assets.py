from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import command, good
from support import ROOT
from swarm_exporter.assets import MANIFEST, asset_files, write_files
from swarm_exporter.errors import SwarmExporterError


def test_everything_that_prometheus_alertmanager_and_grafana_need_is_there():
    files = asset_files()
    for part in ("prometheus/rules", "prometheus/templates", "docs/runbooks"):
        expected = {p.relative_to(ROOT).as_posix() for p in (ROOT / part).iterdir()}
        assert {name for name in files if name.startswith(f"{part}/")} == expected
    assert (
        files["prometheus/alertmanager.yml"] == (ROOT / "prometheus/alertmanager.yml").read_bytes()
    )
    assert "grafana/provisioning/datasources/swarm.yml" in files
    fleet = {name for name in files if name.startswith("prometheus/fleet/")}
    assert fleet == {
        f"prometheus/fleet/{name}"
        for name in (
            "prometheus.yml",
            "hosts.example.txt",
            "grafana/swarm.yml",
            "targets/.gitignore",
        )
    }


def test_every_file_is_in_the_wheel():
    included = (ROOT / "pyproject.toml").read_text().partition("force-include]")[2]
    sources = re.findall(r'^"([^"]+)" = "swarm_exporter/assets/\1"$', included, re.MULTILINE)
    for name in asset_files():
        assert any(name == source or name.startswith(f"{source}/") for source in sources), name


def test_boards_are_in_the_language_asked_for_under_the_same_names():
    english, chinese = asset_files("en"), asset_files("zh")
    assert english.keys() == chinese.keys()
    name = "grafana/dashboards/swarm.json"
    assert json.loads(english[name])["uid"] == json.loads(chinese[name])["uid"]
    assert chinese[name] == (ROOT / "grafana/dashboards-zh/swarm.json").read_bytes()


def test_what_was_changed_is_kept_what_is_gone_is_removed_and_the_rest_is_left_alone(tmp_path):
    first = {"rules/a.yml": b"a1", "rules/b.yml": b"b1", "rules/c.yml": b"c1"}
    assert write_files(tmp_path, first).written == tuple(first)
    (tmp_path / "rules" / "b.yml").write_text("mine")
    (tmp_path / "rules" / "own.yml").write_text("mine too")
    second = {"rules/a.yml": b"a2", "rules/b.yml": b"b2", "rules/own.yml": b"theirs"}
    done = write_files(tmp_path, second)
    assert done.written == ("rules/a.yml",)
    assert done.kept == ("rules/b.yml", "rules/own.yml")
    assert done.removed == ("rules/c.yml",)
    assert (tmp_path / "rules" / "b.yml").read_text() == "mine"
    assert (tmp_path / "rules" / "own.yml").read_text() == "mine too"
    assert write_files(tmp_path, second, force=True).written == ("rules/b.yml", "rules/own.yml")
    assert write_files(tmp_path, second).unchanged == tuple(second)


def test_a_changed_file_that_is_no_longer_part_of_it_stays(tmp_path):
    write_files(tmp_path, {"a": b"1"})
    (tmp_path / "a").write_text("mine")
    assert write_files(tmp_path, {}).removed == ()
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("torn", [b"", b'{"a":', b'{"../outside": "0"}', b"[]"])
def test_a_foreign_manifest_removes_nothing(tmp_path, torn):
    folder = tmp_path / "folder"
    write_files(folder, {"a": b"1"})
    (tmp_path / "outside").write_bytes(b"")
    (folder / MANIFEST).write_bytes(torn)
    done = write_files(folder, {"a": b"2"})
    assert (done.kept, done.removed) == (("a",), ())
    assert (tmp_path / "outside").exists()


_CONTENT = st.dictionaries(st.sampled_from("abc"), st.sampled_from([b"1", b"2"]))
_STEPS = st.lists(st.tuples(st.sampled_from(["ours", "theirs"]), _CONTENT), max_size=8)


@settings(max_examples=60)
@given(steps=_STEPS)
def test_nothing_that_a_person_wrote_is_ever_lost(tmp_path_factory, steps):
    folder: Path = tmp_path_factory.mktemp("assets")
    mine: dict[str, bytes] = {}
    for who, files in steps:
        if who == "ours":
            write_files(folder, files)
        else:
            for name, content in files.items():
                # Never what the program itself writes.
                mine[name] = b"mine" + content
                (folder / name).write_bytes(mine[name])
        assert {name: (folder / name).read_bytes() for name in mine} == mine


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SwarmExporterError, match="cannot be written"):
        write_files(tmp_path / "file", {"a": b"1"})


def test_the_command_says_what_it_wrote_and_what_it_kept(tmp_path):
    folder = tmp_path / "out"
    first = good("assets", str(folder))
    assert f"{len(asset_files())} files written" in first.out
    assert f"SWARM_BOARDS={folder}/grafana/dashboards" in first.out
    (folder / "prometheus" / "alertmanager.yml").write_text("mine")
    assert "kept: prometheus/alertmanager.yml is yours" in good("assets", str(folder)).out
    told = json.loads(good("assets", "--json", "--lang", "zh", str(folder)).out)
    assert told["kept"] == ["prometheus/alertmanager.yml"]
    assert "grafana/dashboards/swarm.json" in told["written"]
    assert command("assets").code == 2
