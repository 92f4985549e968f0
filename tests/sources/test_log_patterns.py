from __future__ import annotations

import re

import pytest

from swarm_exporter.errors import ConfigError
from swarm_exporter.sources.log_patterns import (
    ErrorKind,
    Event,
    LogName,
    Patterns,
    built_in_patterns,
    load_patterns,
)

EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, entry in built_in_patterns().items()
    for number, example in enumerate(entry.examples)
]

OWN = """
forked_join:
  event: joined_round
  generations: [codezero]
  logs: [swarm_launcher.log]
  needles: ["enters"]
  pattern: 'enters (?P<round>\\d+)'
  meaning: A fork's own words.
  examples: ["node enters 7"]
"""


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_example_is_matched_by_its_own_pattern_and_by_no_other(name, example):
    line = example.encode()
    entries = built_in_patterns()
    assert [n for n, e in entries.items() if re.search(e.pattern.encode(), line)] == [name]
    for log in entries[name].logs:
        patterns = Patterns(entries, (log,))
        found = patterns.match(line)
        assert found is not None
        assert (found.name, found.event, found.kind) == (
            name,
            entries[name].event,
            entries[name].kind,
        )
        assert any(needle in line for needle in patterns.needles)


def test_every_kind_of_error_has_a_pattern_but_for_the_unknown_ones():
    kinds = {entry.kind for entry in built_in_patterns().values()} - {None}
    assert kinds == set(ErrorKind) - {ErrorKind.OTHER}


def test_every_event_has_a_pattern():
    assert {entry.event for entry in built_in_patterns().values()} == set(Event)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        "🏆 Submitting winners for round 88: ['Qm']".encode(),
        b"Map: 100%|####| 2/2 [00:00<00:00, 265.85 examples/s]",
        b"urllib3.connectionpool - Starting new HTTP connection (1): localhost:3000",
        b'"GET /api/get-api-key-status?orgId=1 HTTP/1.1" 200 None',
        b'"POST /api/register-peer HTTP/1.1" 400 None',
        b"Oct 01 00:00:00.000 [INFO] [hivemind.dht.dht] nothing is wrong",
        b"Joining swarm with initial_peers = []",
        b"{'train_runtime': 12.5, 'train_samples_per_second': 1.0}",
    ],
)
def test_other_lines_tell_nothing(line):
    assert Patterns(built_in_patterns(), LogName).match(line) is None


def test_a_line_of_64_kib_takes_no_longer_than_its_length():
    """No pattern goes back over a hostile line again and again."""
    import time

    patterns = Patterns(built_in_patterns(), LogName)
    for piece in (b"Identity from ", b"404 Client Error: ", b"'loss': ", b"Hello [", b": line 1: "):
        line = piece * (64 * 1024 // len(piece)) + b"".join(patterns.needles)
        begin = time.process_time()
        patterns.match(line)
        assert time.process_time() - begin < 2.0


def test_a_persons_own_patterns_are_added(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    patterns = Patterns(load_patterns(path), (LogName.SWARM_LAUNCHER,))
    found = patterns.match(b"node enters 12")
    assert found is not None
    assert (found.name, found.event, found.round) == ("forked_join", Event.JOINED_ROUND, 12)
    assert patterns.match("🐝 Joining round: 3".encode()) is not None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("enters (?P", "enters ((?P", "no regular expression"),
        ("joined_round", "error", "an error needs a kind"),
        ("joined_round", "won_lottery", "event"),
        ("node enters 7", "node leaves 7", "does not match its example"),
        ('["enters"]', '["arrives"]', "none of the needles"),
        ('["enters"]', "[]", "one needle"),
        ("'enters (?P<round>\\\\d+)'", "'x*'", "matches an empty line"),
    ],
)
def test_a_persons_own_patterns_are_checked(tmp_path, old, new, problem):
    path = tmp_path / "own.yaml"
    text = re.sub(re.escape(old.replace("\\\\", "\\")), lambda _: new, OWN)
    assert text != OWN
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as error:
        load_patterns(path)
    assert str(path) in str(error.value)
