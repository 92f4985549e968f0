from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import ManualClock, make_config, make_node
from swarm_exporter.config.logs import TrainingLog
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.base import Context
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.http import new_client
from swarm_exporter.sources.log_patterns import ErrorKind
from swarm_exporter.sources.training_log import TrainingLogFacts, TrainingLogs

NOW = time.mktime((2025, 10, 20, 12, 0, 0, 0, 0, -1))
LAUNCHER, SWARM, YARN = "logs/swarm_launcher.log", "logs/swarm.log", "logs/yarn.log"
ANIMAL, CONSOLE = "logs/training_quick_brown_otter.log", "logs/console.log"
OTTER = "[quick brown otter] 🦮 [QmPK1s3pNYLi9ERiq3BDxKa4XosgWwFRQUydHUtz4YgpqB]!"


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S,000", time.localtime(at))


def hydra(text: str, at: float = NOW, level: str = "INFO", logger: str = "genrl") -> str:
    return f"[{stamp(at)}][{logger}.logging_utils.global_defs][{level}] - {text}\n"


def post(status: int, at: float = NOW, route: str = "reward") -> str:
    text = f'http://localhost:3000 "POST /api/submit-{route} HTTP/1.1" {status} None'
    return f"[{stamp(at)}][urllib3.connectionpool][DEBUG] - {text}\n"


class Logs:
    """A node's folder, its writer, and an exporter that reads it."""

    def __init__(self, folder: Path, **configured) -> None:
        self.folder = folder / "rl-swarm"
        self.folder.mkdir()
        self.clock = ManualClock(NOW + 10)
        self.node = make_node(folder=self.folder)
        self.config = make_config(self.node, state_dir=folder / "state")
        self.settings = TrainingLog(folder=self.folder, **configured)
        self.restart()

    def restart(self) -> None:
        self.source = TrainingLogs(lambda config, node: self.settings)

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, text: str | bytes, at: float = NOW) -> None:
        path = self.path(name)
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (at, at))

    def poll(self):
        async def ask():
            async with new_client() as client:
                context = Context(
                    client=client,
                    clock=self.clock,
                    config=self.config,
                    identities={},
                    first=False,
                )
                (target,) = self.source.targets(self.config)
                return await self.source.poll(target, context)

        return asyncio.run(ask())

    def look(self) -> TrainingLogFacts:
        facts = self.poll().value.nodes["1"]
        assert isinstance(facts, TrainingLogFacts)
        return facts

    def fails(self) -> SourceError:
        with pytest.raises(SourceError) as error:
            self.poll()
        return error.value


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path)


def errors(facts: TrainingLogFacts) -> dict[str, int]:
    return {kind: count for kind, count in facts.errors.items() if count}


def test_a_node_of_v0_7_is_seen_by_its_own_log(logs):
    logs.write(LAUNCHER, hydra(f"🐝 Hello {OTTER}", NOW - 500))
    logs.write(LAUNCHER, hydra("Starting round: 41/1000000.", NOW - 400))
    logs.write(LAUNCHER, hydra("Already finished round: 41. Next check in 5.0s.", NOW - 300))
    logs.write(LAUNCHER, hydra("Already finished round: 41. Next check in 10.0s.", NOW - 295))
    facts = logs.look()
    assert (facts.joined_round, facts.joined_at) == (41, NOW - 400)
    assert (facts.waiting_since, facts.last_line_at) == (NOW - 300, NOW)
    assert (facts.log, facts.starts) == (LAUNCHER, 1)
    assert set(facts.errors) == {kind.value for kind in ErrorKind}
    assert (facts.loss, facts.reward, facts.last_submit_at) == (None, None, None)
    logs.write(LAUNCHER, hydra("🐝 Joining round: 42", NOW - 100))
    logs.write(LAUNCHER, hydra("Starting round: 42/1000000.", NOW - 90))
    logs.write(LAUNCHER, post(200, NOW - 50) + post(400, NOW) + post(200, NOW, "winner"))
    facts = logs.look()
    assert (facts.joined_round, facts.joined_at, facts.waiting_since) == (42, NOW - 100, None)
    assert facts.submissions == {"accepted": 1, "refused": 1}
    assert facts.winner_submissions == {"accepted": 1, "refused": 0}
    assert facts.last_submit_at == NOW - 50
    assert logs.poll().summary == f"{LAUNCHER}, round 42"


