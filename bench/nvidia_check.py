"""Compare the collector `nvidia` with GPU memory of a known size that this program holds itself.

    python bench/nvidia_check.py [--gpu 0] [--megabytes 512] [--record FILE]

Takes the memory through CUDA's driver API (libcuda.so.1), reads itself as a node before, while and
after it holds it, and prints what was expected beside what NVML told. Ends with 0 where all agrees,
1 where something differs, 2 where there is nothing to compare. --record keeps, as JSON, each
question to NVML and its answer; UUIDs are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psutil

from swarm_exporter.config import Flags, load_config
from swarm_exporter.host.collector import Look, Member
from swarm_exporter.host.gpu_facts import Gpu, NodeGpu, NvidiaGpus
from swarm_exporter.host.nvidia import NvidiaCollector, has_driver, missing_extra
from swarm_exporter.sources.errors import SourceError

MIB = 2**20
#: CUDA takes memory from the driver in pieces of this size.
PIECE = 2 * MIB
#: Long enough for a sample of the process: the driver has one every second or so.
WORK_SECONDS = 4.0
NODE = "self"
NOTHING_TO_COMPARE = 2


class CudaError(Exception):
    """CUDA refused."""


class Device(Protocol):
    """A GPU that takes memory and works."""

    uuid: str

    def open(self) -> None:
        """Become one of the GPU's processes."""

    def hold(self, size: int) -> None:
        """Take so many bytes."""

    def work(self, seconds: float) -> None:
        """Write to them all the time."""

    def free(self) -> None:
        """Give them back."""

    def close(self) -> None:
        """Be none of its processes any more."""


