from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_exporter.state import StateError, StateFile


class Account(msgspec.Struct):
    earned: float = 0.0
    scores: dict[str, float] = {}


ACCOUNT = Account(earned=12.5, scores={"QmA": 1.25})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture
def state(path, clock) -> StateFile:
    return StateFile(path, clock)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(tmp_path: Path, account: Account = ACCOUNT) -> bytes:
    """The bytes of a state file with this account in it."""
    path = tmp_path / "written.json"
    StateFile(path).save(account)
    content = path.read_bytes()
    path.unlink()
    return content


def one_sentence(error: pytest.ExceptionInfo[StateError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert ": " in text, "it names the fix"
    assert error.value.__cause__ is None
    return text


def test_what_was_saved_is_loaded(path, state):
    state.save(ACCOUNT)
    assert StateFile(path).load(Account) == ACCOUNT


def test_nothing_is_loaded_where_nothing_was_saved(path, state):
    assert state.load(Account) is None
    assert list(path.parent.iterdir()) == []


def test_the_file_says_what_it_is_and_holds_the_checksum_of_its_exact_payload(path, state, clock):
    state.save(ACCOUNT)
    payload = b'{"earned":12.5,"scores":{"QmA":1.25}}'
    assert payload in path.read_bytes()
    assert json.loads(path.read_bytes()) == {
        "format": "swarm-exporter state",
        "version": 1,
        "saved_at": clock.now,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "payload": json.loads(payload),
    }


def test_the_file_and_the_folders_made_for_it_are_for_their_owner_alone(tmp_path):
    path = tmp_path / "a" / "b" / "c" / "state.json"
    StateFile(path).save(ACCOUNT)
    assert mode(path) == 0o600
    assert [mode(folder) for folder in path.parents[:3]] == [0o700] * 3


def test_an_existing_folder_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    StateFile(tmp_path / "state.json").save(ACCOUNT)
    assert mode(tmp_path) == 0o755


def test_the_same_content_is_not_written_again(path, state):
    state.save(ACCOUNT)
    first = path.stat()
    state.save(ACCOUNT)
    again = StateFile(path)
    again.save(again.load(Account))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    state.save(Account(earned=13.0))
    assert StateFile(path).load(Account) == Account(earned=13.0)


def test_what_a_killed_process_left_behind_is_replaced_and_not_followed(path, state):
    treasure = path.parent / "treasure"
    treasure.write_text("mine")
    path.with_name("state.json.new").symlink_to(treasure)
    state.save(ACCOUNT)
    assert treasure.read_text() == "mine"
    assert sorted(p.name for p in path.parent.iterdir()) == ["state.json", "treasure"]


def envelope(**changed) -> bytes:
    payload = msgspec.Raw(b'{"earned":12.5}')
    fields = {
        "format": "swarm-exporter state",
        "version": 1,
        "saved_at": 0.0,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "payload": payload,
    }
    return msgspec.json.encode({**fields, **changed})


WRONG_TYPE = msgspec.Raw(b'{"earned":"much"}')
DAMAGES = {
    "empty": (b"", "cannot be understood"),
    "torn": (envelope()[:-20], "cannot be understood"),
    "zeros, as after a power cut": (bytes(300), "cannot be understood"),
    "bytes after the end": (envelope() + b"}", "cannot be understood"),
    "another program's JSON": (b'{"accounts": []}', "cannot be understood"),
    "not an object": (b"[]", "cannot be understood"),
    "no JSON": (b"\x7fELF\x02\x01\x01", "cannot be understood"),
    "not UTF-8": (b'{"format":"\xff\xfe"}', "cannot be understood (UnicodeDecodeError)"),
    "bottomless": (b"[" * 200_000, "cannot be understood"),
    "bottomless payload": (envelope(payload=msgspec.Raw(b"[" * 200_000)), "cannot be understood"),
    "another format": (envelope(format="node state"), "is not one of swarm-exporter"),
    "a newer version": (envelope(version=2), "is of format version 2, this program knows 1"),
    "a wrong checksum": (envelope(sha256="0" * 64), "does not match its checksum"),
    "a changed payload": (
        envelope().replace(b"12.5", b"99.5"),
        "does not match its checksum",
    ),
    "a wrong type": (
        envelope(payload=WRONG_TYPE, sha256=hashlib.sha256(WRONG_TYPE).hexdigest()),
        "cannot be understood (Expected `float`, got `str` - at `$.earned`)",
    ),
    "too large": (bytes(64 * 1024 * 1024 + 1), "is too large to be one"),
}


@pytest.mark.parametrize(("content", "wrong"), DAMAGES.values(), ids=DAMAGES)
def test_a_file_not_to_be_trusted_is_set_aside_and_said(path, state, clock, caplog, content, wrong):
    clock.now = 1_767_323_045.9
    path.write_bytes(content)
    assert state.load(Account) is None
    aside = path.with_name("state.json.damaged-20260102T030405Z")
    assert not path.exists()
    assert aside.read_bytes() == content
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"the state file {path} {wrong}" in record.getMessage()
    assert record.getMessage().endswith(f"it is kept as {aside}, and counting starts anew")
    assert len(record.getMessage()) < 400
    state.save(ACCOUNT)
    assert StateFile(path).load(Account) == ACCOUNT


def test_a_torn_file_is_found_out_wherever_it_is_torn(path, state):
    whole = envelope()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert state.load(Account) is None
    assert len(list(path.parent.iterdir())) == len(whole), "each is kept"


def test_an_earlier_damaged_file_is_never_overwritten(path, state):
    for number in range(3):
        path.write_bytes(b"damage %d" % number)
        assert state.load(Account) is None
    kept = sorted(path.parent.iterdir(), key=lambda p: len(p.name))
    assert kept[1].name == kept[0].name + "-2"
    assert {p.read_bytes() for p in kept} == {b"damage 0", b"damage 1", b"damage 2"}


@given(
    st.floats(0, 1e9),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_no_change_of_bytes_gives_anything_that_was_not_saved(tmp_path_factory, earned, mutations):
    folder = tmp_path_factory.mktemp("state")
    account = Account(earned=earned)
    content = bytearray(written(folder, account))
    for place, byte in mutations:
        content[place % len(content)] = byte
    path = folder / "state.json"
    path.write_bytes(content)
    assert StateFile(path).load(Account) in (account, None)
    assert [p.read_bytes() for p in folder.iterdir()] == [bytes(content)]


def test_a_file_that_cannot_be_read_is_said_in_one_sentence_and_left_alone(path, state):
    path.symlink_to(path)
    with pytest.raises(StateError, match="cannot read the state file") as error:
        state.load(Account)
    assert str(path) in one_sentence(error)
    assert path.is_symlink()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a FIFO"])
def test_what_is_no_file_is_neither_read_nor_moved(path, state, make):
    make(path)
    with pytest.raises(StateError, match="is not a file: move it away") as error:
        state.load(Account)
    assert str(path) in one_sentence(error)
    assert path.exists()


def test_a_damaged_file_that_cannot_be_renamed_is_said(tmp_path):
    # The new name would be longer than a name may be.
    path = tmp_path / ("s" * 250)
    path.write_bytes(b"damage")
    with pytest.raises(StateError, match="cannot rename the damaged state file") as error:
        StateFile(path).load(Account)
    one_sentence(error)
    assert path.read_bytes() == b"damage"


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files beyond `size` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(lambda: largest_file(100), "file too large"), (full_disk, "no space left on device")],
    ids=["refused by the kernel", "full at the sync"],
)
def test_a_save_that_fails_leaves_the_old_file_whole(path, state, fault, cause):
    state.save(ACCOUNT)
    before = path.read_bytes()
    with fault(), pytest.raises(StateError, match="cannot save the state to") as error:
        state.save(Account(earned=99.0))
    assert cause in one_sentence(error)
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    state.save(Account(earned=99.0))
    assert StateFile(path).load(Account) == Account(earned=99.0)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    state = StateFile(tmp_path / "file" / "state.json")
    with pytest.raises(StateError, match="cannot save the state to") as error:
        state.save(ACCOUNT)
    assert "--state-dir" in one_sentence(error)
    with pytest.raises(StateError, match="cannot lock") as error:
        state.lock()
    assert "--state-dir" in one_sentence(error)


HOLDER = """
import sys
from pathlib import Path
from swarm_exporter.state import StateFile
StateFile(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def child(program: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_second_exporter_is_told_who_has_the_file(path, state):
    with child(HOLDER, path) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(StateError, match="is in use by another exporter") as error:
            state.lock()
        text = one_sentence(error)
        assert str(path) in text
        assert f"(process {holder.pid})" in text
        assert "--state-dir" in text
        holder.kill()
        holder.wait()
        state.lock()
    lock_file = path.with_name("state.json.lock")
    assert lock_file.read_text() == f"{os.getpid()}\n"
    assert mode(lock_file) == 0o600


def test_a_lock_file_without_a_number_in_it_does_not_mislead(path, state):
    with child(HOLDER, path) as holder:
        holder.stdout.readline()
        path.with_name("state.json.lock").write_text("evil\x1b[31m")
        with pytest.raises(StateError, match="its process is not known"):
            state.lock()


def test_the_lock_file_names_its_newest_holder_alone(path, state):
    lock_file = path.with_name("state.json.lock")
    lock_file.write_text("12345678901234567890\n")
    state.lock()
    assert lock_file.read_text() == f"{os.getpid()}\n"


def test_the_lock_makes_its_folder_and_does_not_hinder_its_owner(tmp_path):
    state = StateFile(tmp_path / "new" / "state.json")
    state.lock()
    state.save(ACCOUNT)
    assert state.load(Account) == ACCOUNT
    assert mode(tmp_path / "new") == 0o700


WRITER = """
import sys
from pathlib import Path
from swarm_exporter.state import StateFile
state = StateFile(Path(sys.argv[1]))
number = state.load(dict).get("number", 0)
while True:
    number += 1
    state.save({"number": number, "weight": "x" * (number * 7919 % 60_000)})
    print(number, flush=True)
"""


def test_a_process_killed_at_any_moment_leaves_its_last_or_next_payload_whole(path, state):
    chance = random.Random(20260102)  # noqa: S311
    state.save({"number": 0})
    for _ in range(40):
        with child(WRITER, path) as writer:
            said = [writer.stdout.readline() for _ in range(chance.randrange(1, 6))]
            # The child goes on saving meanwhile: the kill meets it anywhere.
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(chance.uniform(0, 0.005))
            writer.kill()
            said += writer.stdout.readlines()
        loaded = StateFile(path).load(dict)
        assert loaded["number"] - int(said[-1]) in (0, 1)
        assert loaded["weight"] == "x" * (loaded["number"] * 7919 % 60_000)
    assert {p.name for p in path.parent.iterdir()} <= {"state.json", "state.json.new"}
