"""Keeps the raw readings of a machine, so that a person can send what no developer has.

What programs print and what the C library answers is watched while the collectors read; files of
the kernel are read beside them. Nothing leaves here that scrub.py has not seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import re
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from swarm_exporter.doctor.scrub import Secrets, is_secret_key, learn, scrub, scrub_image
from swarm_exporter.errors import FlagError, SwarmExporterError
from swarm_exporter.host.darwin import watching_calls
from swarm_exporter.host.tool import ToolRun, watching_tools
from swarm_exporter.launcher.private_files import cause, write_private

_ARCHIVES = (".tar.gz", ".tgz")
#: More than any reading has; what goes wild does not fill the disk.
_MOST_CALLS = 20_000
_LARGEST_FILE = 8 * 2**20
_CALLS = "library-calls.jsonl"


class Image(msgspec.Struct, frozen=True):
    """The bytes of an argument after a call."""

    content: bytes


#: An argument of a call as it is kept.
Argument = int | float | bytes | str | None | Image


class LibraryCall(msgspec.Struct, frozen=True):
    """One call of a C library."""

    function: str
    arguments: tuple[Argument, ...]
    result: int | None
    #: What `errno` was after it.
    errno: int
    seconds: float


class Recording:
    """What was read, as it came; safe to add to from several threads."""

    def __init__(self) -> None:
        """Begin without anything."""
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}
        self._calls: list[LibraryCall] = []
        self._runs: Counter[str] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep what programs print and the C library answers, until the end of the block."""
        with watching_tools(self.add_run), watching_calls(self.watched):
            yield

    def add(self, name: str, content: bytes) -> None:
        """Keep a file; `name` may have folders in it."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name} is no name of a file in a recording")
        with self._lock:
            self._files[name] = content[:_LARGEST_FILE]

    def add_run(self, run: ToolRun) -> None:
        """Keep one run of a program."""
        tool = re.sub(r"[^\w.-]", "_", Path(run.command[0]).name)
        with self._lock:
            self._runs[tool] += 1
            stem = f"tool-{tool}-{self._runs[tool]}"
        about = {"command": run.command, "exit_code": run.code, "seconds": round(run.seconds, 6)}
        self.add(f"{stem}.stdout", run.stdout)
        self.add(f"{stem}.stderr", run.stderr)
        self.add(f"{stem}.json", msgspec.json.format(msgspec.json.encode(about)))

    def watched(self, library: Any) -> Any:  # noqa: ANN401 - any C library
        """Return `library` such that its calls are kept."""
        return _WatchedLibrary(library, self._add_call)

    def scrubbed(self, known: Secrets) -> dict[str, bytes]:
        """Return every file by its name, without secrets."""
        with self._lock:
            files, calls = dict(self._files), list(self._calls)
        secrets = learn(files.values(), known)
        result = {
            scrub(name.encode(), secrets).decode(): scrub(content, secrets)
            for name, content in sorted(files.items())
        }
        if calls:
            lines = b"".join(_line(call, secrets) for call in calls)
            result[_CALLS] = scrub(lines, secrets)
        return result

    def _add_call(self, call: LibraryCall) -> None:
        with self._lock:
            if len(self._calls) < _MOST_CALLS:
                self._calls.append(call)


# --- C libraries -------------------------------------------------------------------------------


class _WatchedLibrary:
    """Stands for a ctypes library."""

    def __init__(self, library: Any, add: Callable[[LibraryCall], None]) -> None:  # noqa: ANN401
        self._library = library
        self._add = add

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return _WatchedFunction(name, getattr(self._library, name), self._add)


class _WatchedFunction:
    """Stands for a function of one; what is set on it (argtypes) is set on the function."""

    def __init__(self, name: str, function: Any, add: Callable[[LibraryCall], None]) -> None:  # noqa: ANN401
        self.__dict__.update(_name=name, _function=function, _add=add)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._function, name, value)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._function, name)

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        begun = time.perf_counter()
        result = self._function(*arguments)
        seconds = time.perf_counter() - begun
        number = ctypes.get_errno()
        kept = [_kept(argument) for argument in arguments]
        for place, address, size in _pointed(self._name, arguments):
            kept[place] = Image(ctypes.string_at(address, size))
        self._add(
            LibraryCall(
                function=self._name,
                arguments=tuple(_hidden(self._name, kept)),
                result=result if isinstance(result, int) else None,
                errno=number,
                seconds=round(seconds, 9),
            )
        )
        # Nothing here has touched the caller's errno; say so where a platform's ctypes does.
        ctypes.set_errno(number)
        return result


def _kept(argument: Any) -> Argument:  # noqa: ANN401 - any argument of a C function
    if argument is None or isinstance(argument, (int, float, bytes, str)):
        return argument
    # What byref() makes has the object inside.
    target = getattr(argument, "_obj", argument)
    if isinstance(target, (ctypes.Structure, ctypes.Union, ctypes.Array)):
        return Image(bytes(target))
    if target is not argument and isinstance(target, ctypes._SimpleCData):
        return Image(bytes(target))
    value = getattr(target, "value", None)
    return value if isinstance(value, (int, float, bytes, str)) else None


def _pointed(function: str, arguments: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Return place, address and size of what is given by its bare address."""
    if function != "ledger" or len(arguments) != 4:
        return []
    # Rows of 48 bytes of a process, or of 96 with the names of rows (osfmk/kern/ledger.h).
    rows, count, size = (2, 3, 48) if arguments[0] == 1 else (1, 2, 96)
    if not arguments[rows] or not arguments[count]:
        return []
    number = ctypes.c_int.from_address(arguments[count]).value
    return [(rows, arguments[rows], max(number, 0) * size), (count, arguments[count], 4)]


