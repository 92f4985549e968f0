"""The file that Prometheus reads: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.errors import ConfigError, SwarmExporterError
from swarm_exporter.sd.machine import make_machine
from swarm_exporter.sd.target_file import check_target_file, target_file, write_target_file

_NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
_LABELS = st.dictionaries(
    st.sampled_from(["owner", "site", "_x"]), st.text('aé"\\{},: ', max_size=9), max_size=3
)
_HOSTS = st.one_of(
    st.ip_addresses(v=6, network="2001:db8::/32").map(lambda six: f"[{six}]"),
    st.ip_addresses(v=4, network="10.0.0.0/8").map(str),
)


@given(
    st.lists(
        st.tuples(_NAMES, _HOSTS, st.integers(1, 65_535), _LABELS),
        min_size=1,
        max_size=8,
        unique_by=(lambda m: m[0], lambda m: (m[1], m[2])),
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, drawn):
    machines = [make_machine("", n, f"{h}:{p}", labels, 1) for n, h, p, labels in drawn]
    path = tmp_path_factory.mktemp("sd") / "targets.json"
    assert write_target_file(path, target_file(machines))
    found = check_target_file(path)
    assert [(m.name, m.address, dict(m.labels)) for m in found] == [
        (m.name, m.address, dict(m.labels)) for m in machines
    ]
    # Each machine has a line of its own, and it is the line that messages name.
    assert [m.where for m in found] == [f"{path}:{line}" for line in range(2, len(found) + 2)]


def test_prometheus_shape(tmp_path):
    content = target_file([make_machine("", "a", "h", {"owner": "me"}, 10331)])
    assert json.loads(content) == [
        {"targets": ["h:10331"], "labels": {"machine": "a", "owner": "me"}}
    ]


def test_a_file_that_is_right_already_is_not_touched(tmp_path):
    path = tmp_path / "targets.json"
    assert write_target_file(path, b"[]\n")
    os.utime(path, (1, 1))
    assert not write_target_file(path, b"[]\n")
    assert path.stat().st_mtime == 1
    assert write_target_file(path, b"[ ]\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["targets.json"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SwarmExporterError, match="there is no folder"):
        write_target_file(tmp_path / "not" / "targets.json", b"[]")
    with pytest.raises(SwarmExporterError, match="cannot be written"):
        write_target_file(tmp_path, b"[]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ": must be a list"),
        ("", ": must be a list"),
        ("[\n{]", ":2: not valid JSON"),
        ("[\n{}", ":2: must be"),
        ('[{"targets": ["h:1"]}\n{}]', ":2: not valid JSON: a comma"),
        ('[{"targets": ["h:1"]}] x', ":1: not valid JSON"),
        ('[{"targets": ["h:1"]},]', ":1: not valid JSON"),
        ('[\n\n{"targets": "h:1"}]', ":3: must be"),
        ('[{"targets": ["h"]}]', '"h" has no port'),
        ('[{"targets": [1]}]', "a target must be text"),
        ('[{"targets": ["http://h:1"]}]', "write host:port"),
        ('[{"targets": ["h:1"], "labels": {"a": 1}}]', "labels must be text"),
        ('[{"targets": ["h:1"], "labels": []}]', "labels must be text"),
        ('[{"targets": ["h:1"], "labels": {"node": "1"}}]', "the label node is taken"),
        ('[{"targets": ["h:1"], "label": {}}]', "unknown key label"),
        ('[{"targets": ["h:1"], "targets": ["g:1"]}]', "a key is given twice"),
        ('[{"targets": ["h:1", "g:1"], "labels": {"machine": "a"}}]', "two targets are called"),
        ('[{"targets": ["h:1"]},\n{"targets": ["H:1"]}]', ':2: "h:1" is the name'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    path = tmp_path / "targets.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        check_target_file(path)
    assert str(error.value).startswith(f"{path}")
    assert said in str(error.value)


def test_a_file_of_somebody_elses_making_is_good_too(tmp_path):
    path = tmp_path / "targets.json"
    path.write_text(
        '[ {"labels": {"owner": "me"}, "targets": ["a:1", "[::1]:2"]} ,\r\n{"targets":[]}]'
    )
    assert [m.name for m in check_target_file(path)] == ["a:1", "[::1]:2"]
    path.write_text("[]")
    assert check_target_file(path) == ()