def test_the_number_that_v0_5_0_prints_is_of_the_next_round_and_not_taken(logs):
    logs.write(LAUNCHER, hydra("Starting round: 8/1000000.", NOW - 9, logger="genrl_swarm"))
    facts = logs.look()
    assert (facts.joined_round, facts.joined_at) == (None, NOW - 9)
    logs.write(LAUNCHER, hydra("🐝 Joining round: 8", NOW - 5, logger="genrl_swarm"))
    logs.write(LAUNCHER, hydra("Starting round: 9/1000000.", NOW - 5, logger="genrl_swarm"))
    assert logs.look().joined_round == 8


def test_a_terminal_without_times_is_dated_by_its_file(logs):
    logs.write("nohup.out", "INFO:t:x:🐝 Joining round: 9 starting at stage: 0\n", NOW - 5000)
    logs.write("nohup.out", "{'loss': nan, 'reward': 0.5}\n", NOW - 4000)
    facts = logs.look()
    assert (facts.joined_round, facts.joined_at) == (9, NOW - 4000)
    assert (facts.loss, facts.reward, facts.log) == (None, 0.5, "nohup.out")


def test_a_line_from_the_future_counts_as_now(logs):
    logs.write(LAUNCHER, hydra("🐝 Joining round: 1", NOW + 7200), NOW + 7200)
    facts = logs.look()
    assert facts.joined_at == logs.clock.now
    assert facts.last_line_at == logs.clock.now


def test_a_silent_log_is_no_error(logs):
    logs.write(LAUNCHER, hydra("🐝 Joining round: 1", NOW - 90_000), NOW - 90_000)
    assert logs.look().last_line_at == NOW - 90_000
    logs.clock.now += 90_000
    assert logs.look().last_line_at == NOW - 90_000


def test_a_restart_of_the_exporter_counts_nothing_twice(logs):
    logs.write(LAUNCHER, hydra(f"🐝 Hello {OTTER}") + post(200) + "MemoryError\nhalf of ")
    first = logs.look()
    logs.restart()
    logs.clock.now += 100
    assert logs.look() == first
    logs.restart()
    logs.write(LAUNCHER, "a line\n" + post(200))
    facts = logs.look()
    assert facts.submissions["accepted"] == 2
    assert (errors(facts), facts.starts) == ({"out_of_memory": 1}, 1)


def test_a_state_file_that_is_torn_is_set_aside_and_counting_begins_anew(logs, caplog):
    logs.write(LAUNCHER, post(200))
    logs.look()
    (kept,) = (logs.config.state_dir / "logs").iterdir()
    kept.write_bytes(kept.read_bytes()[:-20])
    logs.restart()
    assert logs.look().submissions["accepted"] == 1
    assert "counting starts anew" in caplog.text


def test_a_state_that_cannot_be_written_costs_nothing_but_its_survival(logs, caplog):
    logs.config.state_dir.mkdir()
    (logs.config.state_dir / "logs").write_text("in the way")
    logs.write(LAUNCHER, post(200))
    logs.source._kept.clear()
    error = logs.fails()
    assert error.reason is Reason.UNREADABLE
    (logs.config.state_dir / "logs").unlink()
    logs.look()
    (logs.config.state_dir / "logs" / "node-1.json").unlink()
    (logs.config.state_dir / "logs").rmdir()
    (logs.config.state_dir / "logs").write_text("in the way")
    logs.write(LAUNCHER, post(200))
    facts = logs.poll()
    assert facts.value.nodes["1"].submissions["accepted"] == 2
    assert facts.defects == (Reason.UNREADABLE,)
    assert caplog.text.count("cannot save the state") == 1


