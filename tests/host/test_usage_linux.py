"""What one process uses on Linux, from a /proc that a test writes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from swarm_exporter.host.table import Row
from swarm_exporter.host.usage_linux import read_usage

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux'")

STAT = "7 (python (x) y) S 1 7 7 0 -1 0 0 0 0 0 150 50 30 20 20 0 4 0 9000 1048576 256 0 0 0 0\n"

STRANGER = """
import os, sys
from swarm_exporter.host.table import read_row
from swarm_exporter.host.usage_linux import read_usage
os.setuid(65534)
usage = read_usage(read_row(int(sys.argv[1])))
print(usage.cpu is not None, usage.open_fds, usage.reaped_disk_read)
"""


def row(**more) -> Row:
    return Row(**{"pid": 7, "parent": 1, "session": 7, "group": 7, "start": 9000.0, **more})


@pytest.fixture
def proc(tmp_path):
    folder = tmp_path / "7"
    (folder / "fd").mkdir(parents=True)
    (folder / "fd" / "0").touch()
    (folder / "stat").write_text(STAT)
    (folder / "io").write_text("rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n")
    return tmp_path


def test_a_process_is_read_from_its_files(proc):
    usage = read_usage(row(), str(proc))
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert (usage.cpu, usage.reaped_cpu) == (200 * tick, 50 * tick)
    assert (usage.threads, usage.open_fds) == (4, 1)
    assert usage.resident == 256 * os.sysconf("SC_PAGE_SIZE")
    assert (usage.reaped_disk_read, usage.reaped_disk_written) == (4096, 8192)


def test_a_process_that_ends_in_mid_read_is_gone_and_not_refused(proc):
    (proc / "7" / "fd" / "0").unlink()
    (proc / "7" / "fd").rmdir()
    with pytest.raises(ProcessLookupError):
        read_usage(row(), str(proc))


def test_a_reused_pid_is_not_the_process_that_was_meant(proc):
    with pytest.raises(ProcessLookupError):
        read_usage(row(start=8999.0), str(proc))


@pytest.mark.parametrize("content", ["", "rchar: 1\n", "read_bytes: many\nwrite_bytes: 1\n"])
def test_damaged_figures_of_the_disk_cost_those_alone(proc, content):
    (proc / "7" / "io").write_text(content)
    usage = read_usage(row(), str(proc))
    assert (usage.reaped_disk_read, usage.reaped_disk_written) == (None, None)
    assert usage.open_fds == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_a_process_of_another_user_tells_its_time_and_not_its_files():
    said = subprocess.run(
        [sys.executable, "-c", STRANGER, str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == ["True", "None", "None"]
