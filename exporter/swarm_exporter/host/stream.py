"""A program of the system that prints a line whenever it has something new, kept running.

One thread reads it, starts it again and ends it, so there is never a second one. Where this process
is killed outright, the program ends at its next line: nobody reads the pipe any more.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

#: A program that ends is started again after so long, doubled each time; seconds.
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
#: One that has run for so long was well: the delay begins anew.
HEALTHY_SECONDS = 60.0
#: A longer line is none of the program's usual ones and is dropped whole, bytes.
LONGEST_LINE = 64 * 1024
#: How long it may take to end after SIGTERM, seconds.
_GRACE = 2.0
#: Of what it says on its standard error the last so many characters are kept.
_LAST_WORDS = 200
#: So much is read at once, and then so long nothing: a program gone wild is slowed down by its full
#: pipe and cannot take a core of ours.
_CHUNK_BYTES = 64 * 1024
_PAUSE_SECONDS = 0.02


class Lines:
    """Cuts what comes in pieces into whole lines."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        """Drop lines of more than `longest` bytes."""
        self._longest = longest
        self._rest = b""
        self._is_too_long = False

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the lines that `piece` ends, without their ends; None for one that is dropped."""
        *ended, rest = piece.split(b"\n")
        lines: list[bytes | None] = []
        for part in ended:
            self._add(part)
            lines.append(None if self._is_too_long else self._rest)
            self._rest, self._is_too_long = b"", False
        self._add(rest)
        return lines

    def _add(self, part: bytes) -> None:
        self._is_too_long |= len(self._rest) + len(part) > self._longest
        self._rest = b"" if self._is_too_long else self._rest + part


class LineStream:
    """Runs one program and gives away its lines, in a thread of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        take: Callable[[bytes | None], None],
        ended: Callable[[str], None],
        longest_silence: float,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        """Prepare; nothing runs before `start`.

        `take` gets each line, or None for one that was too long; `ended` gets, in words, how the
        program has ended. A program that prints no whole line for `longest_silence` seconds is
        ended. `pause` waits for the event or for so many seconds, and tells whether the event is
        set.
        """
        self._command = tuple(command)
        self._name = os.path.basename(command[0])  # noqa: PTH119 - text, no file
        self._take = take
        self._ended = ended
        self._longest_silence = longest_silence
        self._monotonic = monotonic
        self._pause = pause
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def start(self) -> None:
        """Let the program run from now on; nothing where it does already."""
        with self._lock:
            if self._run is None:
                self._run = _Run(self._keep_running)

    def close(self) -> None:
        """End the program, by force where it does not end; it may be started again."""
        with self._lock:
            if self._run is not None:
                self._run.end()
                self._run = None

    def _keep_running(self, over: threading.Event, wake: int) -> None:
        delay = FIRST_DELAY
        while True:
            started = self._monotonic()
            how = self._run_once(over, wake)
            if over.is_set():
                return
            self._ended(how)
            if self._monotonic() - started >= HEALTHY_SECONDS:
                delay = FIRST_DELAY
            if self._pause(over, delay):
                return
            delay = min(2 * delay, LONGEST_DELAY)

    def _run_once(self, over: threading.Event, wake: int) -> str:
        """Run the program until it ends or is ended; return how that was, in words."""
        try:
            process = subprocess.Popen(  # noqa: S603 - a path of the collector's own choice
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
            )
        except OSError as error:
            return f"{self._name} cannot be started: {(error.strerror or '').lower()}"
        assert process.stdout is not None  # noqa: S101 - for the type checker
        assert process.stderr is not None  # noqa: S101
        words = _LastWords()
        with process.stdout as output, process.stderr as errors:
            try:
                how = self._read(output, errors, words, over, wake)
                if not how and not over.is_set():
                    # It closes its output a moment before it has ended.
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_GRACE)
            finally:
                _end(process)
            words.add_rest(errors)
        how = how or f"{self._name} ended with {process.returncode}"
        said = words.text()
        return f"{how}: {said}" if said else how

    def _read(
        self,
        output: IO[bytes],
        errors: IO[bytes],
        words: _LastWords,
        over: threading.Event,
        wake: int,
    ) -> str:
        """Give lines away until there are no more; return why the program is to be ended."""
        lines = Lines()
        heard = self._monotonic()
        with selectors.DefaultSelector() as selector:
            for pipe in (wake, output, errors):
                selector.register(pipe, selectors.EVENT_READ)
            while not over.is_set():
                left = heard + self._longest_silence - self._monotonic()
                if left <= 0:
                    return f"{self._name} printed nothing for {self._longest_silence:g} s"
                ready = {key.fileobj for key, _ in selector.select(left)}
                if errors in ready and not words.add(os.read(errors.fileno(), _CHUNK_BYTES)):
                    selector.unregister(errors)
                if output in ready:
                    piece = os.read(output.fileno(), _CHUNK_BYTES)
                    if not piece:
                        return ""
                    for line in lines.feed(piece):
                        heard = self._monotonic()
                        self._take(line)
                over.wait(_PAUSE_SECONDS)
        return ""


class _Run:
    """The thread, and how it is told to end."""

    def __init__(self, work: Callable[[threading.Event, int], None]) -> None:
        self._over = threading.Event()
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(
            target=work, args=(self._over, self._wake), name="stream", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Wait until the program has ended."""
        self._over.set()
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)


class _LastWords:
    """The end of what a program says on its standard error."""

    def __init__(self) -> None:
        self._tail = b""

    def add(self, piece: bytes) -> bool:
        """Take in one piece; tell whether there may be more after it."""
        self._tail = (self._tail + piece)[-4 * _LAST_WORDS :]
        return bool(piece)

    def add_rest(self, errors: IO[bytes]) -> None:
        """Take in what is left, without waiting for others who hold the pipe."""
        os.set_blocking(errors.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            self.add(os.read(errors.fileno(), _CHUNK_BYTES))

    def text(self) -> str:
        """Return it as one line that can be shown."""
        text = " ".join(self._tail.decode("utf-8", "replace").split())
        return "".join(c if c.isprintable() else "\ufffd" for c in text[-_LAST_WORDS:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program, by force where it does not end by itself."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
