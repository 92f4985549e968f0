"""Tells the exporter what PyTorch holds on the GPU of a Mac; runs inside a node's own processes.

Python imports it at its start, as the launcher puts this folder first on PYTHONPATH (site.py,
Python 3.8 and later). It never imports torch, wraps nothing, keeps every fault to itself, and hands
on to the `sitecustomize` that it hides. Its figures: torch.mps.current_allocated_memory,
driver_allocated_memory and recommended_max_memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:  # Without `typing`, which would cost every start of Python some milliseconds.
    import threading

#: The folder to write to; without it nothing is done at all.
FOLDER_VARIABLE = "SWARM_EXPORTER_TORCH_DIR"
#: Seconds from one look to the next; host/torch_helper.py counts on it.
PERIOD = 10.0
#: So many failures in a row, and it is over.
MOST_FAILURES = 3
#: What is written, and the function of torch.mps that gives it; some versions lack one.
FIGURES = {
    "current_allocated": "current_allocated_memory",
    "driver_allocated": "driver_allocated_memory",
    "recommended_max": "recommended_max_memory",
}
#: The end of the program waits at most so long for a look that is under way, seconds.
_LONGEST_GOODBYE = 0.5
#: struct proc_bsdinfo of <sys/proc_info.h>: its size, and where pbi_start_tvsec is.
_PROC_PIDTBSDINFO, _BSDINFO_BYTES, _START_OFFSET = 3, 136, 120


def begin() -> None:
    """Begin to look, in a process of which the exporter wants to know."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or not os.path.isdir(folder):  # noqa: PTH112 - pathlib is slow to import
        return
    import atexit

    watcher = Watcher(folder)
    watcher.start()
    # While the program forks there is no thread of ours: it would not be in the child, but what it
    # had locked would, and Python 3.12 warns of it. The child tells nothing.
    os.register_at_fork(
        before=watcher.stop, after_in_parent=watcher.start, after_in_child=watcher.give_up
    )
    # A thread inside torch while Python is taken down could crash the program.
    atexit.register(watcher.stop)


class Watcher:
    """Looks each PERIOD, in a thread of its own, until it has failed too often."""

    def __init__(self, folder: str) -> None:
        """Prepare to write to `folder`."""
        self._folder = folder
        self._failures = 0
        self._due = 0.0
        self._start: float | None = None
        self._over: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Go on looking."""
        import threading
        import time

        try:
            if self._thread is None and self._failures < MOST_FAILURES:
                self._due = self._due or time.monotonic() + PERIOD
                self._over = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=(self._over,), name="swarm-exporter-torch", daemon=True
                )
                self._thread.start()
        except BaseException:  # noqa: BLE001 - nothing may reach the trainer
            self.give_up()
            self._thread = None

    def stop(self) -> None:
        """Stop looking, and wait a moment for a look that is under way; for ever where it hangs."""
        thread, over, self._thread = self._thread, self._over, None
        if thread is not None and over is not None:
            over.set()
            thread.join(_LONGEST_GOODBYE)
            if thread.is_alive():
                self.give_up()

    def give_up(self) -> None:
        """Never look again."""
        self._failures = MOST_FAILURES

    def _watch(self, over: threading.Event) -> None:
        import time

        while self._failures < MOST_FAILURES:
            if over.wait(max(self._due - time.monotonic(), 0.0)):
                return
            self._due = time.monotonic() + PERIOD
            try:
                mps = ready_mps(sys.modules)
                if mps is not None:
                    pid = os.getpid()
                    self._start = process_start(pid) if self._start is None else self._start
                    write(self._folder, pid, self._start, figures_of(mps))
                    self._failures = 0
            except BaseException:  # noqa: BLE001 - nothing may reach the trainer
                self._failures += 1


def ready_mps(modules: Mapping[str, ModuleType]) -> ModuleType | None:
    """Return torch.mps where the program has imported torch and the machine has MPS."""
    torch = modules.get("torch")
    # In the middle of its import half of it is not there.
    if torch is None or getattr(torch.__spec__, "_initializing", False):
        return None
    mps = modules.get("torch.mps")
    backend = getattr(getattr(torch, "backends", None), "mps", None)
    if mps is None or backend is None or not backend.is_available():
        return None
    # Metal cannot be used in a child that was forked after torch had used it.
    is_in_bad_fork = getattr(mps, "_is_in_bad_fork", None)
    return None if is_in_bad_fork is not None and is_in_bad_fork() else mps


def figures_of(mps: ModuleType) -> dict[str, int]:
    """Return what torch gives, in bytes. Raises LookupError where it gives nothing."""
    figures = {}
    for name, function in FIGURES.items():
        ask = getattr(mps, function, None)
        value = ask() if ask is not None else None
        if type(value) is int and value >= 0:
            figures[name] = value
    if not figures:
        raise LookupError("torch.mps tells nothing")
    return figures


def write(folder: str, pid: int, start: float, figures: Mapping[str, int]) -> None:
    """Replace this process' file as a whole, by JSON."""
    import time

    content = {"pid": pid, "start": start, "time": time.time(), **figures}
    text = ", ".join(f'"{name}": {value!r}' for name, value in content.items())
    new = f"{folder}/.{pid}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("{" + text + "}")
    os.replace(new, f"{folder}/{pid}.json")  # noqa: PTH105 - pathlib is slow to import


def process_start(pid: int) -> float:
    """Return when a process was started: of two with the same pid it tells one from the other.

    Linux: clock ticks since the boot (proc(5)); macOS: Unix seconds (proc_pidinfo). It stays the
    same where a process replaces its program. Raises OSError where there is none that may be asked.
    """
    if sys.platform == "darwin":
        import ctypes

        info = ctypes.create_string_buffer(_BSDINFO_BYTES)
        ask = ctypes.CDLL("/usr/lib/libSystem.B.dylib").proc_pidinfo
        ask.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int]
        if ask(pid, _PROC_PIDTBSDINFO, 0, info, _BSDINFO_BYTES) != _BSDINFO_BYTES:
            raise ProcessLookupError(pid)
        start = start_in(info.raw)
    else:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            line = file.read()
        start = float(line[line.rfind(b")") + 2 :].split()[19])
    return start


def start_in(info: bytes) -> float:
    """Return the start that a struct proc_bsdinfo holds, Unix seconds."""
    import struct

    seconds, microseconds = struct.unpack_from("=QQ", info, _START_OFFSET)
    return float(seconds) + float(microseconds) / 1e6


def hand_on() -> None:
    """Run the `sitecustomize` that Python would have found without this one, in its place.

    What that one raises goes to Python, as it would without this one.
    """
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120 - as above
    path = [place for place in sys.path if os.path.realpath(place or os.curdir) != here]
    spec = PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    try:  # noqa: SIM105 - contextlib is one more import
        begin()
    except BaseException:  # noqa: BLE001, S110 - nothing may reach the trainer
        pass
    hand_on()