def test_the_same_line_in_three_logs_is_counted_once(logs):
    text = hydra(f"🐱 Hello 🐈 {OTTER}") + hydra("Failed to submit to chain.", level="ERROR")
    for name in (LAUNCHER, CONSOLE, "nohup.out"):
        logs.write(name, text)
    logs.write(ANIMAL, f"[quick_brown_otter] {stamp(NOW)} INFO: 🐱 Hello 🐈 {OTTER}\n")
    facts = logs.look()
    assert (facts.starts, facts.submissions["refused"], facts.log) == (1, 1, LAUNCHER)
    assert errors(facts) == {"submit_refused": 1}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ((SWARM, ANIMAL, CONSOLE), SWARM),
        ((ANIMAL, CONSOLE, YARN), ANIMAL),
        ((CONSOLE, YARN), CONSOLE),
        (("mine.log",), "mine.log"),
        ((LAUNCHER, SWARM), LAUNCHER),
    ],
)
def test_the_best_log_that_exists_is_read(logs, names, chosen):
    for name in names:
        logs.write(name, hydra("🐝 Joining round: 1"))
    assert logs.look().log == chosen


def test_a_checkout_that_went_back_to_v0_4_2_is_read_by_its_terminal(logs):
    logs.write(LAUNCHER, hydra("🐝 Joining round: 900", NOW - 200_000), NOW - 200_000)
    assert logs.look().joined_round == 900
    logs.write("nohup.out", "INFO:t:x:🐝 Joining round: 7 starting at stage: 0\n", NOW)
    facts = logs.look()
    assert (facts.joined_round, facts.log) == (7, "nohup.out")


def test_a_better_log_that_appears_tells_nothing_again(logs):
    joined = hydra("🐝 Joining round: 5", NOW - 50)
    logs.write(CONSOLE, "MemoryError\n" + joined + hydra("Training timed out!", NOW - 40))
    logs.look()
    logs.write(LAUNCHER, joined + hydra("Training timed out!", NOW - 40))
    facts = logs.look()
    assert (facts.log, errors(facts)) == (LAUNCHER, {"out_of_memory": 1, "game_over": 1})
    logs.write(LAUNCHER, hydra("Training timed out!", NOW - 30))
    assert errors(logs.look())["game_over"] == 2


def test_of_two_copies_of_the_terminal_the_one_that_was_read_is_read_on(logs):
    text = "INFO:t:x:Training timed out!\n"
    logs.write("nohup.out", text, NOW)
    logs.write("tee.log", text, NOW - 1)
    assert logs.look().log == "nohup.out"
    logs.write("nohup.out", text, NOW + 1)
    logs.write("tee.log", text, NOW + 2)
    facts = logs.look()
    assert (facts.log, errors(facts)) == ("nohup.out", {"game_over": 2})


def test_what_only_the_terminal_knows_is_read_there(logs):
    logs.write(LAUNCHER, hydra("🐝 Joining round: 5"))
    logs.write(CONSOLE, hydra("🐝 Joining round: 5"))
    logs.write(CONSOLE, "./run_rl_swarm.sh: line 286: 41234 Killed    python -m x\n")
    facts = logs.look()
    assert (facts.joined_round, errors(facts)) == (5, {"out_of_memory": 1})


def test_yarn_log_adds_its_own_kinds_alone(logs):
    logs.write(LAUNCHER, hydra("🐝 Joining round: 5"))
    logs.write(YARN, "Failed to call submitReward: InvalidRoundNumber\nuser not found\n")
    logs.write(YARN, "Failed with 'FailedOp':\nTraceback (most recent call last):\n")
    facts = logs.look()
    assert facts.submissions == {"accepted": 0, "refused": 0}
    assert errors(facts)["login_expired"] == 1
    assert errors(facts)["user_operation"] == 1


def test_a_traceback_at_the_end_of_a_log_is_counted_once_it_is_silent(logs):
    text = 'Traceback (most recent call last):\n  File "x"\nValueError: y\n'
    logs.write(LAUNCHER, hydra("🐝 Joining round: 5") + text)
    assert errors(logs.look()) == {}
    logs.clock.now += 61
    assert errors(logs.look()) == {"other": 1}
    logs.clock.now += 61
    logs.write(LAUNCHER, hydra("🐝 Joining round: 6"))
    assert errors(logs.look()) == {"other": 1}


def test_a_log_that_is_rotated_away_for_a_moment_is_no_reason_to_read_another(logs):
    text = hydra("Training timed out!")
    logs.write(LAUNCHER, text)
    logs.write(CONSOLE, text)
    logs.look()
    logs.path(LAUNCHER).rename(logs.path(LAUNCHER + ".1"))
    assert errors(logs.look()) == {"game_over": 1}
    logs.write(LAUNCHER, text)
    assert errors(logs.look()) == {"game_over": 2}


