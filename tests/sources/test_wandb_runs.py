"""Offline runs and event files in a node's folder, on a real file system."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from support import ManualClock, make_config, make_node
from swarm_exporter.reasons import Reason
from swarm_exporter.sources import wandb_runs
from swarm_exporter.sources.base import Context
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.wandb_runs import TrackingFacts, TrackingRuns, read_tracking

as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def write(path: Path, size: int = 10, at: float = 1_000.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (at, at))
    return path


def run(folder: Path, name: str, size: int = 10, at: float = 1_000.0) -> Path:
    """A run as wandb lays it out; returns its folder."""
    place = folder / f"offline-run-20251117_101530-{name}"
    write(place / f"run-{name}.wandb", size, at)
    write(place / "files" / "requirements.txt", 5, 900.0)
    return place


def facts(folder: Path, **how) -> TrackingFacts:
    found, defects = read_tracking(folder, **how)
    assert defects == ()
    return found


def test_a_node_that_has_written_nothing_has_nothing(tmp_path):
    assert facts(tmp_path) == TrackingFacts(
        offline_runs=0, offline_bytes=0, tensorboard_files=0, tensorboard_bytes=0
    )


def test_offline_runs_of_both_places_are_counted(tmp_path):
    run(tmp_path / "logs" / "wandb", "aaaa", 100, 2_000.0)
    run(tmp_path / "wandb", "bbbb", 1000, 3_000.0)
    (tmp_path / "logs" / "wandb" / "latest-run").symlink_to("offline-run-20251117_101530-aaaa")
    write(tmp_path / "logs" / "wandb" / "debug.log", 7)
    write(tmp_path / "logs" / "wandb" / "run-20251117_101530-online" / "x", 7)
    write(tmp_path / "logs" / "wandb" / "offline-run-is-a-file", 7)
    found = facts(tmp_path)
    assert (found.offline_runs, found.offline_bytes, found.newest_run) == (2, 1110, 3_000.0)


def test_a_run_that_was_synced_does_not_count(tmp_path):
    run(tmp_path / "wandb", "aaaa", at=1_500.0)
    write(run(tmp_path / "wandb", "bbbb", at=9_000.0) / "run-bbbb.wandb.synced", 0, 9_999.0)
    found = facts(tmp_path)
    assert (found.offline_runs, found.offline_bytes, found.newest_run) == (1, 15, 1_500.0)


def test_event_files_are_counted_wherever_they_are_below(tmp_path):
    deep = tmp_path / "runs" / "gsm8k" / "multinode" / "model" / "runs" / "Apr06_host"
    write(deep / "events.out.tfevents.1743.host.1.0", 30, 5_000.0)
    write(deep / "pytorch_model.bin", 500)
    write(tmp_path / "logs" / "events.out.tfevents.1744.host.2.0", 40, 4_000.0)
    # Those of a run are sent with the run.
    inside = run(tmp_path / "logs" / "wandb", "aaaa") / "files"
    write(inside / "events.out.tfevents.1745.host.3.0", 50, 6_000.0)
    found = facts(tmp_path)
    assert (found.tensorboard_files, found.tensorboard_bytes) == (2, 70)
    assert (found.newest_event, found.offline_bytes) == (5_000.0, 65)


def test_links_are_not_followed_and_nothing_counts_twice(tmp_path):
    node, disk = tmp_path / "node", tmp_path / "disk"
    place = run(disk / "wandb", "aaaa", 100)
    write(disk / "big", 10_000)
    # Both places may be one, on a larger disk.
    node.mkdir()
    (node / "logs").symlink_to(disk)
    (node / "wandb").symlink_to(disk / "wandb")
    (place / "cache").symlink_to(disk)
    (place / "artifact").symlink_to(disk / "big")
    (disk / "wandb" / "offline-run-link").symlink_to(place)
    os.link(place / "run-aaaa.wandb", place / "files" / "again")
    (node / "runs").symlink_to(node)
    write(disk / "events.out.tfevents.1.host.1.0", 30)
    (disk / "events.out.tfevents.2.host.1.0").symlink_to(disk / "events.out.tfevents.1.host.1.0")
    found = facts(node)
    assert (found.offline_runs, found.offline_bytes) == (1, 105)
    assert (found.tensorboard_files, found.tensorboard_bytes) == (1, 30)


def test_more_files_than_are_looked_at_cost_the_figures_they_would_change(tmp_path):
    for number in range(30):
        write(tmp_path / "runs" / f"checkpoint-{number}" / "model.bin")
    run(tmp_path / "wandb", "aaaa")
    found, defects = read_tracking(tmp_path, most_entries=50)
    assert defects == (Reason.TOO_LARGE,)
    assert (found.tensorboard_files, found.tensorboard_bytes, found.newest_event) == (None,) * 3
    assert (found.offline_runs, found.offline_bytes) == (1, 15)
    assert facts(tmp_path, most_entries=60).tensorboard_files == 0


def test_folders_without_end_are_given_up(tmp_path):
    (tmp_path / "runs" / Path(*["d"] * 60)).mkdir(parents=True)
    found, defects = read_tracking(tmp_path)
    assert (found.tensorboard_files, defects) == (None, (Reason.TOO_LARGE,))


def test_files_where_folders_should_be_are_no_runs(tmp_path):
    write(tmp_path / "wandb")
    write(tmp_path / "logs")
    write(tmp_path / "runs")
    assert (facts(tmp_path).offline_runs, facts(tmp_path).tensorboard_files) == (0, 0)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    place = run(tmp_path / "wandb", "aaaa")
    os.mkfifo(place / "pipe")
    os.mkfifo(tmp_path / "wandb" / "offline-run-pipe")
    assert facts(tmp_path).offline_bytes == 15


def test_a_run_that_vanishes_while_it_is_looked_at_is_no_run(tmp_path, monkeypatch):
    gone = run(tmp_path / "wandb", "aaaa")
    run(tmp_path / "wandb", "bbbb")
    scan = os.scandir

    def vanishing(path):
        if os.fspath(path) == os.fspath(gone):
            os.rename(gone, tmp_path / "moved")  # noqa: PTH104
        return scan(path)

    monkeypatch.setattr(wandb_runs.os, "scandir", vanishing)
    assert facts(tmp_path).offline_runs == 1


def test_a_file_that_vanishes_costs_nothing(tmp_path, monkeypatch):
    place = run(tmp_path / "wandb", "aaaa", 100)
    write(place / "temporary")
    islice = wandb_runs.itertools.islice

    def vanishing(listed, most):
        entries = list(islice(listed, most))
        for entry in entries:
            if entry.name == "temporary":
                Path(entry.path).unlink()
        return entries

    monkeypatch.setattr(wandb_runs.itertools, "islice", vanishing)
    assert facts(tmp_path).offline_bytes == 105


def test_a_folder_that_nobody_may_read_is_told(tmp_path, monkeypatch):
    """As root every folder may be read: the kernel's answer is put in its place."""
    run(tmp_path / "wandb", "aaaa")
    secret = tmp_path / "runs"
    secret.mkdir()
    scan = os.scandir

    def denying(path):
        if os.fspath(path) == os.fspath(secret):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(wandb_runs.os, "scandir", denying)
    found, defects = read_tracking(tmp_path)
    assert (found.offline_runs, found.tensorboard_files) == (1, None)
    assert defects == (Reason.PERMISSION,)
    secret = tmp_path
    with pytest.raises(SourceError) as error:
        read_tracking(tmp_path)
    assert error.value.reason is Reason.PERMISSION


