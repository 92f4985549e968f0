from __future__ import annotations

import os
import stat

import pytest

from swarm_exporter.launcher.private_files import read_bounded, write_private


@pytest.fixture(params=[0o000, 0o022, 0o777])
def any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_do_not_depend_on_the_umask(tmp_path, any_umask):
    write_private(tmp_path / "a", b"x", 0o400)
    write_private(tmp_path / "b", b"x")
    assert mode(tmp_path / "a") == 0o400
    assert mode(tmp_path / "b") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_nobody_else_can_read_it_at_any_moment(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    seen = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            seen.append((stat.S_IMODE(found.st_mode), (tmp_path / "a").read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_private(tmp_path / "a", b"new")
    assert seen == [(0o600, b"old")], "the old content stands there until the new one is whole"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_existing_file_is_not_replaced_unless_told(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("a", "link"):
        with pytest.raises(FileExistsError):
            write_private(tmp_path / name, b"new", replace=False)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2
    write_private(tmp_path / "b", b"new", replace=False)
    assert (tmp_path / "b").read_bytes() == b"new"
    assert (tmp_path / "b").stat().st_nlink == 1


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def refuse(source: object, target: object, **how: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_private(tmp_path / "a", b"new", replace=False)
    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "a", b"newer", replace=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_missing_folders_are_private(tmp_path):
    write_private(tmp_path / "a" / "b" / "c", b"")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_what_is_no_plain_file_of_a_sensible_size_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"12345")
    for name, problem in (("fifo", "not a regular"), (".", "directory"), ("large", "larger")):
        with pytest.raises(OSError, match=problem):
            read_bounded(tmp_path / name, 4)
    assert read_bounded(tmp_path / "large", 5) == b"12345"
    assert read_bounded(tmp_path / "none", 5) is None
    assert read_bounded(tmp_path / "large" / "below", 5) is None
