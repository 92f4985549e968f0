from __future__ import annotations

import ctypes
import json
import os
import types

from swarm_exporter.doctor.machine import read_about
from swarm_exporter.doctor.readings import (
    linux_files,
    macmon_lines,
    nvml_values,
    psutil_values,
    versions,
)


def test_files_of_the_kernel_and_of_the_nodes_processes_alone(tmp_path):
    def put(name: str, content: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    put("proc/stat", "cpu 1 2 3\n")
    put("proc/pressure/memory", "some avg10=0.00\n")
    put("sys/class/hwmon/hwmon0/temp1_input", "41000\n")
    put("sys/class/drm/card1/device/gpu_busy_percent", "7\n")
    put("sys/class/drm/card1/device/unique_id", "canary\n")
    for name in ("stat", "io", "smaps_rollup", "cmdline", "environ", "maps"):
        put(f"proc/42/{name}", f"{name} of 42\n")
    put("proc/42/fdinfo/3", "pos: 0\n")
    put("proc/42/fdinfo/4", "pos: 0\ndrm-driver:\tamdgpu\n")
    put("proc/43/stat", "a stranger\n")
    found = linux_files(tmp_path, [42, 99])
    assert found["proc/stat"] == b"cpu 1 2 3\n"
    assert sorted(found) == [
        "proc/42/fdinfo/4",
        "proc/42/io",
        "proc/42/smaps_rollup",
        "proc/42/stat",
        "proc/pressure/memory",
        "proc/stat",
        "sys/class/drm/card1/device/gpu_busy_percent",
        "sys/class/hwmon/hwmon0/temp1_input",
    ]


def test_a_file_without_an_end_is_cut(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_bytes(b"x" * 3 * 2**20)
    assert len(linux_files(tmp_path, [])["proc/stat"]) == 2**20


def test_psutil_and_versions_are_whole_documents():
    assert json.loads(psutil_values())["virtual_memory"]["total"] > 0
    document = json.loads(versions(read_about(), ["cpu"]))
    assert document["collectors"] == ["cpu"]
    assert os.uname().nodename not in (document["kernel"], document["system"])


class Memory(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint),
        ("total", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    ]


def fake_nvml(**more) -> types.SimpleNamespace:
    """A library with one GPU; what it lacks is an error, as with NVML."""
    nvml = types.SimpleNamespace(
        opened=[],
        nvmlInit=lambda: nvml.opened.append(True),
        nvmlShutdown=lambda: nvml.opened.pop() and None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: f"handle {index}",
        nvmlDeviceGetName=lambda _: b"NVIDIA L40S",
        nvmlDeviceGetMemoryInfo=lambda _: Memory(2, 48_305_799_168, 123),
        nvmlDeviceGetFanSpeed=unsupported,
        nvmlDeviceGetUUID=lambda _: "GPU-canary",
        nvmlDeviceGetSerial=lambda _: "canary",
    )
    vars(nvml).update(more)
    return nvml


def unsupported(*_: object) -> None:
    raise RuntimeError("Not Supported")


def test_nvidias_library_without_serial_numbers():
    nvml = fake_nvml()
    content = nvml_values(nvml)
    (gpu,) = json.loads(content)["gpus"]
    assert gpu["nvmlDeviceGetName"] == "NVIDIA L40S"
    assert gpu["nvmlDeviceGetMemoryInfo"] == {"total": 48_305_799_168, "used": 123}
    assert gpu["nvmlDeviceGetFanSpeed"] == {"error": "RuntimeError: Not Supported"}
    assert b"canary" not in content
    assert nvml.opened == []


def test_a_machine_without_nvidias_driver():
    assert json.loads(nvml_values(fake_nvml(nvmlInit=unsupported))) == {
        "nvmlInit": {"error": "RuntimeError: Not Supported"}
    }


def test_the_first_lines_of_macmon(tmp_path):
    macmon = tmp_path / "macmon"
    macmon.write_text(
        '#!/bin/sh\ni=0; while :; do i=$((i+1)); echo "{\\"n\\":$i, \\"as\\":\\"$*\\"}"; done\n'
    )
    macmon.chmod(0o755)
    lines = macmon_lines(macmon).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"n": n, "as": "-i 1000 pipe"} for n in (1, 2, 3)
    ]


def test_a_macmon_that_ends_at_once(tmp_path):
    macmon = tmp_path / "macmon"
    macmon.write_text("#!/bin/sh\necho no such chip >&2; exit 3\n")
    macmon.chmod(0o755)
    assert macmon_lines(macmon) == b"(macmon ended with 3: no such chip)\n"
