"""Every benchmark, one after another: `make bench`. Figures go to bench/results.json.

Those that print ratios from one run come first, then those of single parts, which only print.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from measuring import RESULTS, Figure, table

FOLDER = Path(__file__).parent
WITH_FIGURES = ("scrape", "decode", "poll", "overhead", "start", "growth")
PRINTING = ("hung_node", "collection", "utilisation", "fifty_nodes", "log_tail")


def main() -> None:
    """Run what was named, or all; print what was measured once more at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WITH_FIGURES, *PRINTING, []])
    names = parser.parse_args().names or [*WITH_FIGURES, *PRINTING]
    results = FOLDER / "results.json"
    results.unlink(missing_ok=True)
    failed = []
    for name in names:
        print(f"-- {name}", flush=True)
        command = [sys.executable, str(FOLDER / f"{name}.py")]
        environment = {**os.environ, RESULTS: str(results)}
        status = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
        if status:
            failed.append(f"{name} (exit status {status})")
    if results.exists():
        known = json.loads(results.read_text())
        print(f"\nmeasured on {known.pop('machine')}")
        for name, figures in known.items():
            print(table(name, msgspec.convert(figures, list[Figure])))
        print(f"kept in {results}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
