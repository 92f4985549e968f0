from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from machine_support import make_look, make_tree
from support import make_config, make_node
from swarm_exporter.config import Config
from swarm_exporter.host.disk import (
    BlockDevice,
    Disks,
    FileSystem,
    MachineDisks,
    Mount,
    folders,
    mountpoint_above,
    nearest_existing,
)
from swarm_exporter.host.disk_darwin import DATA, DarwinDisks, read_and_written
from swarm_exporter.host.disk_linux import (
    LinuxDisks,
    MountedHere,
    find_mount,
    parse_block_stat,
    parse_mountinfo,
)
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

LINUX = sys.platform.startswith("linux")
MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 27 253:0 / /data rw,relatime shared:5 - xfs /dev/mapper/vg-data rw
31 30 0:40 /sub /data/my\\040nodes rw - btrfs /dev/sdb1 rw
32 27 0:50 / /srv rw - nfs4 server:/export rw
"""
STAT = "  100  0  2000  0  50  0  4000  0  0  0  0  0  0  0  0  0  0\n"
GIB = 1024**3


def made(blocks: int = 1000, **more) -> os.statvfs_result:
    """What statvfs(3) tells of a file system with blocks of 4096 bytes."""
    told = {
        "bsize": 131_072,
        "frsize": 4096,
        "blocks": blocks,
        "bfree": 500,
        "bavail": 400,
        "files": 100,
        "ffree": 60,
        "favail": 50,
        "flag": 0,
        "namemax": 255,
    }
    return os.statvfs_result(tuple({**told, **more}.values()))


class Folders:
    """File systems as a test gives them: which folder lies on which, and who asked."""

    def __init__(self, mounts: dict[str, str]) -> None:
        self.mounts = mounts
        self.asked: list[str] = []
        self.figures: dict[str, tuple[int, int]] = {}
        self.fails: dict[str, OSError] = {}

    def mount(self, path: str, device: int) -> Mount:
        (key,) = [key for folder, key in self.mounts.items() if path.startswith(folder)]
        return Mount(f"/mnt/{key}", key)

    def devices(self, mounts) -> dict[str, tuple[int, int]]:
        return dict(self.figures)

    def statvfs(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        if path in self.fails:
            raise self.fails[path]
        return made()


def read(collector: MachineDisks, config: Config) -> Disks:
    facts = collector.read(make_look(config)).facts
    assert isinstance(facts, Disks)
    return facts


def nodes(*paths: Path):
    return tuple(make_node(str(number), folder=path) for number, path in enumerate(paths))


def test_only_the_named_folders_are_asked_for():
    config = make_config(
        make_node("1", folder=Path("/a")), make_node("2"), state_dir=Path("/state")
    )
    assert folders(config) == [Path("/state"), Path("/a"), Path("/a/logs")]
    assert folders(make_config(state_dir=Path("/state"))) == [Path("/state")]


def test_each_file_system_is_asked_once_and_no_other(tmp_path):
    given = Folders({str(tmp_path): "x"})
    config = make_config(*nodes(tmp_path / "a", tmp_path / "b"), state_dir=tmp_path / "state")
    (tmp_path / "a" / "logs").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    found = read(MachineDisks(given, given.statvfs), config)
    assert found.file_systems == (
        FileSystem(mountpoint="/mnt/x", size=1000 * 4096, free=400 * 4096, inodes_free=50),
    )
    assert given.asked == [str(tmp_path)]


@pytest.mark.skipif(not LINUX, reason="/dev")
def test_folders_on_two_file_systems_are_both_told(tmp_path):
    if Path("/dev").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system")
    config = make_config(*nodes(Path("/dev/no-such-node")), state_dir=tmp_path)
    found = read(MachineDisks(), config)
    assert [one.mountpoint for one in found.file_systems][1] == "/dev"
    assert len(found.file_systems) == 2


def test_a_link_leads_to_where_it_points(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    given = Folders({str(tmp_path): "x"})
    read(MachineDisks(given, given.statvfs), make_config(state_dir=tmp_path / "link"))
    assert given.asked == [str(tmp_path / "real")]


def test_a_folder_that_does_not_exist_yet_is_asked_for_at_its_nearest_parent(tmp_path):
    (tmp_path / "file").touch()
    device = tmp_path.stat().st_dev
    assert nearest_existing(tmp_path / "not" / "yet") == (str(tmp_path), device)
    assert nearest_existing(tmp_path / "file" / "below") == (str(tmp_path / "file"), device)
    assert nearest_existing(Path("/no-such-folder/x")) == ("/", Path("/").stat().st_dev)


def test_a_folder_that_may_not_be_looked_into_is_a_defect(tmp_path, monkeypatch):
    usual = os.stat

    def guarded(path, *args, **more):
        if "closed" in str(path):
            raise PermissionError(13, "no", path)
        return usual(path, *args, **more)

    monkeypatch.setattr(os, "stat", guarded)
    config = make_config(*nodes(tmp_path / "closed" / "node"), state_dir=tmp_path)
    found = MachineDisks().read(make_look(config))
    assert len(found.facts.file_systems) == 1
    assert found.defects == (Reason.PERMISSION,) * 2


def test_a_folder_that_cannot_be_looked_for_costs_itself_alone(tmp_path):
    too_long = tmp_path / ("x" * 5000)
    config = make_config(*nodes(too_long), state_dir=tmp_path)
    given = Folders({str(tmp_path): "x"})
    found = MachineDisks(given, given.statvfs).read(make_look(config))
    assert len(found.facts.file_systems) == 1
    assert found.defects == (Reason.UNREADABLE,) * 2


def test_a_file_system_that_does_not_answer_costs_its_own_figures(tmp_path):
    given = Folders({str(tmp_path): "x"})
    given.fails[str(tmp_path)] = PermissionError(13, "no")
    given.figures = {"sda": (1, 2)}
    found = MachineDisks(given, given.statvfs).read(make_look(make_config(state_dir=tmp_path)))
    assert found.facts == Disks(devices=(BlockDevice(name="sda", read=1, written=2),))
    assert found.defects == (Reason.PERMISSION,)


def test_where_nothing_answers_it_fails(tmp_path):
    given = Folders({str(tmp_path): "x"})
    given.fails[str(tmp_path)] = PermissionError(13, "no")
    with pytest.raises(SourceError) as failed:
        MachineDisks(given, given.statvfs).read(make_look(make_config(state_dir=tmp_path)))
    assert failed.value.reason is Reason.PERMISSION
    assert str(tmp_path) not in failed.value.detail


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (made(files=0, favail=0), (1000 * 4096, None)),
        (made(blocks=0), None),
    ],
)
def test_a_file_system_without_a_limit_of_files_or_without_a_size(tmp_path, told, expected):
    given = Folders({str(tmp_path): "x"})
    given.figures = {"sda": (1, 2)}
    found = read(MachineDisks(given, lambda path: told), make_config(state_dir=tmp_path))
    assert [(one.size, one.inodes_free) for one in found.file_systems] == (
        [expected] if expected else []
    )


def test_a_disk_that_is_plugged_in_again_does_not_fall(tmp_path):
    given = Folders({str(tmp_path): "x"})
    collector = MachineDisks(given, given.statvfs)
    seen = []
    for figures in ((100, 200), (150, 200), (5, 7), (6, 7)):
        given.figures = {"sda": figures}
        (device,) = read(collector, make_config(state_dir=tmp_path)).devices
        seen.append((device.read, device.written))
    assert seen == [(100, 200), (150, 200), (150, 200), (151, 200)]


def test_mounts_are_read_with_spaces_in_their_names():
    assert parse_mountinfo(MOUNTINFO.encode())[3] == MountedHere("/data/my nodes", "0:40")
    assert parse_mountinfo(b"short line\n\n") == []


@pytest.mark.parametrize(
    ("path", "device", "mountpoint"),
    [
        ("/home/a", "8:2", "/"),
        ("/data/a", "253:0", "/data"),
        ("/data", "253:0", "/data"),
        ("/database", "8:2", "/"),
        # The number of a subvolume is its own.
        ("/data/my nodes/1", "0:77", "/data/my nodes"),
        ("/srv/1", "0:50", "/srv"),
    ],
)
def test_a_path_lies_on_the_deepest_mount_above_it(path, device, mountpoint):
    found = find_mount(parse_mountinfo(MOUNTINFO.encode()), path, device)
    assert found is not None
    assert found.mountpoint == mountpoint


def test_a_mount_that_lies_under_another_is_not_taken():
    over = [MountedHere("/a/b", "8:1"), MountedHere("/a", "8:2"), MountedHere("/a", "8:3")]
    found = find_mount(over, "/a/b/c", "8:3")
    assert found == MountedHere("/a", "8:3")
    assert find_mount([], "/a", "8:3") is None


def block_devices(root: Path) -> Path:
    """A disk with a partition, a mapped device, and one with a slash in its name."""
    for folder, number, partition in (
        ("sda", "8:0", False),
        ("sda/sda2", "8:2", True),
        ("dm-0", "253:0", False),
        ("cciss!c0d0", "104:0", False),
    ):
        files = {f"sys/devices/block/{folder}/stat": STAT}
        if partition:
            files[f"sys/devices/block/{folder}/partition"] = "2\n"
        make_tree(root, files)
        link = root / "sys/dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(root / "sys/devices/block" / folder)
    return root


@pytest.mark.parametrize(
    ("key", "name"), [("8:2", "sda"), ("8:0", "sda"), ("253:0", "dm-0"), ("104:0", "cciss/c0d0")]
)
def test_the_bytes_are_those_of_the_whole_disk(tmp_path, key, name):
    disks = LinuxDisks(block_devices(tmp_path))
    assert disks.devices([Mount("/", key)]) == {name: (2000 * 512, 4000 * 512)}


def test_a_file_system_without_a_device_of_its_own_has_no_bytes(tmp_path):
    assert LinuxDisks(block_devices(tmp_path)).devices([Mount("/srv", "0:50")]) == {}


def test_two_partitions_of_a_disk_are_one_disk(tmp_path):
    disks = LinuxDisks(block_devices(tmp_path))
    assert disks.devices([Mount("/", "8:2"), Mount("/boot", "8:0")]).keys() == {"sda"}


@pytest.mark.parametrize("content", [b"", b"1 2 3\n", b"1 2 x 4 5 6 7\n"])
def test_a_stat_in_another_form_fails(content):
    with pytest.raises(SourceError) as failed:
        parse_block_stat(content)
    assert failed.value.reason is Reason.MALFORMED


def test_where_no_mount_is_told_the_folders_tell(tmp_path):
    root = make_tree(tmp_path, {"proc/self/mountinfo": ""})
    device = tmp_path.stat().st_dev
    mount = LinuxDisks(root).mount(str(tmp_path), device)
    assert os.path.ismount(mount.mountpoint)
    assert mount.key == f"{os.major(device)}:{os.minor(device)}"
    with pytest.raises(SourceError) as failed:
        LinuxDisks(tmp_path / "proc").mount("/", 1)
    assert failed.value.reason is Reason.MISSING


@pytest.mark.skipif(not LINUX, reason="/proc")
def test_this_machine_s_figures_are_the_kernel_s(tmp_path):
    def diskstats() -> dict[str, tuple[int, int]]:
        rows = (line.split() for line in Path("/proc/diskstats").read_text().splitlines())
        return {row[2]: (int(row[5]) * 512, int(row[9]) * 512) for row in rows}

    before = diskstats()
    found = read(MachineDisks(), make_config(state_dir=tmp_path))
    after = diskstats()
    (file_system,) = found.file_systems
    assert os.path.ismount(file_system.mountpoint)
    usage = psutil.disk_usage(str(tmp_path))
    assert file_system.size == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert file_system.free == pytest.approx(usage.free, abs=GIB)
    for device in found.devices:
        assert before[device.name][0] <= device.read <= after[device.name][0]
        assert before[device.name][1] <= device.written <= after[device.name][1]


def test_a_mount_begins_where_the_device_changes(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = mountpoint_above(str(tmp_path / "a" / "b"), tmp_path.stat().st_dev)
    assert os.path.ismount(found)
    assert str(tmp_path).startswith(found)


def test_what_people_write_on_a_mac_lies_on_its_data_volume():
    """A folder below /Users is not on the device of /, though nothing is mounted at /Users."""
    devices = {DATA: 16_777_231}
    disks = DarwinDisks(device_of=devices.__getitem__, above=lambda path, device: "/Volumes/Big")
    assert disks.mount("/Users/me/rl-swarm", 16_777_231) == Mount(DATA, "16777231")
    assert disks.mount("/Volumes/Big/x", 16_777_240) == Mount("/Volumes/Big", "16777240")


def test_a_mac_without_a_data_volume_has_folders_that_tell():
    def missing(path: str) -> int:
        raise FileNotFoundError(path)

    disks = DarwinDisks(device_of=missing, above=lambda path, device: "/")
    assert disks.mount("/Users/me", 1).mountpoint == "/"


def test_a_mac_s_disks_are_whole_ones_in_order_and_not_too_many():
    told = {f"disk{number}": (number, 2 * number) for number in range(30, -1, -1)}
    disks = DarwinDisks(ask=lambda: {**told, "disk3s1": (9, 9), "other": (9, 9)})
    found = disks.devices([])
    assert list(found) == [f"disk{number}" for number in range(16)]
    assert found["disk2"] == (2, 4)


def test_a_mac_that_tells_no_disk_is_a_failure():
    def fails() -> dict[str, tuple[int, int]]:
        raise RuntimeError("unable to get the list of disks")

    with pytest.raises(SourceError) as failed:
        DarwinDisks(ask=fails).devices([])
    assert failed.value.reason is Reason.UNREADABLE


def test_psutil_s_disks_are_taken_as_bytes(monkeypatch):
    def counters(perdisk, nowrap):
        assert perdisk
        return {"disk0": SimpleNamespace(read_bytes=5, write_bytes=6, read_count=1)}

    monkeypatch.setattr(psutil, "disk_io_counters", counters)
    assert read_and_written() == {"disk0": (5, 6)}
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: None)
    assert read_and_written() == {}
