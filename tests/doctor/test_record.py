from __future__ import annotations

import ctypes
import json
import os
import stat
import struct
import sys
import tarfile
import threading

import pytest

from darwin_libc import FakeLibc, Process
from swarm_exporter.doctor.record import Recording, refuse_target, write_recording
from swarm_exporter.doctor.scrub import Secrets
from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.tool import ToolRun, run_tool, watching_tools
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

NOTHING = Secrets()


def tool(folder, name: str, script: str):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def calls(recording: Recording, known: Secrets = NOTHING) -> list[dict]:
    return [
        json.loads(line) for line in recording.scrubbed(known)["library-calls.jsonl"].splitlines()
    ]


def test_every_run_of_a_program_is_kept_as_it_was(tmp_path):
    path = tool(tmp_path, "ioreg", "printf 'a\\tb'; echo oops >&2; exit ${1:-0}")
    recording = Recording()
    with recording.watching():
        assert run_tool([path], 5) == b"a\tb"
        with pytest.raises(SourceError):
            run_tool([path, "3"], 5)
    run_tool([path], 5)  # Nobody watches any more.
    files = recording.scrubbed(Secrets())
    assert sorted(files) == [
        f"tool-ioreg-{n}.{end}" for n in (1, 2) for end in ("json", "stderr", "stdout")
    ]
    assert files["tool-ioreg-1.stdout"] == b"a\tb"
    assert files["tool-ioreg-2.stderr"] == b"oops\n"
    about = json.loads(files["tool-ioreg-2.json"])
    assert about["exit_code"] == 3
    assert about["command"][1:] == ["3"]
    assert 0 < about["seconds"] < 5


def test_what_a_program_printed_before_it_was_killed_is_kept(tmp_path):
    path = tool(tmp_path, "slow", "echo begun; exec sleep 60")
    seen: list[ToolRun] = []
    with watching_tools(seen.append), pytest.raises(SourceError) as caught:
        run_tool([path], 0.5)
    assert caught.value.reason is Reason.TIMEOUT
    assert [(run.stdout, run.code) for run in seen] == [(b"begun\n", None)]


def test_a_program_that_is_not_there_is_kept_as_well(tmp_path):
    recording = Recording()
    with recording.watching(), pytest.raises(SourceError):
        run_tool([str(tmp_path / "gone")], 5)
    assert json.loads(recording.scrubbed(Secrets())["tool-gone-1.json"])["exit_code"] is None


def test_calls_of_the_c_library_are_kept_with_the_bytes_of_their_structures():
    me = os.getpid()
    own = {"phys_footprint": 5000, "graphics_footprint": 7, "cpu_time": 3}
    libc = FakeLibc(
        {me: Process(own, user_time=24, phys_footprint=5000)},
        sysctls={b"hw.tbfrequency": struct.pack("<Q", 24_000_000), b"kern.uuid": b"SECRETSECRET\0"},
        thermal=2,
    )
    recording = Recording()
    with recording.watching():
        darwin = Darwin(libc)
        assert darwin.trusts_ledger()
        assert darwin.ledger(me) == own
        assert darwin.thermal_pressure() == 2
        assert darwin.sysctl("kern.uuid") == b"SECRETSECRET\0"
        with pytest.raises(ProcessLookupError):
            darwin.rusage(me + 1)
    assert Darwin(libc).ledger(me) == own  # Unwatched again, and it works as before.
    kept = calls(recording)
    by_name = {call["function"]: call for call in kept}
    ledger = next(c for c in kept if c["function"] == "ledger" and c["arguments"][0] == 1)
    rows = bytes.fromhex(ledger["arguments"][2]["bytes"])
    assert len(rows) == 3 * 48
    assert [struct.unpack_from("<q", rows, at)[0] for at in (0, 48, 96)] == [3, 5000, 7]
    assert bytes.fromhex(ledger["arguments"][3]["bytes"]) == struct.pack("<i", 3)
    names = next(c for c in kept if c["function"] == "ledger" and c["arguments"][0] == 2)
    assert bytes.fromhex(names["arguments"][1]["bytes"])[:9] == b"cpu_time\0"
    usage = next(c for c in kept if c["function"] == "proc_pid_rusage" and not c["result"])
    image = bytes.fromhex(usage["arguments"][2]["bytes"])
    assert (len(image), image[:16]) == (464, bytes(16))
    assert struct.unpack_from("<Q", image, 72)[0] == 5000
    failed = next(c for c in kept if c["function"] == "proc_pid_rusage" and c["result"])
    assert (failed["result"], failed["errno"]) == (-1, 3)
    assert by_name["notify_get_state"]["arguments"][0] == 31
    assert bytes.fromhex(by_name["notify_get_state"]["arguments"][1]["bytes"]) == struct.pack(
        "<Q", 2
    )
    assert by_name["sysctlbyname"]["arguments"][0] == "kern.uuid"
    assert b"SECRET" not in bytes.fromhex(by_name["sysctlbyname"]["arguments"][1]["bytes"])


