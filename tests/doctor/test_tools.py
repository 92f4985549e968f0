from __future__ import annotations

from pathlib import Path

import pytest

from swarm_exporter.doctor.check import Outcome
from swarm_exporter.doctor.tools import MAC_TOOLS, check_tools


def program(path: Path, script: str = "echo tool 1.2.3") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def check(tmp_path):
    def run(*folders: Path, platform="darwin", macmon=(), modules=(), **there: Path):
        return {
            check.subject: check
            for check in check_tools(
                folders,
                platform,
                root=tmp_path,
                which=lambda name: str(there[name]) if name in there else None,
                has_module=lambda name: name in modules,
                macmon=lambda: macmon,
            )
        }

    return run


def test_a_mac_with_everything(check, tmp_path):
    for tool in MAC_TOOLS:
        program(tmp_path / tool.path.relative_to("/"))
    macmon = program(tmp_path / "opt" / "macmon", "echo macmon 0.8.2")
    found = check(macmon=[tmp_path / "gone", macmon], git=program(tmp_path / "git"))
    assert {check.outcome for check in found.values()} == {Outcome.OK}
    assert found["git"].what == "1.2.3"
    assert found["macmon"].what.startswith("0.8.2 (")
    assert {tool.path.name for tool in MAC_TOOLS} < set(found)


def test_a_mac_with_nothing(check, tmp_path):
    found = check()
    assert found["git"].outcome is Outcome.WARNING
    assert found["git"].fix == "xcode-select --install"
    assert found["macmon"].outcome is Outcome.ABSENT
    assert found["macmon"].fix == "brew install macmon"
    assert found["ioreg"].outcome is Outcome.FAILURE
    assert "no GPU use" in found["ioreg"].what


def test_programs_that_are_there_but_broken(check, tmp_path):
    broken = program(tmp_path / "x", "exit 1")
    found = check(macmon=[broken], git=broken)
    assert found["macmon"].outcome is Outcome.FAILURE
    assert found["git"].outcome is Outcome.WARNING


def test_a_tool_that_may_not_be_run(check, tmp_path):
    path = program(tmp_path / "usr" / "sbin" / "ioreg")
    path.chmod(0o644)
    assert check()["ioreg"].outcome is Outcome.FAILURE


def test_linux_without_a_gpu(check):
    found = check(platform="linux")
    assert found["GPU drivers"].outcome is Outcome.ABSENT
    assert found["git"].fix == "sudo apt-get install git"


def test_an_nvidia_driver_without_its_library(check, tmp_path):
    version = tmp_path / "proc" / "driver" / "nvidia" / "version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Thu\n")
    found = check(platform="linux")
    assert found["nvidia"].outcome is Outcome.WARNING
    assert found["nvidia"].what.startswith("driver 570.86.10, but")
    assert found["nvidia"].fix == 'pip install "swarm-exporter[nvidia]"'
    assert found["nvidia-smi"].outcome is Outcome.WARNING
    smi = program(tmp_path / "nvidia-smi")
    found = check(platform="linux", modules=["pynvml"], **{"nvidia-smi": smi})
    assert found["nvidia"].outcome is Outcome.OK
    assert "nvidia-smi" not in found


def test_amd_gpus_need_nothing(check, tmp_path):
    for number in range(2):
        busy = tmp_path / "sys" / "class" / "drm" / f"card{number}" / "device" / "gpu_busy_percent"
        busy.parent.mkdir(parents=True)
        busy.write_text("7\n")
    assert check(platform="linux")["amd"].what == "2 GPUs by sysfs; nothing to install"


def test_what_the_checkouts_need(check, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "rl-swarm-1"
    (folder / "modal-login").mkdir(parents=True)
    (folder / "modal-login" / "package.json").write_text("{}")
    (folder / "run_rl_swarm.sh").write_text("python -m code_gen_exp.runner.swarm_launcher\n")
    found = check(folder, tmp_path / "gone", platform="linux")
    assert found["bash"].outcome is Outcome.FAILURE
    assert found["node"].outcome is Outcome.WARNING
    assert found["ollama"].outcome is Outcome.WARNING
    (tmp_path / ".nvm").mkdir()
    (tmp_path / ".nvm" / "nvm.sh").touch()
    there = {name: program(tmp_path / name) for name in ("bash", "ollama")}
    found = check(folder, platform="linux", **there)
    assert {found[name].outcome for name in ("bash", "node", "ollama")} == {Outcome.OK}
