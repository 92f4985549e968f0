from __future__ import annotations

import errno
import os

import psutil
import pytest

from darwin_libc import FakeLibc, Process
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.table import Row
from swarm_exporter.host.usage import Usage
from swarm_exporter.host.usage_darwin import DarwinUsage

SECOND = 24_000_000


def own_row(**more) -> Row:
    facts = {"start": psutil.Process().create_time(), "zombie": False}
    return Row(pid=os.getpid(), parent=1, session=1, group=1, **{**facts, **more})


def reader(**how) -> DarwinUsage:
    return DarwinUsage(Darwin(FakeLibc({os.getpid(): Process(**how)})))


def test_the_kernels_figures_are_taken_and_threads_and_files_are_psutils():
    usage = reader(
        user_time=6 * SECOND,
        child_system_time=2 * SECOND,
        user_ptime=4 * SECOND,
        resident_size=1000,
        diskio_bytesread=5,
        diskio_byteswritten=6,
        energy_nj=3_000_000_000,
    ).read(own_row())
    assert usage.cpu == pytest.approx(6.0)
    assert usage.reaped_cpu == pytest.approx(2.0)
    assert usage.performance_cpu == pytest.approx(4.0)
    assert (usage.resident, usage.disk_read, usage.disk_written) == (1000, 5, 6)
    assert usage.energy == 3.0
    assert usage.threads == psutil.Process().num_threads()
    assert usage.open_fds > 0
    # The kernel of a Mac does not add what ended children read and wrote.
    assert usage.reaped_disk_read is None


def test_a_process_of_another_user_tells_nothing():
    assert reader(fails=errno.EPERM).read(own_row()) == Usage()


def test_a_strange_refusal_tells_nothing_either():
    assert reader(fails=errno.EIO).read(own_row()) == Usage()


def test_another_process_with_the_same_pid_is_none_of_the_nodes():
    with pytest.raises(ProcessLookupError):
        reader().read(own_row(start=1.0))


def test_a_process_that_has_gone_is_told():
    with pytest.raises(ProcessLookupError):
        reader(fails=errno.ESRCH).read(own_row())
    with pytest.raises(ProcessLookupError):
        reader().read(Row(pid=2**22 + 1, parent=1, session=1, group=1, start=1.0))


def test_a_zombie_holds_nothing():
    usage = reader().read(own_row(zombie=True))
    assert (usage.resident, usage.threads, usage.open_fds) == (0, 0, 0)
