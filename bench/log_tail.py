"""How fast a training log is read, beside `grep -c`: `python bench/log_tail.py`.

Prints MB/s of reading a log of RL Swarm v0.6 (DEBUG lines, rounds, a traceback now and then) to the
events in it, MB/s of `grep -c` for one word in the same file, and their ratio.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from swarm_exporter.log_tail import MOST_BACKLOG_BYTES, Position, looks
from swarm_exporter.sources.log_events import Place, read_events
from swarm_exporter.sources.log_patterns import LogName, Patterns, built_in_patterns

WORD = "Joining round"


def one_round(number: int) -> str:
    """Return what a trainer logs in one round, and an error in every fiftieth."""
    head = f"[2025-09-25 17:{number // 60 % 60:02}:{number % 60:02},616]"
    lines = [f"{head}[genrl.logging_utils.global_defs][INFO] - 🐝 {WORD}: {number}"]
    for connection in range(200):
        lines.append(f"{head}[urllib3.connectionpool][DEBUG] - Starting new HTTP connection (1)")
        lines.append(f'{head}[urllib3.connectionpool][DEBUG] - "POST / HTTP/1.1" 200 {connection}')
    lines.append(f'{head}[urllib3.connectionpool][DEBUG] - "POST /api/submit-reward HTTP/1.1" 200')
    if number % 50 == 0:
        lines += [
            f"{head}[genrl.logging_utils.global_defs][ERROR] - Error occurred during training",
            "Traceback (most recent call last):",
            *(f'  File "/trainer.py", line {frame}, in run' for frame in range(30)),
            "MemoryError",
        ]
    return "\n".join(lines) + "\n"


def fastest(work: Callable[[], int], repeats: int) -> tuple[float, int]:
    """Return the least seconds that `work` took, and what it returned."""
    times, result = [], 0
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begin)
    return min(times), result


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    patterns = Patterns(built_in_patterns(), (LogName.SWARM_LAUNCHER,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "swarm_launcher.log"
        rounds = 0
        with path.open("w", encoding="utf-8") as file:
            while file.tell() < min(options.megabytes * 10**6, MOST_BACKLOG_BYTES - 10**6):
                rounds += 1
                file.write(one_round(rounds))
        size = path.stat().st_size

        def read() -> int:
            place, joined = Place(), 0
            for look in looks(path, Position(), size + 1):
                told, place = read_events(look.data, patterns, place)
                joined += sum(one.round is not None for one in told)
            return joined

        def grep() -> int:
            command = ["grep", "-c", WORD, str(path)]
            return int(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603

        ours, joined = fastest(read, options.repeats)
        theirs, found = fastest(grep, options.repeats)
    assert joined == found == rounds
    print(f"a log of {size / 1e6:.0f} MB, {rounds} rounds")
    print(f"  read to its events: {size / 1e6 / ours:7.0f} MB/s")
    print(f"  grep -c:            {size / 1e6 / theirs:7.0f} MB/s")
    print(f"  ratio:              {theirs / ours:7.3f}")


if __name__ == "__main__":
    main()
