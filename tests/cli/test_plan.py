from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from support import COMMAND
from swarm_exporter.cli.plan import command
from swarm_exporter.errors import ConfigError, FlagError
from swarm_exporter.launcher import plan_of
from swarm_exporter.launcher.machine import Gpu, Machine

GIB = 2**30
MINI = Machine(
    platform="darwin",
    total_memory=24 * GIB,
    available_memory=21 * GIB,
    performance_cores=4,
    efficiency_cores=6,
    logical_cpus=10,
    unified_memory=True,
    gpus=(),
    disk_free=200 * GIB,
    pressure="normal",
)
RIG = Machine(
    platform="linux",
    total_memory=64 * GIB,
    available_memory=60 * GIB,
    performance_cores=16,
    efficiency_cores=0,
    logical_cpus=32,
    unified_memory=False,
    gpus=tuple(
        Gpu(name="NVIDIA RTX 4090", total_memory=24 * GIB, free_memory=23 * GIB) for _ in range(2)
    ),
    disk_free=None,
    pressure=None,
)


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Run the command in an empty folder, on a machine of which only the facts are there."""
    monkeypatch.chdir(tmp_path)

    def run(found: Machine, *arguments: str, **environ: str):
        monkeypatch.setattr(plan_of, "read_machine", lambda folder: found)
        return CliRunner().invoke(command, arguments, env={"COLUMNS": "200", **environ})

    return run


def test_a_mac_mini_without_any_configuration(at):
    result = at(MINI)
    assert result.exit_code == 0
    assert result.stdout == (
        "This is a Mac with Apple silicon: 24.0 GiB of memory, 21.0 GiB available; 4 performance, "
        "6 efficiency cores; 200.0 GiB free on disk.\n"
        "2.4 GiB stay with the machine: a tenth, for with less available it begins to swap.\n"
        "A node of RL Swarm v0.7 (CodeZero) takes 6.5 GiB: the profile's figure with the training "
        "keys below, until a node has run for a while and is measured.\n"
        "\n"
        "3 nodes fit. Memory is the limit: of 24.0 GiB, 21.6 GiB are for nodes, and one takes "
        "6.5 GiB.\n"
        "Without the training keys that save memory: 2.\n"
        "\n"
        "Variables of 3 nodes:\n"
        "OMP_NUM_THREADS                   1     \n"
        "VECLIB_MAXIMUM_THREADS            1     \n"
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO  0.28  \n"
        "PYTORCH_MPS_LOW_WATERMARK_RATIO   0.22  \n"
        "\n"
        "Training keys, in code_gen_exp/config/code-gen-swarm.yaml of each:\n"
        "training.num_transplant_trees  1  \n"
        "training.num_generations       2  \n"
        "\n"
        "Next: swarm-exporter init --instances 3\n"
    )


def test_more_than_fit_is_a_failure_that_says_what_to_do(at):
    result = at(MINI, "--instances", "6", "--profile", "genrl")
    assert result.exit_code == 1
    assert "6 nodes do not fit.\nStart 3 instead, or use a machine with more" in result.stdout
    assert "Next:" not in result.stdout
    assert at(MINI, SWARM_INSTANCES="6").exit_code == 1


def test_as_many_as_fit_is_no_failure(at):
    result = at(MINI, "--instances", "2", "--profile", "genrl")
    assert result.exit_code == 0
    assert result.stdout.endswith("Next: swarm-exporter init --instances 2 --profile genrl\n")


def test_gpus_by_node_and_what_is_unknown_left_out(at):
    result = at(RIG)
    assert "; 16 cores; NVIDIA RTX 4090 (24.0 GiB); NVIDIA RTX 4090 (24.0 GiB)." in result.stdout
    assert "CUDA_VISIBLE_DEVICES  0 (node 1), 1 (node 2), 0 (node 3)" in result.stdout


def test_own_variables_are_shown_as_kept_and_warned_of(at, tmp_path):
    high = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
    result = at(MINI, "--instances", "2", **{high: "0.0"})
    row = next(line for line in result.stdout.splitlines() if line.startswith(high))
    assert row.split() == [high, "0.0", "set", "by", "you,", "kept"]
    assert f"warning: {high}=0.0 takes every limit from" in result.stdout
    (tmp_path / "env").write_text(f"{high}=0.4\nOMP_NUM_THREADS=3\n")
    (tmp_path / "swarm.yml").write_text(
        "instances: 2\nlauncher:\n  env_file: env\n  env: {OMP_NUM_THREADS: 2}\n"
    )
    result = at(MINI, "--config", "swarm.yml", "--json", **{high: "0.0"})
    assert json.loads(result.stdout)["settings"][0]["own"] == {high: "0.4", "OMP_NUM_THREADS": "2"}


def test_json_is_the_whole_plan_in_bytes(at):
    plan = json.loads(at(MINI, "--json").stdout)
    assert (plan["fit"], plan["asked"], plan["fits"]) == (3, None, True)
    assert plan["machine"]["total_memory"] == 24 * GIB
    assert plan["limit"] == "memory"
    result = at(MINI, "--instances", "6", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["advice"].startswith("Start 3 instead")


def test_the_configuration_says_nodes_reserve_tuning_and_profile(at, tmp_path):
    (tmp_path / "swarm.yml").write_text(
        "instances: 3\nlauncher: {reserve: 8GiB, tune: false, profile: hivemind}\n"
    )
    result = at(MINI, "--config", "swarm.yml", "--json")
    plan = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (plan["asked"], plan["fit"], plan["reserve"]) == (3, 1, 8 * GIB)
    assert plan["profile"].startswith("RL Swarm v0.4")
    assert plan["training"] == {}


def test_a_command_of_ones_own_is_planned_as_such(at, tmp_path):
    (tmp_path / "swarm.yml").write_text("launcher: {command: ./train.sh}\n")
    plan = json.loads(at(MINI, "--config", "swarm.yml", "--json").stdout)
    assert (plan["profile"], plan["fit"]) == ("any command", 2)


def checkout(folder: Path) -> None:
    """A checkout of RL Swarm v0.4, as far as a plan looks at it."""
    file = folder / "hivemind_exp/configs/mac/grpo-qwen-2.5-0.5b-deepseek-r1.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "per_device_train_batch_size: 4\ngradient_accumulation_steps: 2\nnum_generations: 2\n"
        "max_completion_length: 1024\n"
    )
    (folder / "run_rl_swarm.sh").write_text("python -m hivemind_exp.gsm8k.train_single_gpu\n")


def test_folders_tell_the_profile_the_training_values_and_the_disk(at, tmp_path):
    for number in (1, 2, 3):
        checkout(tmp_path / f"rl-swarm-{number}")
    full = {name: getattr(MINI, name) for name in MINI.__struct_fields__} | {"disk_free": GIB}
    result = at(Machine(**full))
    assert "3 nodes fit." in result.stdout, "they are set up: a full disk limits only new ones"
    assert "A node of RL Swarm v0.4 (hivemind, math)" in result.stdout
    assert "per_device_train_batch_size  2     now 4" in result.stdout
    assert "gradient_accumulation_steps  4     now 2" in result.stdout
    assert "max_completion_length        512   now 1024" in result.stdout


def test_folders_of_ones_own_naming(at, tmp_path):
    checkout(tmp_path / "miners" / "a1")
    result = at(MINI, "--folder", "miners/a{i}", "--instances", "2", "--json")
    assert json.loads(result.stdout)["training_present"]["max_completion_length"] == 1024


def test_a_node_that_runs_is_measured(at, tmp_path, monkeypatch):
    checkout(tmp_path / "rl-swarm-1")
    asked = []

    def measured(folders, trainer):
        asked.append((folders, trainer))
        return 9 * GIB

    monkeypatch.setattr(plan_of, "measured_memory", measured)
    result = at(MINI)
    assert "takes 9.0 GiB: measured on a running node." in result.stdout
    assert "2 nodes fit." in result.stdout
    assert asked == [([tmp_path / "rl-swarm-1"], r"-m hivemind_exp\.gsm8k\.train_single_gpu")]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--instances", "0"], FlagError, "--instances: must be between"),
        (["--profile", "nonsense"], ConfigError, "give hivemind, genrl, codezero, custom"),
        (["--config", "absent.yml"], ConfigError, "absent.yml"),
    ],
)
def test_what_cannot_be_planned(at, arguments, error, words):
    result = at(MINI, *arguments)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)


def test_the_program_itself_on_this_machine(tmp_path):
    result = subprocess.run(
        [*COMMAND, "plan", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    plan = json.loads(result.stdout)
    assert plan["machine"]["platform"] == ("darwin" if sys.platform == "darwin" else "linux")
    assert plan["machine"]["total_memory"] > 0
    refused = subprocess.run(
        [*COMMAND, "plan", "--instances", "900"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "900 nodes do not fit." in refused.stdout
