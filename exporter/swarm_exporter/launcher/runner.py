"""`python -m swarm_exporter.launcher.runner FOLDER`: one node's parent, from start to end.

It starts the command in a session of its own, answers its questions, keeps its output, and ends
all of it when told to. It holds a lock while it lives, so no second copy of the node can start; a
runner that finds the lock held stands in for the holder: it ends when that one ends, and hands on
a request to stop. So nodes outlive a supervisord that was killed.

Standard library alone, and little of it: one of these runs beside every node.
Facts: RL Swarm's run script (v0.3.1 to v0.7) reads its answers from the terminal, ends when its
input ends, deletes the login data at its end, kills its own process group, and exits 0 after a
crash; tests/data/standin does the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import FrameType
from typing import Any

from swarm_exporter.launcher.login import restore_login, save_login
from swarm_exporter.launcher.marker import MARKER
from swarm_exporter.launcher.private_files import write_private
from swarm_exporter.launcher.rotating import RotatingLog

#: Colours and cursor movements (ECMA-48).
_TERMINAL_CODE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
#: How a question ends that waits for an answer.
_QUESTION = re.compile(r"[?:>\])]\s*$")
#: A prompt that is asked again and again does not take its answer.
_MOST_ANSWERS = 5
#: A pipe holds less than that; what goes on printing after the end is not waited for.
_MOST_LAST_READS = 64
_PR_SET_CHILD_SUBREAPER = 36


class Runner:
    """One run of one node."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        """Prepare; the caller holds the node's lock."""
        self._folder = folder
        self._spec = spec
        self._log = RotatingLog(Path(spec["console"]), spec["log_size"], spec["log_files"])
        self._prompts = [
            (prompt["name"], re.compile(prompt["pattern"]), prompt["answer"])
            for prompt in spec["prompts"]
        ]
        self._answers: dict[str, int] = {}
        #: Where the logs of this run begin: inode and offset by path.
        self._positions: dict[str, tuple[int, int]] = {}
        #: What the command printed since its last whole line, without colours.
        self._partial = ""
        #: That was drawn over what stood in the line: a progress bar, which may end in `]`.
        self._redrawn = False
        self._question = ""
        self._quiet_since = time.monotonic()
        self._pid = 0
        self._started = 0.0
        self._status: int | None = None
        self._asked = False
        self._deadline: float | None = None
        self._sweep: subprocess.Popen[bytes] | None = None
        self._swept: dict[str, Any] = {}
        self._terminal = -1
        self._output = -1
        # Signals wake the select below.
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _on_request(_noted)
        signal.signal(signal.SIGCHLD, _noted)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> int:
        """Run the node to its end, and return an exit code: 0 where it was told to stop."""
        self._end_remains()
        self._guard(restore_login, "put back")
        try:
            self._start()
        except OSError as error:
            what = error.strerror or type(error).__name__
            problem = f"{error.filename or self._spec['command'][0]}: {what}"
            self._say(f"cannot be started: {problem}")
            self._write_exit(error=problem)
            return 127
        self._write_run()
        while self._sweep is None or self._sweep.returncode is None:
            self._wait()
            if self._sweep is None and self._is_over():
                self._begin_sweep()
        self._drain()
        self._guard(restore_login, "put back")
        code, number = self._outcome()
        self._say(f"ended by signal {number}" if number else f"ended with exit code {code}")
        self._write_exit(code=code, signal=number)
        self._log.close()
        return 0 if self._asked else code or (128 + number if number else 1)

    # --- start ---------------------------------------------------------------------------------

    def _end_remains(self) -> None:
        """End what an earlier run left, where that run had no chance to do so itself."""
        run, end = _read(self._folder / "run.json"), _read(self._folder / "exit.json")
        if run is not None and (end is None or end.get("started") != run.get("started")):
            self._say("an earlier run was cut off; ending what is left of it")
            subprocess.run(  # noqa: S603 - our own program
                self._sweep_command(self._spec["stop_grace"], []), check=False, capture_output=True
            )
        for name in ("run.json", "exit.json"):
            (self._folder / name).unlink(missing_ok=True)

    def _start(self) -> None:
        os.makedirs(self._spec["logs"], mode=0o700, exist_ok=True)  # noqa: PTH103
        for key in ("console", "ready_log", "submit_log"):
            with contextlib.suppress(OSError):
                found = os.stat(self._spec[key])  # noqa: PTH116 - keep pathlib out of the way
                self._positions[self._spec[key]] = (found.st_ino, found.st_size)
        _adopt_orphans()
        # The questions come only where the input is a terminal (bash: read -p).
        self._terminal, terminal = os.openpty()
        _hide_answers(terminal)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        try:
            process = subprocess.Popen(  # noqa: S603 - the person's own command
                self._spec["command"],
                cwd=self._spec["folder"],
                env=_environment(self._spec),
                stdin=terminal,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=self._spec["umask"],
            )
        finally:
            os.close(terminal)
            os.close(output)
        self._pid = process.pid
        # It is waited for below, together with adopted orphans.
        process.returncode = 0
        self._started = time.time()
        self._say(f"started as process {self._pid}")

    # --- while it runs -------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for output, a signal, or the next deadline, and deal with it."""
        watched = [self._wake] + ([self._output] if self._output >= 0 else [])
        readable, _, _ = select.select(watched, [], [], self._timeout())
        if self._output in readable:
            self._read_output()
        if self._wake in readable:
            for number in os.read(self._wake, 4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop()
            self._reap()
        self._notice_question()

    def _timeout(self) -> float | None:
        now = time.monotonic()
        due = []
        if self._deadline is not None and self._sweep is None:
            due.append(self._deadline)
        if self._looks_like_a_question():
            due.append(self._quiet_since + self._spec["question_after"])
        return max(min(due) - now, 0.0) if due else None

    def _read_output(self) -> None:
        try:
            data = os.read(self._output, 65_536)
        except BlockingIOError:
            return
        if not data:
            os.close(self._output)
            self._output = -1
            return
        self._log.write(data)
        self._quiet_since = time.monotonic()
        text = _TERMINAL_CODE.sub(b"", data).decode(errors="replace")
        *_, end, self._partial = ["", *re.split(r"(\r\n|[\r\n])", self._partial + text)]
        self._redrawn = end == "\r" or (not end and self._redrawn)
        self._partial = self._partial[-4096:]
        if self._question:
            self._question = ""
            self._write_run()
        self._answer()

    def _answer(self) -> None:
        for name, pattern, answer in self._prompts:
            if self._partial and pattern.search(self._partial):
                count = self._answers[name] = self._answers.get(name, 0) + 1
                if count > _MOST_ANSWERS:
                    return  # It does not take the answer: that is a question for a person.
                self._partial = ""
                self._log.write(b"\n")
                self._say(f'answered "{name}"')
                # On macOS a terminal that the command has closed refuses it.
                with contextlib.suppress(OSError):
                    os.write(self._terminal, answer.encode() + b"\n")
                return

    def _looks_like_a_question(self) -> bool:
        return (
            not self._question
            and not self._redrawn
            and self._output >= 0
            and self._status is None
            and _QUESTION.search(self._partial) is not None
        )

    def _notice_question(self) -> None:
        quiet = time.monotonic() - self._quiet_since
        if self._looks_like_a_question() and quiet >= self._spec["question_after"]:
            self._question = self._partial.strip()[-200:]
            self._say("waits for an answer that nobody has configured")
            self._write_run()

    # --- end -----------------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._asked:
            return
        self._asked = True
        self._deadline = time.monotonic() + self._spec["stop_grace"]
        # Upstream's script deletes the login data as its last deed.
        self._guard(save_login, "saved")
        if self._status is None:
            self._say("stopping")
            # Not reaped yet, so the group is still ours.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, self._spec["stop_signal"])

    def _is_over(self) -> bool:
        if self._status is not None:
            return True
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _begin_sweep(self) -> None:
        grace = self._spec["stop_grace"]
        if self._deadline is not None:
            grace = max(self._deadline - time.monotonic(), 0.0)
        self._sweep = subprocess.Popen(  # noqa: S603 - our own program
            self._sweep_command(grace, list(self._spec["ports"].values())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _sweep_command(self, grace: float, ports: list[int]) -> list[str]:
        return [
            sys.executable,
            "-m",
            "swarm_exporter.launcher.sweep",
            *("--marker", self._spec["marker"]),
            *("--root", str(os.getpid())),
            *("--grace", str(grace)),
            *(word for port in ports for word in ("--port", str(port))),
        ]

    def _reap(self) -> None:
        """Take the exit status of every child that ended, adopted orphans included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._status = status
            elif self._sweep is not None and pid == self._sweep.pid:
                self._sweep.returncode = os.waitstatus_to_exitcode(status)
                assert self._sweep.stdout is not None  # noqa: S101 - it was given a pipe
                with self._sweep.stdout as result, contextlib.suppress(ValueError):
                    self._swept = json.loads(result.read())

    def _drain(self) -> None:
        """Keep what was printed last. Something that survived may still hold the pipe open."""
        for _ in range(_MOST_LAST_READS):
            if self._output < 0 or not select.select([self._output], [], [], 0)[0]:
                return
            self._read_output()

    def _outcome(self) -> tuple[int, int]:
        """Return the command's exit code, and the signal that ended it, or 0."""
        self._reap()
        if self._status is None:
            return 0, int(signal.SIGKILL)
        code = os.waitstatus_to_exitcode(self._status)
        return (0, -code) if code < 0 else (code, 0)

    # --- what others read ----------------------------------------------------------------------

    def _write_run(self) -> None:
        self._write(
            "run.json",
            runner=os.getpid(),
            pid=self._pid,
            started=self._started,
            question=self._question,
            positions=self._positions,
            marker=self._spec["marker"],
        )

    def _write_exit(self, code: int = 0, signal: int = 0, error: str = "") -> None:
        self._write(
            "exit.json",
            started=self._started,
            ended=time.time(),
            code=code,
            signal=signal,
            asked=self._asked,
            error=error,
            survivors=self._swept.get("survivors", []),
            ports=self._swept.get("ports", {}),
        )

    def _write(self, name: str, **content: Any) -> None:  # noqa: ANN401 - any JSON
        # A full disk must not end a node.
        with contextlib.suppress(OSError):
            write_private(self._folder / name, json.dumps(content).encode(), durable=False)

    def _guard(self, deed: Any, done: str) -> None:  # noqa: ANN401 - one of two functions
        try:
            names = deed(self._spec["login"], self._folder / "login")
        except OSError as error:
            self._say(f"the login data could not be {done}: {error.strerror}")
        else:
            if names:
                self._say(f"login data {done}: {', '.join(names)}")

    def _say(self, what: str) -> None:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        self._log.write(f"[{now}][swarm-exporter][INFO] - {what}\n".encode())


def stand_in(folder: Path, asked: list[int]) -> int:
    """Wait until the runner that holds the node's lock has ended; hand on a request to stop.

    `asked` holds the signals that came already.
    """
    with (folder / "lock").open("a") as lock:
        try:
            _on_request(_interrupt)
            sys.stderr.write("the node runs already: standing in for its runner\n")
            sys.stderr.flush()
            if not asked:
                fcntl.flock(lock, fcntl.LOCK_EX)
        except InterruptedError:
            asked.append(signal.SIGTERM)
        # Once is enough: what follows is not to be interrupted.
        _on_request(signal.SIG_IGN)
        if asked:
            _stop_holder(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            return 0
    end = _read(folder / "exit.json") or {}
    return int(end.get("code") or 0) or (128 + int(end.get("signal") or 0))


def main() -> int:
    """Run the node of a folder, or stand in for the runner that does already."""
    asked: list[int] = []
    _on_request(lambda number, _: asked.append(number))
    folder = Path(sys.argv[1]).resolve()
    spec = json.loads((folder / "spec.json").read_bytes())
    with (folder / "lock").open("a") as lock:
        for _ in range(10):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Who only looks whether it is held holds it for a moment.
                time.sleep(0.05)
            else:
                # From here on it notes signals itself; one that came before is in `asked`.
                runner = Runner(folder, spec)
                return 0 if asked else runner.run()
    return stand_in(folder, asked)


def _on_request(handler: Any) -> None:  # noqa: ANN401 - what signal.signal takes
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Leave a signal to the loop, which its number wakes."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the wait for a lock."""
    raise InterruptedError


def _stop_holder(folder: Path) -> None:
    """Send SIGTERM to the runner that holds the lock, if it is really one of this node's."""
    run = _read(folder / "run.json")
    if run is None:
        return
    # Imported here alone: psutil takes as much memory as all the rest.
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(run["runner"]))
        words = process.cmdline()
        if "swarm_exporter.launcher.runner" in words and folder.name in words[-1]:
            process.terminate()


def _environment(spec: dict[str, Any]) -> dict[str, str]:
    """Return the command's variables: the launcher's own, without what is supervisord's."""
    base: dict[str, str] = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SUPERVISOR_") and name not in spec["unset"]
    }
    own: dict[str, str] = spec["env"]
    return base | own | {MARKER: spec["marker"]}


def _hide_answers(terminal: int) -> None:
    """Switch the terminal's echo off: an answer may be a token."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended (Linux 3.4: prctl(2)).

    Where the system cannot do that they are found by their marker alone.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


if __name__ == "__main__":
    sys.exit(main())
