"""A process that has left its session, its parent and, if so told, its environment."""

import os
import signal
from pathlib import Path

signal.alarm(int(os.environ.get("STANDIN_LIFETIME", "300")))
pid_file = Path(__file__).with_name("escaped.pid")
unfinished = pid_file.with_suffix(".new")
unfinished.write_text(str(os.getpid()))
unfinished.replace(pid_file)
while True:
    signal.pause()
