"""The helper inside real programs, with a package `torch` that answers as PyTorch does."""

from __future__ import annotations

import ast
import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from support import ROOT, eventually
from swarm_exporter.host.torch_helper import parse_file
from swarm_exporter.torch_helper import sitecustomize as helper

STUB = ROOT / "tests" / "data" / "torch_stub"
SOURCE = Path(helper.__file__)
#: What each program can use; `until` waits for what the helper does beside it.
PRELUDE = """
import json, os, sys, time

folder = os.environ.get("SWARM_EXPORTER_TORCH_DIR", "")
own = os.path.join(folder, "%d.json" % os.getpid())

def until(look):
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)

def some_periods():
    time.sleep(0.15)
"""


class Program:
    """Runs a program as the launcher would, with the helper looking every few milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.told = folder / "told"
        self.told.mkdir()
        self.helper = folder / "helper"
        self.helper.mkdir()
        source = SOURCE.read_text()
        assert source.count("PERIOD = 10.0") == 1
        source = source.replace("PERIOD = 10.0", "PERIOD = 0.01")
        (self.helper / "sitecustomize.py").write_text(source)

    def start(self, code: str, *flags: str, path: tuple[Path, ...] = (STUB,), **env: str):
        places = os.pathsep.join(map(str, (self.helper, *path)))
        return subprocess.Popen(
            [sys.executable, "-B", *flags, "-c", PRELUDE + textwrap.dedent(code)],
            env={"PYTHONPATH": places, "SWARM_EXPORTER_TORCH_DIR": str(self.told), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *flags: str, **how) -> str:
        """Return what the program printed; it has ended well and said nothing else."""
        process = self.start(code, *flags, **how)
        printed, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        return printed

    def files(self) -> list[str]:
        return sorted(path.name for path in self.told.iterdir())


@pytest.fixture
def program(tmp_path):
    return Program(tmp_path)


def test_a_program_that_imports_torch_late_is_told_of_from_then_on(program):
    code = """
        some_periods()
        print(os.listdir(folder), "torch" in sys.modules)
        import torch
        until(lambda: os.path.exists(own))
        sys.stdout.flush()
        sys.stdin.read()
    """
    process = program.start(code)
    name = f"{process.pid}.json"
    eventually(lambda: name in program.files(), "file")
    told = json.loads((program.told / name).read_text())
    assert told.pop("time") == pytest.approx((program.told / name).stat().st_mtime, abs=5)
    assert told == {
        "pid": process.pid,
        "start": helper.process_start(process.pid),
        "current_allocated": 1_610_612_736,
        "driver_allocated": 3_221_225_472,
        "recommended_max": 12_713_115_648,
    }
    assert (program.told / name).stat().st_mode & 0o777 == 0o600
    printed, complaints = process.communicate("", timeout=60)
    assert (process.returncode, printed, complaints) == (0, "[] False\n", "")


def test_a_reader_never_sees_half_a_file(program):
    process = program.start("import torch\ntime.sleep(600)")
    file = program.told / f"{process.pid}.json"
    eventually(file.exists, "file")
    seen = {parse_file(file.read_bytes()).time for _ in range(3000)}
    process.kill()
    process.communicate()
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("stub", "figures"),
    [
        ("old", {"current_allocated", "driver_allocated"}),
        ("odd", {"current_allocated", "recommended_max"}),
    ],
)
def test_only_what_torch_gives_is_told(program, stub, figures):
    code = """
        import torch
        until(lambda: os.path.exists(own))
        with open(own) as file:
            print(*json.load(file))
    """
    printed = program.run(code, TORCH_STUB=stub)
    assert set(printed.split()) == figures | {"pid", "start", "time"}


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("some_periods()", {}),
        ("some_periods()", {"path": ()}),
        ("import torch; some_periods(); assert not torch.mps.calls", {"TORCH_STUB": "no MPS"}),
        ("import torch; some_periods()", {"SWARM_EXPORTER_TORCH_DIR": ""}),
        ("import torch; some_periods()", {"SWARM_EXPORTER_TORCH_DIR": "/nonexistent"}),
    ],
    ids=["torch not imported", "no torch", "no MPS", "not asked for", "no folder"],
)
def test_nothing_is_told_where_there_is_nothing_to_tell(program, code, how):
    program.run(code, **how)
    assert program.files() == []


@pytest.mark.parametrize("flag", ["-S", "-I", "-E"])
def test_a_program_that_keeps_site_or_pythonpath_out_runs_as_ever(program, flag):
    code = (
        f"sys.path.insert(0, {str(STUB)!r}); import torch; some_periods(); print(torch.mps.calls)"
    )
    assert program.run(code, flag) == "0\n"
    assert program.files() == []


def test_torch_is_not_asked_in_the_middle_of_its_import(program):
    code = """
        import torch
        until(lambda: torch.mps.calls)
        print(torch.mps.too_early)
    """
    assert program.run(code, TORCH_STUB="slow import") == "False\n"


@pytest.mark.parametrize("stub", ["raises", "exits"])
def test_after_three_faults_torch_is_left_alone(program, stub):
    code = """
        import threading, torch
        until(lambda: threading.active_count() == 1)
        print(torch.mps.calls)
    """
    assert program.run(code, TORCH_STUB=stub) == "3\n"
    assert program.files() == []


def test_a_folder_that_goes_away_ends_it_and_harms_nothing(program):
    code = """
        import shutil, threading, torch
        until(lambda: os.path.exists(own))
        shutil.rmtree(folder)
        until(lambda: threading.active_count() == 1)
    """
    program.run(code)


def test_a_forked_child_tells_nothing_and_ends_as_ever(program):
    code = """
        import torch
        until(lambda: os.path.exists(own))
        child = os.fork()
        if child == 0:
            grandchild = os.fork()
            some_periods()
            if grandchild:
                os.waitpid(grandchild, 0)
            sys.exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        before = torch.mps.calls
        until(lambda: torch.mps.calls > before)
        print(os.getpid())
    """
    pid = program.run(code).strip()
    assert program.files() == [f"{pid}.json"]


def test_a_program_that_forks_all_the_time_is_alone_when_it_does_and_told_of(program):
    code = """
        import threading, torch
        alone = []
        def fork():
            child = os.fork()
            if child == 0:
                os._exit(threading.active_count())
            alone.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return os.path.exists(own)
        until(fork)
        for _ in range(20):
            fork()
        print(set(alone), threading.active_count())
    """
    # From Python 3.12 on a fork with a second thread would be an error here.
    assert program.run(code, "-W", "error") == "{1} 2\n"


def test_a_fork_waits_a_moment_for_a_look_that_hangs_and_only_once(program):
    code = """
        import torch
        until(lambda: torch.mps.calls)
        begun = time.monotonic()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        print(time.monotonic() - begun < 5)
        print(torch.mps.calls)
    """
    assert program.run(code, TORCH_STUB="hangs") == "True\n1\n"


def test_a_program_ends_while_torch_hangs(program):
    code = """
        import torch
        until(lambda: torch.mps.calls)
        print("over")
    """
    assert program.run(code, TORCH_STUB="hangs") == "over\n"


def test_the_thread_is_gone_before_python_is_taken_down(program):
    code = """
        import threading
        thread = next(t for t in threading.enumerate() if t.name == "swarm-exporter-torch")
        class TakenDown:
            def __del__(self, write=os.write, thread=thread):
                write(1, b"alive" if thread.is_alive() else b"gone")
        kept = TakenDown()
    """
    assert program.run(code) == "gone"


def test_the_sitecustomize_that_it_hides_runs_in_its_place(program, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys\nANSWER = 42\nsys.greeting = 'hello'\n")
    code = """
        import sitecustomize, torch
        print(sys.greeting, sitecustomize.ANSWER, sitecustomize.__file__)
        until(lambda: os.path.exists(own))
    """
    printed = program.run(code, path=(own, STUB))
    assert printed.split() == ["hello", "42", str(own / "sitecustomize.py")]


@pytest.mark.parametrize("fault", ["raise RuntimeError('mine')", "import absent_module", "x = ("])
def test_a_fault_of_the_hidden_one_looks_as_it_would_without_the_helper(program, tmp_path, fault):
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(fault + "\n")
    said = []
    for path in ((own, STUB), None):
        process = program.start("print('runs')", path=path or ())
        if path is None:
            process.communicate()
            process = subprocess.Popen(
                [sys.executable, "-B", "-c", "print('runs')"],
                env={"PYTHONPATH": str(own)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        said.append((*process.communicate(timeout=60), process.returncode))
    assert said[0] == said[1]
    assert said[0][0] == "runs\n"


def test_a_program_that_is_not_asked_loads_nothing_for_it(program):
    code = "print(*sorted(sys.modules))"
    plain = subprocess.run(
        [sys.executable, "-B", "-c", PRELUDE + code],
        env={"PYTHONPATH": str(STUB)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    more = set(program.run(code, SWARM_EXPORTER_TORCH_DIR="").split()) - set(plain.split())
    assert "sitecustomize" in more
    assert not more & {"atexit", "ctypes", "json", "pathlib", "threading", "typing"}


def test_metal_is_left_alone_in_a_bad_fork():
    torch = ModuleType("torch")
    torch.backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    mps = ModuleType("torch.mps")
    mps._is_in_bad_fork = lambda: True
    assert helper.ready_mps({"torch": torch, "torch.mps": mps}) is None
    mps._is_in_bad_fork = lambda: False
    assert helper.ready_mps({"torch": torch, "torch.mps": mps}) is mps


def test_a_macs_own_record_tells_when_a_process_was_started():
    info = struct.pack(
        "=11I4x16s32s5Ii2Q", *range(11), b"python3.11", b"", *range(6), 1790, 250_000
    )
    assert len(info) == 136
    assert helper.start_in(info) == 1790.25


def test_it_is_written_for_the_oldest_python_that_runs_a_trainer():
    ast.parse(SOURCE.read_text(), feature_version=(3, 8))