@as_user
def test_a_folder_without_permissions_is_told(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o000)
    found, defects = read_tracking(tmp_path)
    assert (found.tensorboard_files, defects) == (None, (Reason.PERMISSION,))


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_a_node_without_its_folder_is_a_failure(tmp_path, what):
    folder = tmp_path / "node"
    if what == "a file":
        write(folder)
    with pytest.raises(SourceError) as error:
        read_tracking(folder)
    assert error.value.reason is Reason.UNREADABLE
    assert str(folder) in error.value.detail


def poll(source: TrackingRuns, node, **settings):
    async def ask():
        config = make_config(node, **settings)
        (target,) = source.targets(config)
        context = Context(None, ManualClock(), config, {}, first=False)
        return await source.poll(target, context)

    return asyncio.run(ask())


def test_a_poll_tells_of_its_node(tmp_path):
    run(tmp_path / "wandb", "aaaa")
    found = poll(TrackingRuns(), make_node("7", folder=tmp_path))
    assert found.value.nodes["7"].offline_runs == 1
    assert found.summary == "1 offline runs, 0 event files"


def test_only_nodes_with_a_folder_are_targets_every_five_minutes(tmp_path):
    config = make_config(make_node("1"), make_node("2", folder=tmp_path))
    assert [(t.key, t.interval) for t in TrackingRuns().targets(config)] == [("2", 300.0)]
    slow = make_config(make_node("2", folder=tmp_path), interval=900.0)
    assert [t.interval for t in TrackingRuns().targets(slow)] == [900.0]


def test_a_folder_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    release = threading.Event()
    scan = os.scandir

    def hanging(path):
        if threading.current_thread() is not threading.main_thread():
            release.wait(30.0)
        return scan(path)

    monkeypatch.setattr(wandb_runs.os, "scandir", hanging)
    try:
        with pytest.raises(SourceError) as error:
            poll(TrackingRuns(), make_node("1", folder=tmp_path), timeout=0.05)
    finally:
        release.set()
    assert error.value.reason is Reason.TIMEOUT
    assert "does not answer" in error.value.detail
