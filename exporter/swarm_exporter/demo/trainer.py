"""`python -m swarm_exporter.demo.trainer`: a process that is one node of the simulated swarm.

It joins the swarm's control port (swarm_exporter.demo.control) and prints what RL Swarm v0.6's
trainer would. The standard library alone: many of these run beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from swarm_exporter.errors import SwarmExporterError

_Say = Callable[[str], None]

#: Time between two attempts to reach a swarm that is not there.
_RETRY_SECONDS = 0.2
#: Upstream looks for the next round after so long, then after twice as long, up to the longest.
_FIRST_CHECK_SECONDS = 5.0
_LONGEST_CHECK_SECONDS = 900.0
_LONGEST_LINE_BYTES = 65_536


class TrainerError(SwarmExporterError):
    """The trainer cannot take part; the text is one sentence that names the fix."""


class _Swarm:
    """A connection to the swarm's control port; `with` ends it."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        """Connect within `timeout` seconds. Raises OSError."""
        self._name = "{}:{}".format(*address)
        self._socket = socket.create_connection(address, timeout)
        self._received = b""

    def __enter__(self) -> _Swarm:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def join(self, node: int, timeout: float) -> dict[str, Any]:
        """Take part as node number `node`; return what the swarm tells of it.

        Raises OSError where the swarm goes or stays silent, TrainerError where it refuses.
        """
        self._socket.sendall(f"join {node}\n".encode())
        answer = self.next_event(timeout)
        if answer is None:
            raise TimeoutError
        if answer.get("event") == "refused":
            raise TrainerError(f"the simulated swarm refuses: {answer.get('reason')}")
        if answer.get("event") != "joined":
            raise self._foreign()
        return answer

    def next_event(self, timeout: float | None) -> dict[str, Any] | None:
        """Return what happens next, or None where nothing did for `timeout` seconds.

        Raises OSError where the connection ends.
        """
        self._socket.settimeout(timeout)
        while b"\n" not in self._received:
            if len(self._received) > _LONGEST_LINE_BYTES:
                raise self._foreign()
            try:
                more = self._socket.recv(4096)
            except TimeoutError:
                return None
            if not more:
                raise ConnectionResetError
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        try:
            event = json.loads(line)
        except ValueError:
            raise self._foreign() from None
        if not isinstance(event, dict):
            raise self._foreign()
        return event

    def _foreign(self) -> TrainerError:
        return TrainerError(
            f"what answers at {self._name} is no simulated swarm: give its control address"
        )


def main() -> int:
    """Take part until SIGTERM or SIGINT; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _read_options()
        say = _printer(options.log)
        try:
            _take_part(options, say)
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            say("Shutting down trainer...")
    except KeyboardInterrupt:
        pass  # Before there was anything to say.
    except TrainerError as error:
        sys.stderr.write(f"trainer: {error}\n")
        return 1
    return 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m swarm_exporter.demo.trainer",
        description="One node of the simulated swarm of `swarm-exporter demo`.",
        # Asked for the terminal's width, argparse loads modules worth half a megabyte.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=90),
    )
    parser.add_argument(
        "--swarm", type=_address, required=True, metavar="HOST:PORT", help="its control address"
    )
    parser.add_argument(
        "--node", type=int, required=True, metavar="N", help="which of its nodes to be, from 1"
    )
    parser.add_argument(
        "--burn", type=int, default=0, metavar="THREADS", help="threads that keep a CPU busy each"
    )
    parser.add_argument("--log", metavar="FILE", help="append all lines to this file as well")
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to look for a swarm that is not there (default: 10)",
    )
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise argparse.ArgumentTypeError(f'"{text}" is no HOST:PORT')
    return host, int(port)


def _printer(log: str | None) -> _Say:
    """Return what prints a line in the form of Hydra's log. Raises TrainerError, as it does too.

    A line is one write of UTF-8 bytes: it is out at once, and whole beside those of others.
    """
    outputs = [1]
    if log is not None:
        try:
            outputs.append(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        except OSError as problem:
            raise TrainerError(
                f"--log: cannot write {log} ({problem.strerror}); give another file"
            ) from None

    def say(text: str) -> None:
        now = time.time()
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        where = f"{moment},{int(now % 1 * 1000):03}][genrl.logging_utils.global_defs][INFO"
        try:
            for output in outputs:
                os.write(output, f"[{where}] - {text}\n".encode())
        except OSError as problem:
            raise TrainerError(
                f"cannot print a line ({problem.strerror}); start the trainer again"
            ) from None

    return say


def _take_part(options: argparse.Namespace, say: _Say) -> None:
    """Join, and join again where the swarm went, until a signal. Raises TrainerError."""
    busy = False
    while True:
        swarm, joined = _find(options, say)
        with swarm:
            if not busy:
                busy = True
                _burn(options.burn)
            say(f"🐱 Hello 🐈 [{joined['nickname']}] 🦮 [{joined['peer_id']}]!")
            _follow(swarm, say)
        say("The swarm is gone.")
        time.sleep(_RETRY_SECONDS)


def _find(options: argparse.Namespace, say: _Say) -> tuple[_Swarm, dict[str, Any]]:
    """Join the swarm as soon as it is there; return what it tells of the node as well.

    Raises TrainerError where it is not there in time, or refuses.
    """
    host, port = options.swarm
    end = time.monotonic() + options.patience
    told = False
    while True:
        left = max(end - time.monotonic(), _RETRY_SECONDS)
        try:
            swarm = _Swarm(options.swarm, left)
            try:
                return swarm, swarm.join(options.node, left)
            except BaseException:
                swarm.__exit__()
                raise
        except OSError:
            if time.monotonic() >= end:
                raise TrainerError(
                    f"no simulated swarm answered at {host}:{port} for {options.patience:g} s: "
                    "start `swarm-exporter demo`, which starts its nodes itself"
                ) from None
        if not told:
            told = True
            say(f"Looking for a simulated swarm at {host}:{port}...")
        time.sleep(_RETRY_SECONDS)


def _follow(swarm: _Swarm, say: _Say) -> None:
    """Say what happens in the swarm until the connection ends."""
    # Seconds until the next look for a new round; None while the present one is not finished.
    check: float | None = None
    position = ""
    while True:
        try:
            event = swarm.next_event(check)
        except OSError:
            return
        if event is None and check is not None:
            check = min(check * 2, _LONGEST_CHECK_SECONDS)
            say(f"Already finished round: {position}. Next check in {check}s.")
        elif event is not None and event["event"] == "stage":
            check = None
            position = f"{event['round']} stage: {event['stage']}"
            say(f"🐝 Joining round: {position}")
        elif event is not None and event["event"] == "score":
            check = _FIRST_CHECK_SECONDS
            say(f"Finished training round: {position} with score: {event['score']:.4f}")


def _burn(threads: int) -> None:
    """Keep so many CPUs busy until the process ends."""
    if threads < 1:
        return
    import threading
    import zlib

    block = bytes(1 << 20)

    def work() -> None:
        while True:
            zlib.crc32(block)  # Lets other threads run meanwhile.

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