def test_a_log_with_another_folder_begins_anew(logs, tmp_path):
    logs.write(LAUNCHER, post(200))
    logs.look()
    other = tmp_path / "other"
    (other / "logs").mkdir(parents=True)
    (other / LAUNCHER).write_text(post(400))
    logs.settings = TrainingLog(folder=other)
    assert logs.look().submissions == {"accepted": 0, "refused": 1}


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: os.mkfifo(path)])
def test_a_log_replaced_by_what_is_no_file_is_said_at_once_and_not_for_ever(logs, make):
    logs.write(LAUNCHER, post(200))
    logs.look()
    logs.path(LAUNCHER).unlink()
    make(logs.path(LAUNCHER))
    error = logs.fails()
    assert (error.reason, LAUNCHER in error.detail) == (Reason.UNREADABLE, True)
    path = logs.path(LAUNCHER)
    path.rmdir() if path.is_dir() else path.unlink()
    logs.write(LAUNCHER, post(200, NOW + 1))
    assert logs.look().submissions["accepted"] == 2


def test_another_log_stands_in_for_one_that_is_no_file_and_that_is_said(logs):
    logs.path(LAUNCHER).mkdir(parents=True)
    logs.write(CONSOLE, hydra("🐝 Joining round: 5"))
    facts = logs.poll()
    assert facts.value.nodes["1"].joined_round == 5
    assert facts.defects == (Reason.UNREADABLE,)


def test_logs_of_other_programs_are_not_the_terminal(logs):
    logs.write("nohup.out", "INFO:t:x:Training timed out!\n", NOW - 5000)
    for name in ("yarn-error.log", "npm-debug.log", "ollama.log"):
        logs.write(name, "MemoryError\n", NOW)
    facts = logs.look()
    assert (facts.log, errors(facts)) == ("nohup.out", {"game_over": 1})


def test_a_node_that_was_never_started_has_no_log_yet(logs):
    error = logs.fails()
    assert error.reason is Reason.NO_LOG
    assert "start the node once" in error.detail


def test_a_folder_that_is_not_there_is_said(logs):
    logs.folder.rmdir()
    error = logs.fails()
    assert (error.reason, str(logs.folder) in error.detail) == (Reason.UNREADABLE, True)


