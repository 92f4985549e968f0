"""Do several trainers use a machine better than one? Runs 1, 2 and 3 with the planned threads.

Prints how busy the processors were, the work done, and ratios to one trainer: `make bench`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from swarm_exporter.launcher.machine import Machine, read_machine
from swarm_exporter.launcher.plan import make_plan, node_env
from swarm_exporter.launcher.profile import load_profile

#: Assumption: half of its time a trainer waits for the swarm. Nobody has published a share; RL
#: Swarm v0.5 to v0.7 look for a new round every few seconds to 15 minutes, and idle between.
WAITING_SHARE = 0.5
#: Assumption: so much of a step is Python code of one thread, which further threads cannot help.
SERIAL_SHARE = 0.25
#: A round in small, so that many of them fit into one run.
STEP_SECONDS = 0.25
RUN_SECONDS = 8.0
#: What is hashed and compressed: both leave Python's lock, so that threads use cores.
BLOCK = bytes(range(256)) * 512


def parallel_work() -> None:
    """Do one part of a step that a thread of its own can do."""
    zlib.compress(BLOCK, 6)
    for _ in range(8):
        hashlib.sha256(BLOCK).digest()


def serial_work(rounds: int) -> int:
    """Do the part of a step that one thread does, in plain Python."""
    total = 0
    for number in range(rounds):
        total = (total * 31 + number) % 1_000_003
    return total


def train(threads: int, parts: int, rounds: int, pause: float, seconds: float) -> None:
    """Work and wait in turn as a trainer does, and print how many steps ended in time."""
    steps = 0
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: parallel_work(), range(threads)))
        print("ready", flush=True)
        sys.stdin.readline()
        end = time.monotonic() + seconds
        while True:
            list(pool.map(lambda _: parallel_work(), range(parts)))
            serial_work(rounds)
            if time.monotonic() > end:
                break
            steps += 1
            time.sleep(pause)
    print(steps, flush=True)


def seconds_of(part: float) -> float:
    """Return the seconds that this part of a step takes one trainer alone."""
    return STEP_SECONDS * (1 - WAITING_SHARE) * part


def sizes(threads: int) -> tuple[int, int]:
    """Return parts and rounds of a step that keeps one trainer alone busy as long as assumed."""
    began = time.perf_counter()
    for _ in range(20):
        parallel_work()
    part = (time.perf_counter() - began) / 20
    began = time.perf_counter()
    serial_work(200_000)
    a_round = (time.perf_counter() - began) / 200_000
    parts = max(threads, round(threads * seconds_of(1 - SERIAL_SHARE) / part))
    return parts, max(1, round(seconds_of(SERIAL_SHARE) / a_round))


def planned_threads(machine: Machine, nodes: int) -> int:
    """Return the threads that the plan gives each of `nodes` trainers here."""
    profile = load_profile("codezero", Path.cwd())
    plan = make_plan(
        machine, profile, nodes=nodes, measured=None, reserve=None, explicit={}, training=None
    )
    return int(node_env(plan, 1).get("OMP_NUM_THREADS", os.cpu_count() or 1))


def run(nodes: int, threads: int, step: tuple[int, int]) -> tuple[float, float, int]:
    """Run trainers side by side; return two parts of all processors' time, and the steps done.

    The first is what every program used, the second what the trainers did.
    """
    parts, rounds = step
    words = ["--train", str(threads), str(parts), str(rounds)]
    trainers = [
        subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(nodes)
    ]
    for trainer in trainers:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "ready\n"
    before, before_own = psutil.cpu_times(), processor_seconds(trainers)
    for trainer in trainers:
        assert trainer.stdin is not None
        trainer.stdin.write("go\n")
        trainer.stdin.flush()
    time.sleep(RUN_SECONDS)
    after, after_own = psutil.cpu_times(), processor_seconds(trainers)
    own = (after_own - before_own) / (RUN_SECONDS * (psutil.cpu_count() or 1))
    steps = sum(int(trainer.communicate(timeout=RUN_SECONDS)[0]) for trainer in trainers)
    return busy(before._asdict(), after._asdict()), own, steps


def processor_seconds(trainers: list[subprocess.Popen[str]]) -> float:
    """Return the processor time that the trainers have used so far."""
    times = [psutil.Process(trainer.pid).cpu_times() for trainer in trainers]
    return sum(spent.user + spent.system for spent in times)


def busy(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the part of all processors' time that was used between two readings."""
    # Linux counts guests within user time already.
    spent = {kind: after[kind] - before[kind] for kind in after if not kind.startswith("guest")}
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return 1 - idle / sum(spent.values())


def main() -> None:
    """Measure 1, 2 and 3 trainers and print them."""
    machine = read_machine(Path.cwd())
    step = sizes(planned_threads(machine, 1))
    print("trainers  threads each  machine busy  by trainers         steps/s   work")
    first_own = first_steps = 0.0
    for nodes in (1, 2, 3):
        threads = planned_threads(machine, nodes)
        everything, own, steps = run(nodes, threads, step)
        first_own, first_steps = first_own or own, first_steps or steps
        print(
            f"{nodes:>8} {threads:>13} {everything:>13.0%} {own:>12.0%} {own / first_own:6.2f}x "
            f"{steps / RUN_SECONDS:>8.1f} {steps / first_steps:5.2f}x"
        )
    print(
        f"{machine.performance_cores} cores; `machine busy` counts every other program too.\n"
        "The trainers are stand-ins: hashing, compressing and Python, no model. Assumed, not "
        f"measured:\none alone waits {WAITING_SHARE:.0%} of its time for the swarm, and "
        f"{SERIAL_SHARE:.0%} of its work is one thread's. This shows\nhow much of that time other "
        "trainers fill on these processors; GPU, memory and network are not in it."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", nargs=3, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        train(*given.train, pause=STEP_SECONDS * WAITING_SHARE, seconds=RUN_SECONDS)
    else:
        main()