class CudaDevice:
    """A GPU through CUDA's driver API, by CUDA's number of it."""

    def __init__(self, cuda: Any, index: int) -> None:  # noqa: ANN401 - a library
        """Find it. Raises CudaError."""
        self._cuda = cuda
        self._context = ctypes.c_void_p()
        self._memory = ctypes.c_uint64()
        self._size = 0
        self._device = ctypes.c_int()
        raw = (ctypes.c_ubyte * 16)()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(self._device), ctypes.c_int(index))
        # The second version names the part of a GPU that is partitioned (MIG).
        name = "cuDeviceGetUuid_v2" if hasattr(cuda, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid"
        self._call(name, ctypes.byref(raw), self._device)
        self.uuid = str(uuid.UUID(bytes=bytes(raw)))

    def open(self) -> None:
        """Make a context, and let CUDA load all that writing needs."""
        self._call("cuCtxCreate_v2", ctypes.byref(self._context), ctypes.c_uint(0), self._device)
        self.hold(PIECE)
        self._call("cuCtxSynchronize")
        self.free()

    def hold(self, size: int) -> None:
        """Take memory, and write to it."""
        self._call("cuMemAlloc_v2", ctypes.byref(self._memory), ctypes.c_size_t(size))
        self._size = size
        self._write()

    def work(self, seconds: float) -> None:
        """Write to the memory again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(20):
                self._write()
            self._call("cuCtxSynchronize")

    def free(self) -> None:
        """Give the memory back."""
        self._call("cuMemFree_v2", self._memory)

    def close(self) -> None:
        """End the context."""
        self._call("cuCtxDestroy_v2", self._context)

    def _write(self) -> None:
        size = ctypes.c_size_t(self._size)
        self._call("cuMemsetD8_v2", self._memory, ctypes.c_ubyte(1), size)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code != 0:
            raise CudaError(f"{name} answered {code}")


class Recorder:
    """The module that asks NVML; keeps what it was asked and what it answered."""

    def __init__(self, nvml: Any) -> None:  # noqa: ANN401 - a module without types
        """Ask through `nvml`."""
        self._nvml = nvml
        #: What names a GPU in NVML, and its number; kept, so that none is taken for another.
        self._handles: list[tuple[object, str]] = []
        self.steps: list[dict[str, Any]] = []

    def begin(self, step: str) -> None:
        """Keep what follows under this name."""
        self.steps.append({"step": step, "time": time.time(), "calls": []})

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        found = getattr(self._nvml, name)
        if not name.startswith("nvml") or not callable(found):
            return found

        def ask(*arguments: Any) -> Any:  # noqa: ANN401
            call: dict[str, Any] = {"ask": name, "with": [self._plain(each) for each in arguments]}
            self.steps[-1]["calls"].append(call)
            try:
                answer = found(*arguments)
            except Exception as error:
                call["error"] = type(error).__name__
                raise
            if "HandleBy" in name:
                self._handles.append((answer, ".".join(map(str, call["with"]))))
            call["answer"] = "" if name == "nvmlDeviceGetUUID" else self._plain(answer)
            return answer

        return ask

    def _plain(self, value: Any) -> Any:  # noqa: ANN401
        """Return what JSON can say; a GPU by its number."""
        for handle, name in self._handles:
            if value is handle:
                return f"gpu{name.removeprefix('gpu')}"
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, (list, tuple)):
            return [self._plain(each) for each in value]
        if isinstance(value, ctypes.Structure):
            return {field[0]: self._plain(getattr(value, field[0])) for field in value._fields_}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return {name: self._plain(each) for name, each in getattr(value, "__dict__", {}).items()}


class Row(NamedTuple):
    """One comparison."""

    what: str
    expected: str
    found: str
    verdict: str


class Seen(NamedTuple):
    """What one reading told of the GPU, and of this process on it."""

    gpu: Gpu
    own: NodeGpu | None

    @property
    def held(self) -> int | None:
        """Bytes of this process; None where it is not there, or they are not told."""
        return self.own.memory if self.own is not None else None


def compare(read: Callable[[str], Seen], device: Device, size: int) -> Iterator[Row]:
    """Take memory and give it back, with a reading at each step."""
    before = read("before")
    yield _row(
        "this process is on the GPU", "no", _said(before.own is not None), before.own is None
    )
    device.open()
    opened = read("opened")
    seen = opened.own is not None
    yield _row("… with a context", "yes", _said(seen), seen)
    if not seen:
        return
    device.hold(size)
    held = read("held")
    yield _grown("memory of this process", opened.held, held.held, size, exact=True)
    in_use = opened.gpu.memory.get("in_use"), held.gpu.memory.get("in_use")
    yield _grown("memory in use on the GPU", *in_use, size, exact=False)
    device.work(WORK_SECONDS)
    worked = read("worked")
    yield _share("use by this process", worked.own.utilization if worked.own is not None else None)
    yield _share("use of the GPU", worked.gpu.utilization)
    yield _energy(held.gpu.energy_joules, worked.gpu.energy_joules)
    device.free()
    freed = read("freed")
    yield _grown("memory when it is given back", opened.held, freed.held, 0, exact=True)
    device.close()
    after = read("after")
    gone = after.own is None
    yield _row("this process is on the GPU", "no", _said(not gone), gone)


def _row(what: str, expected: str, found: str, agrees: bool) -> Row:
    return Row(what, expected, found, "ok" if agrees else "DIFFERS")


def _said(yes: bool) -> str:
    return "yes" if yes else "no"


def _grown(what: str, before: int | None, after: int | None, size: int, *, exact: bool) -> Row:
    """Compare growth; where others use the GPU too, theirs may be in it."""
    expected = f"{size / MIB:+.0f} MiB"
    if before is None or after is None:
        return Row(what, expected, "–", "not told")
    grown = after - before
    agrees = abs(grown - size) <= PIECE if exact else grown >= size - PIECE
    return _row(what, expected, f"{grown / MIB:+.1f} MiB", agrees)


def _share(what: str, share: float | None) -> Row:
    if share is None:
        return Row(what, "above 0 %", "–", "not told")
    return _row(what, "above 0 %", f"{share:.0%}", 0 < share <= 1)


def _energy(before: float | None, after: float | None) -> Row:
    if before is None or after is None:
        return Row("energy of the GPU", "more", "–", "not told")
    return _row("energy of the GPU", "more", f"{after - before:+.1f} J", after > before)


def reader(nvml: Recorder, device: Device) -> Callable[[str], Seen]:
    """Return what reads this process as a node, on the GPU that CUDA has given it."""
    collector = NvidiaCollector(nvml)
    config = load_config(Flags(), {}, Path("/nonexistent"))
    pid = os.getpid()
    member = Member(pid, psutil.Process(pid).create_time(), root=True)

    def read(step: str) -> Seen:
        nvml.begin(step)
        members = {NODE: (member,)}
        look = Look(config, time.time(), time.monotonic(), lambda: members)
        facts = collector.read(look).facts
        assert isinstance(facts, NvidiaGpus)
        gpu = next((gpu for gpu in facts.gpus if gpu.gpu.endswith(device.uuid)), None)
        if gpu is None:
            raise CudaError(f"NVML does not know CUDA's GPU {device.uuid}")
        own = next((share for share in facts.nodes if share.gpu == gpu.gpu), None)
        return Seen(gpu, own)

    return read


def print_table(rows: list[Row]) -> None:
    """Print the comparisons below each other."""
    head = Row("what", "expected", "NVML told", "")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        )


@contextmanager
def recording(nvml: Recorder, file: Path | None, size: int) -> Iterator[None]:
    """Write what was asked and answered to `file`, also where the comparison broke off."""
    try:
        yield
    finally:
        if file is not None:
            kept = {"pid": os.getpid(), "held_bytes": size, "steps": nvml.steps}
            file.write_text(json.dumps(kept, indent=1) + "\n")


def why_not() -> str | None:
    """Return what is missing on this machine; None where there is a GPU to ask."""
    if not has_driver():
        return "no NVIDIA driver here: libnvidia-ml.so.1 cannot be loaded"
    if missing_extra():
        return 'nvidia-ml-py is missing: pip install "swarm-exporter[nvidia]"'
    return None


def main() -> int:
    """Compare on this machine; return the status to end with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpu", type=int, default=0, help="CUDA's number of the GPU")
    parser.add_argument("--megabytes", type=int, default=512, help="how much to hold, MiB")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what NVML said, as JSON")
    given = parser.parse_args()
    missing = why_not()
    if missing is not None:
        print(missing)
        return NOTHING_TO_COMPARE
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        print(f"no CUDA driver here: {error}")
        return NOTHING_TO_COMPARE
    size = given.megabytes * MIB
    nvml = Recorder(importlib.import_module("pynvml"))
    rows: list[Row] = []
    try:
        with recording(nvml, given.record, size):
            device = CudaDevice(cuda, given.gpu)
            rows.extend(compare(reader(nvml, device), device, size))
    except (CudaError, SourceError) as error:
        print_table(rows)
        print(f"cannot compare: {error}")
        return NOTHING_TO_COMPARE
    print_table(rows)
    if len(rows) > 1 and rows[1].verdict != "ok":
        print("The driver names this process otherwise: in a container it tells the host's pids.")
    return int(any(row.verdict == "DIFFERS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