def _hidden(function: str, arguments: Sequence[Argument]) -> list[Argument]:
    """Zero what of a structure tells which machine this is."""
    kept = list(arguments)
    for place, argument in enumerate(arguments):
        if not isinstance(argument, Image):
            continue
        size = len(argument.content)
        if function == "proc_pid_rusage":
            # ri_uuid, of the program's file.
            kept[place] = Image(bytes(min(16, size)) + argument.content[16:])
        elif any(isinstance(a, bytes) and is_secret_key(a) for a in arguments):
            kept[place] = Image(bytes(size))
    return kept


def _line(call: LibraryCall, secrets: Secrets) -> bytes:
    def shown(argument: Argument) -> object:
        if isinstance(argument, Image):
            return {"bytes": scrub_image(argument.content, secrets).hex()}
        if isinstance(argument, bytes):
            return scrub_image(argument, secrets).decode("utf-8", "replace")
        return argument

    return (
        json.dumps(
            {
                "function": call.function,
                "arguments": [shown(argument) for argument in call.arguments],
                "result": call.result,
                "errno": call.errno,
                "seconds": call.seconds,
            }
        ).encode()
        + b"\n"
    )


# --- where it goes -----------------------------------------------------------------------------


def refuse_target(target: Path) -> None:
    """Raise FlagError where a recording cannot go to `target`, before any work is done."""
    if is_archive(target):
        if os.path.lexists(target):
            raise FlagError(f"--record: {target} exists already; give another name")
        if not target.parent.is_dir():
            raise FlagError(f"--record: {target.parent} is no folder; make it, or give another")
    elif os.path.lexists(target) and not target.is_dir():
        raise FlagError(f"--record: {target} is a file; give a folder, or a name with .tar.gz")
    elif target.is_dir() and any(target.iterdir()):
        raise FlagError(f"--record: {target} is not empty; give a new folder")


def is_archive(target: Path) -> bool:
    """Tell whether a recording goes into one file."""
    return target.name.endswith(_ARCHIVES)


def write_recording(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a recording for its owner alone. Raises SwarmExporterError."""
    try:
        if is_archive(target):
            write_private(target, _archive(target, files), replace=False)
            return
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It may have been there with other permissions.
        with contextlib.suppress(PermissionError):
            target.chmod(0o700)
        for name, content in files.items():
            write_private(target / name, content, durable=False)
    except OSError as error:
        raise SwarmExporterError(
            f"{target} cannot be written ({cause(error)}); give another --record"
        ) from None


def _archive(target: Path, files: Mapping[str, bytes]) -> bytes:
    folder = re.sub(r"(\.tar\.gz|\.tgz)$", "", target.name) or "recording"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            # Without owner and times: they tell of the person.
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