@contextlib.contextmanager
def without_privileges():
    """Be a user whom permissions hinder, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_log_of_another_user_is_a_matter_of_permission():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        logs = Logs(path)
        logs.write(LAUNCHER, post(200))
        logs.path(LAUNCHER).chmod(0)
        with without_privileges():
            error = logs.fails()
        logs.path(LAUNCHER).chmod(0o600)
    assert error.reason is Reason.PERMISSION


def test_a_log_beside_that_cannot_be_read_costs_itself_alone():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        logs = Logs(path)
        logs.config.state_dir.mkdir(mode=0o777)
        logs.config.state_dir.chmod(0o777)
        logs.write(LAUNCHER, post(200))
        logs.write(YARN, "user not found\n")
        logs.path(YARN).chmod(0)
        with without_privileges():
            facts = logs.poll()
    assert facts.defects == (Reason.PERMISSION,)
    assert facts.value.nodes["1"].submissions["accepted"] == 1


def test_one_log_of_ones_own_and_patterns_for_it(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "enters: {event: joined_round, generations: [codezero], logs: [console], "
        'needles: [enters], pattern: "enters (?P<round>[0-9]+)", meaning: x, '
        "examples: [enters 7]}\n"
    )
    logs = Logs(tmp_path, file=tmp_path / "run.txt", patterns=own)
    assert logs.fails().reason is Reason.NO_LOG
    (tmp_path / "run.txt").write_text("node enters 12\n")
    facts = logs.look()
    assert (facts.joined_round, facts.log) == (12, str(tmp_path / "run.txt"))
    own.write_text("enters: 7\n")
    assert logs.fails().reason is Reason.UNREADABLE


def test_a_node_without_folder_and_log_is_not_asked(logs):
    logs.settings = None
    assert logs.source.targets(logs.config) == []


def test_a_backlog_that_is_too_long_is_told(logs):
    logs.write(LAUNCHER, post(200))
    logs.look()
    with logs.path(LAUNCHER).open("r+b") as file:
        file.seek(100 * 1024 * 1024)
        file.write(b"\n" + post(200).encode())
    facts = logs.poll()
    assert facts.defects == (Reason.SKIPPED,)
    assert facts.value.nodes["1"].submissions["accepted"] == 2


def test_no_secret_of_a_log_comes_out(logs):
    logs.write(LAUNCHER, hydra("hf_token=hf_secret Error: user not found hf_secret", level="ERROR"))
    logs.write(LAUNCHER, hydra("🐝 Joining round: 5"))
    facts = logs.poll()
    kept = "".join(path.read_text() for path in (logs.config.state_dir / "logs").iterdir())
    assert "hf_secret" not in msgspec.json.encode(facts.value.nodes["1"]).decode() + kept
    assert "hf_secret" not in facts.summary


PIECES = {
    "joined": (hydra("🐝 Joining round: 5"), {}),
    "accepted": (post(200), {"accepted": 1}),
    "refused": (
        post(400) + hydra("400 Client Error: x for url: http://localhost:3000/api/submit-reward"),
        {"refused": 1, "submit_refused": 1},
    ),
    "memory": (
        hydra("Error occurred during training, continuing...", level="ERROR")
        + "Traceback (most recent call last):\n  File x\nMemoryError: all\n",
        {"out_of_memory": 1},
    ),
    "unknown": (
        "Traceback (most recent call last):\n  File x\nValueError: y\n\nDuring handling of the "
        "above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
        "  File x\nTypeError: z\n",
        {"other": 1},
    ),
    "bar": ("\x1b[32mMap:  10%|#\rMap: 100%|##|\x1b[0m\n", {}),
    "over": (hydra("Exception occurred during game run."), {"game_over": 1}),
    "greeting": (hydra(f"🐝 Hello {OTTER}"), {"starts": 1}),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 400)),
        st.tuples(st.sampled_from(["look", "restart", "rotate", "truncate"]), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(PIECES)), max_size=12), STEPS)
def test_every_event_is_counted_once_whatever_happens_to_the_log(pieces, steps):
    """Cut at any byte, rotated, truncated, and read by exporters that come and go."""
    expected: dict[str, int] = {}
    text = b""
    for number, piece in enumerate(pieces):
        words, counts = PIECES[piece]
        # Times make the lines of a log different from each other, as they are.
        text += hydra(f"Using Model: {number}").encode() + words.encode()
        for name, count in counts.items():
            expected[name] = expected.get(name, 0) + count
    text += hydra("Using Model: last").encode()
    with tempfile.TemporaryDirectory() as folder:
        logs = Logs(Path(folder))
        logs.write(LAUNCHER, hydra("first line"))
        logs.look()
        at = rotated = 0
        for step, size in steps:
            if step == "write":
                logs.write(LAUNCHER, text[at : at + size])
                at += size
            elif step == "restart":
                logs.restart()
            elif step == "rotate" and rotated < 8 and logs.path(LAUNCHER).exists():
                rotated += 1
                for number in range(8, 0, -1):
                    older = logs.path(f"{LAUNCHER}.{number}")
                    if older.exists():
                        older.rename(logs.path(f"{LAUNCHER}.{number + 1}"))
                logs.path(LAUNCHER).rename(logs.path(f"{LAUNCHER}.1"))
            elif step == "look":
                logs.look()
                rotated = 0
            elif step == "truncate" and logs.path(LAUNCHER).exists():
                rest = text.find(b"\n", at) + 1 - at
                logs.write(LAUNCHER, text[at : at + rest] if rest > 0 else b"")
                at += max(rest, 0)
                logs.look()
                rotated = 0
                os.truncate(logs.path(LAUNCHER), 0)
        logs.write(LAUNCHER, text[at:])
        logs.look()
        facts = logs.look()
    found = {k: v for k, v in facts.submissions.items() if v} | errors(facts)
    assert found | ({"starts": facts.starts} if facts.starts else {}) == expected
