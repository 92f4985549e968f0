"""A program kept running, with real programs."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import eventually
from swarm_exporter.host.stream import HEALTHY_SECONDS, Lines, LineStream

WAIT_SECONDS = 20


class Pauses:
    """Records how long the stream would wait, and waits until a test lets it go on."""

    def __init__(self) -> None:
        self.asked: queue.Queue[float] = queue.Queue()
        self._go = threading.Semaphore(0)

    def __call__(self, over: threading.Event, seconds: float) -> bool:
        self.asked.put(seconds)
        while not self._go.acquire(timeout=0.01):
            if over.is_set():
                return True
        return over.is_set()

    def next(self) -> float:
        seconds = self.asked.get(timeout=WAIT_SECONDS)
        self._go.release()
        return seconds


class Streamed:
    """A stream of a script, and what came of it."""

    def __init__(self, folder: Path, script: str, **how) -> None:
        self.program = folder / "macmon"
        self.program.write_text(f"#!{sys.executable} -Bu\n{textwrap.dedent(script)}")
        self.program.chmod(0o755)
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self.ends: queue.Queue[str] = queue.Queue()
        self.pauses = Pauses()
        how.setdefault("longest_silence", 600.0)
        self.stream = LineStream(
            (str(self.program), "pipe"),
            take=self.lines.put,
            ended=self.ends.put,
            pause=self.pauses,
            **how,
        )

    def line(self) -> bytes | None:
        return self.lines.get(timeout=WAIT_SECONDS)

    def end(self) -> str:
        return self.ends.get(timeout=WAIT_SECONDS)

    def processes(self) -> list[psutil.Process]:
        return processes_of(self.program)


def processes_of(program: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(program) in (process.info["cmdline"] or ())
    ]


@pytest.fixture
def streamed(tmp_path):
    made = []

    def make(script: str, **how) -> Streamed:
        made.append(Streamed(tmp_path, script, **how))
        made[-1].stream.start()
        return made[-1]

    yield make
    for one in made:
        one.stream.close()
        assert one.processes() == []


def test_each_line_is_given_away_whole(streamed):
    one = streamed(
        """
        import os, sys, time
        print(sys.argv[1:], flush=True)
        os.write(1, b"half a ")
        os.write(1, b"line\\n\\nand one")
        os.write(1, b" without an end")
        time.sleep(600)
        """
    )
    assert [one.line() for _ in range(3)] == [b"['pipe']", b"half a line", b""]
    one.stream.start()  # It runs already.
    assert len(one.processes()) == 1
    one.stream.close()
    assert one.lines.empty()


def test_one_that_dies_is_started_again_after_ever_longer_pauses(streamed):
    one = streamed(
        """
        import sys
        print("Error: \\033[31mFailed to get memory stats", file=sys.stderr)
        sys.exit(2)
        """
    )
    words = "macmon ended with 2: Error: \ufffd[31mFailed to get memory stats"
    delays = []
    for _ in range(8):
        assert one.end() == words
        assert one.processes() == []
        delays.append(one.pauses.next())
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_after_a_healthy_time_the_pauses_begin_anew(streamed, tmp_path):
    now = [0.0]
    one = streamed(
        f"""
        import os, time
        print("up")
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.01)
        os.remove({str(tmp_path / "go")!r})
        """,
        monotonic=lambda: now[0],
    )
    delays = []
    for lived in (0.0, HEALTHY_SECONDS - 1, 0.0, HEALTHY_SECONDS, 0.0):
        assert one.line() == b"up"
        now[0] += lived
        (tmp_path / "go").touch()
        delays.append(one.pauses.next())
    assert delays == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_one_that_cannot_be_started_is_tried_again(streamed, tmp_path):
    one = streamed("print('here')")
    assert one.line() == b"here"
    assert one.end() == "macmon ended with 0"
    one.program.rename(tmp_path / "away")
    one.pauses.next()
    assert one.end() == "macmon cannot be started: no such file or directory"
    (tmp_path / "away").rename(one.program)
    one.pauses.next()
    assert one.line() == b"here"


def test_one_that_hangs_is_ended_and_started_again(streamed):
    one = streamed(
        "import time\nprint('one')\ntime.sleep(600)",
        longest_silence=0.3,
    )
    assert one.line() == b"one"
    assert one.end() == "macmon printed nothing for 0.3 s"
    assert one.processes() == []
    one.pauses.next()
    assert one.line() == b"one"


def test_a_line_without_an_end_is_silence(streamed):
    one = streamed(
        "import time\nwhile True: print('x', end='', flush=True), time.sleep(0.01)",
        longest_silence=0.3,
    )
    assert one.end() == "macmon printed nothing for 0.3 s"
    assert one.lines.empty()


def test_much_on_its_standard_error_does_not_stop_it(streamed):
    one = streamed(
        """
        import sys
        for number in range(20_000):
            print("a warning of many, number", number, file=sys.stderr)
        print("still here")
        sys.exit(3)
        """
    )
    assert one.line() == b"still here"
    end = one.end()
    assert end.startswith("macmon ended with 3: ")
    assert end.endswith("number 19999")
    assert len(end) < 300


def test_one_gone_wild_is_slowed_down(streamed):
    one = streamed("while True: print('x' * 1000)")
    begun = time.monotonic()
    for _ in range(650):
        assert one.line() == b"x" * 1000
    # Ten times 64 KiB, and as many pauses of 20 ms.
    assert time.monotonic() - begun >= 0.15


def test_one_that_closes_its_output_and_lives_is_ended(streamed):
    one = streamed("import os, time\nos.close(1)\ntime.sleep(600)")
    assert one.end() == "macmon ended with -15"


def test_one_that_ignores_the_signal_is_ended_by_force(streamed):
    one = streamed(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf")
        time.sleep(600)
        """
    )
    assert one.line() == b"deaf"
    (process,) = one.processes()
    one.stream.close()
    assert not process.is_running()


def test_closing_ends_the_pause_too_and_it_may_be_started_again(streamed):
    one = streamed("print('once')")
    assert one.line() == b"once"
    one.pauses.asked.get(timeout=WAIT_SECONDS)
    one.stream.close()
    one.stream.close()
    one.stream.start()
    assert one.line() == b"once"


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path):
    program = tmp_path / "macmon"
    program.write_text(
        f"#!{sys.executable} -B\nimport time\nwhile True: print('x', flush=True); time.sleep(0.05)"
    )
    program.chmod(0o755)
    code = f"""
import threading
from swarm_exporter.host.stream import LineStream
stream = LineStream(({str(program)!r},), take=print, ended=print, longest_silence=60)
stream.start()
threading.Event().wait()
"""
    parent = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE)
    try:
        assert parent.stdout.readline() == b"b'x'\n"
        assert len(processes_of(program)) == 1
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        # Its next line finds nobody who reads it.
        eventually(lambda: not processes_of(program), "end of the program")
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


@given(st.lists(st.binary(max_size=12)), st.data())
def test_pieces_of_any_size_make_the_same_lines(lines, data):
    lines = [line.replace(b"\n", b"") for line in lines]
    text = b"".join(line + b"\n" for line in lines) + b"rest"
    cutter = Lines(longest=8)
    found = []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += cutter.feed(text[:size])
        text = text[size:]
    assert found == [line if len(line) <= 8 else None for line in lines]


def test_a_line_that_never_ends_takes_no_memory():
    cutter = Lines(longest=1000)
    for _ in range(1000):
        assert cutter.feed(b"x" * 999) == []
        assert len(cutter._rest) <= 1000
    assert cutter.feed(b"\nok\n") == [None, b"ok"]
