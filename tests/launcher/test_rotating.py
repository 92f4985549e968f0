from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_exporter.launcher.rotating import RotatingLog


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=60), st.integers(1, 4))
def test_the_files_are_few_and_bounded_and_hold_the_end_of_what_was_written(
    tmp_path_factory, pieces, files
):
    path = tmp_path_factory.mktemp("log") / "console.log"
    log = RotatingLog(path, 100, files)
    for piece in pieces:
        log.write(piece)
    log.close()
    found = sorted(path.parent.iterdir(), reverse=True)
    assert len(found) <= files
    assert all(file.stat().st_size < 150 for file in found)
    kept = b"".join(file.read_bytes() for file in found)
    assert b"".join(pieces).endswith(kept)
    assert len(kept) >= min(len(b"".join(pieces)), 1) * bool(pieces)


def test_a_run_goes_on_where_the_one_before_ended(tmp_path):
    path = tmp_path / "logs" / "console.log"
    for word in (b"one\n", b"two\n"):
        log = RotatingLog(path, 100, 2)
        log.write(word)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_what_a_full_disk_took_is_said_once_there_is_room(tmp_path):
    path = tmp_path / "console.log"
    path.symlink_to("/dev/full")
    log = RotatingLog(path, 100, 2)
    log.write(b"12345")
    log.write(b"678")
    assert log.dropped == 8
    path.unlink()
    log.write(b"back\n")
    log.close()
    assert path.read_bytes() == b"\n[8 bytes were lost: the disk did not take them]\nback\n"


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    path = tmp_path / "logs" / "console.log"
    log = RotatingLog(path, 10, 2)
    log.write(b"0123456789")
    path.unlink()
    path.parent.rmdir()
    log.write(b"again")
    log.close()
    assert path.read_bytes() == b"again"