def test_a_library_without_the_function_lacks_it_when_watched_too():
    recording = Recording()
    with recording.watching():
        assert not Darwin(FakeLibc(ledger=False)).trusts_ledger()


def test_a_real_c_library_answers_as_before_and_keeps_its_errno():
    class Utsname(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_char * 2048)]

    recording = Recording()
    library = recording.watched(ctypes.CDLL(None, use_errno=True))
    library.close.argtypes = [ctypes.c_int]
    assert library.close.argtypes == [ctypes.c_int]
    assert library.close(-1) == -1
    assert ctypes.get_errno() == 9
    name = Utsname()
    assert library.uname(ctypes.byref(name)) == 0
    release = os.uname().release
    first, second = calls(recording, Secrets(words=(release,)))
    assert (first["function"], first["arguments"], first["errno"]) == ("close", [-1], 9)
    image = bytes.fromhex(second["arguments"][0]["bytes"])
    assert image.startswith(os.uname().sysname.encode())
    assert len(image) == 2048
    assert release.encode() not in image


def test_canaries_do_not_leave_in_whatever_file_they_came():
    recording = Recording()
    recording.add("a.plist", b"<key>IOPlatformSerialNumber</key><string>C02ZQ1CANARY</string>")
    recording.add("b", b"C02ZQ1CANARY alice /Users/alice/x at alices-mini.local /srv/alice-farm/1")
    recording.add("proc/alice/stat", b"12 (alice) S 1\n")
    recording.add_run(ToolRun(("/Users/alice/bin/macmon",), b"", b"alice: no\n", 1, 0.1))
    known = Secrets(words=("alice", "alices-mini.local"), texts=("/srv/alice-farm/1",))
    files = recording.scrubbed(known)
    everything = b"".join([*files.values(), *(name.encode() for name in files)])
    for canary in (b"C02ZQ1", b"alice", b"farm"):
        assert canary not in everything
    assert "a.plist" in files


def test_a_name_that_leads_out_of_the_folder_is_refused():
    for name in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(ValueError, match="no name"):
            Recording().add(name, b"")


def test_a_late_thread_adds_without_harm():
    recording = Recording()
    threads = [
        threading.Thread(target=recording.add_run, args=(ToolRun(("/t",), b"x", b"", 0, 0.1),))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recording.scrubbed(Secrets())) == 60


def test_a_folder_is_written_for_its_owner_alone(tmp_path):
    target = tmp_path / "new" / "rec"
    refuse_target(target)
    old = os.umask(0)
    try:
        write_recording(target, {"a": b"1", "proc/12/stat": b"2"})
    finally:
        os.umask(old)
    assert (target / "proc" / "12" / "stat").read_bytes() == b"2"
    for path in (target, target / "proc", target / "proc" / "12"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o600


def test_an_archive_tells_nothing_of_its_owner(tmp_path):
    target = tmp_path / "mine.tar.gz"
    refuse_target(target)
    write_recording(target, {"a": b"1", "proc/stat": b"2"})
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["mine/a", "mine/proc/stat"]
        assert {(m.uid, m.uname, m.mode, m.mtime) for m in archive} == {(0, "", 0o600, 0)}
        assert archive.extractfile("mine/proc/stat").read() == b"2"


def test_what_is_there_already_is_left_alone(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "a.tgz").touch()
    (tmp_path / "empty").mkdir()
    refuse_target(tmp_path / "empty")
    for name, words in (
        ("full", "is not empty"),
        ("file", "is a file"),
        ("a.tgz", "exists already"),
        ("no/b.tar.gz", "is no folder"),
    ):
        with pytest.raises(FlagError, match=words):
            refuse_target(tmp_path / name)


def test_a_target_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SwarmExporterError, match="cannot be written"):
        write_recording(tmp_path / "file" / "rec", {"a": b""})


def test_nothing_of_a_hidden_environment_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "canarycanary")
    path = tool(tmp_path, "env", f"exec {sys.executable} -c 'import os; print(sorted(os.environ))'")
    recording = Recording()
    with recording.watching():
        run_tool([path], 20)
    assert b"canary" not in b"".join(recording.scrubbed(Secrets()).values())
