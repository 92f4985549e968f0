from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from launcher_repository import GENERATIONS, SUBMITS, make_repository
from support import make_config, make_node
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.nodes import launch_nodes
from swarm_exporter.launcher.patches import FileChange, changes, diff
from swarm_exporter.launcher.profile import Patch


def launch_node(folder: Path, generation: str, number: int = 2):
    nodes = (make_node(str(n + 1), f"http://127.0.0.1:{n}") for n in range(number - 1))
    config = make_config(*nodes, make_node(str(number), "http://127.0.0.1:9", folder=folder))
    return launch_nodes(config, folder.parent, generation)[-1]


def reading(folder: Path):
    def read(file: str) -> str | None:
        path = folder / file
        return path.read_text() if path.exists() else None

    return read


@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_generation_gets_the_ports_of_its_node(tmp_path, generation):
    folder = make_repository(tmp_path / "checkout", generation)
    planned = changes(launch_node(folder, generation, number=3), reading(folder), {})
    after = {change.file: change.after for change in planned.files}
    assert after["run_rl_swarm.sh"].count("localhost:3002") == 2
    assert "localhost:3000" not in after["run_rl_swarm.sh"]
    assert "http://localhost:3002/api/" in after[SUBMITS[generation]]
    assert '"dev": "next dev -p 3002"' in after["modal-login/package.json"]
    assert '"start": "next start -p 3002"' in after["modal-login/package.json"]
    assert planned.notes == ()
    if generation == "codezero":
        assert "localhost:11434" in after["run_rl_swarm.sh"], "ollama is one for all nodes"
    if generation == "hivemind":
        gpu = after["hivemind_exp/configs/gpu/grpo-qwen-2.5-0.5b-deepseek-r1.yaml"]
        assert "/ip4/0.0.0.0/tcp/38333" in gpu


@pytest.mark.parametrize("generation", GENERATIONS)
def test_patching_and_tuning_twice_is_doing_it_once(tmp_path, generation):
    folder = make_repository(tmp_path / "checkout", generation)
    node = launch_node(folder, generation)
    first = changes(node, reading(folder), node.profile.tuning.keys)
    for change in first.files:
        (folder / change.file).write_text(change.after)
    assert len(first.files) >= 3
    assert changes(node, reading(folder), node.profile.tuning.keys).files == ()


def test_patches_and_tuned_keys_of_one_file_come_together(tmp_path):
    folder = make_repository(tmp_path / "checkout", "genrl")
    node = launch_node(folder, "genrl")
    planned = changes(node, reading(folder), {"training.num_transplant_trees": 1})
    file = next(c for c in planned.files if c.file == SUBMITS["genrl"])
    assert "  num_transplant_trees: 1\n" in file.after
    assert "localhost:3001" in file.after
    assert file.before == (folder / SUBMITS["genrl"]).read_text()


def with_patch(node, **patch):
    facts = {"file": "run_rl_swarm.sh", "find": "x^", "replace": "", "why": "of a test"}
    profile = msgspec.structs.replace(node.profile, patches=[Patch(**{**facts, **patch})])
    return msgspec.structs.replace(node, profile=profile)


def test_a_patch_that_matches_nothing_names_file_patch_and_fix(tmp_path):
    folder = make_repository(tmp_path / "checkout", "genrl")
    node = launch_node(folder, "genrl")
    with pytest.raises(SwarmExporterError) as error:
        changes(with_patch(node), reading(folder), {})
    for part in ("node 2", "run_rl_swarm.sh", "`x^`", "of a test", "--revision", "--profile"):
        assert part in str(error.value)
    with pytest.raises(SwarmExporterError, match=r"gone\.sh does not exist"):
        changes(with_patch(node, file="gone.sh"), reading(folder), {})
    for file in ("run_rl_swarm.sh", "gone.sh"):
        assert changes(with_patch(node, file=file, optional=True), reading(folder), {}).files == ()


def test_a_folder_with_a_backslash_is_filled_in_as_it_is(tmp_path):
    folder = make_repository(tmp_path / "a\\1 ü", "genrl")
    node = with_patch(launch_node(folder, "genrl"), find="(?m)^wait$", replace="cd '{folder}'")
    (change,) = changes(node, reading(folder), {}).files
    assert change.after.endswith(f"cd '{folder}'\n")


def test_a_replacement_that_cannot_be_is_said(tmp_path):
    folder = make_repository(tmp_path / "checkout", "genrl")
    node = launch_node(folder, "genrl")
    for replace in ("{nothing}", r"\9"):
        with pytest.raises(SwarmExporterError, match="`replace` cannot be used"):
            changes(with_patch(node, find="wait", replace=replace), reading(folder), {})


def test_a_missing_tuning_file_is_said_and_nothing_is_tuned(tmp_path):
    folder = make_repository(tmp_path / "checkout", "hivemind")
    node = launch_node(folder, "hivemind")
    (folder / node.profile.tuning.file).unlink()
    planned = changes(node, reading(folder), node.profile.tuning.keys)
    assert planned.notes == (f"{node.profile.tuning.file} is missing, so no training key was set",)


def test_a_diff_keeps_odd_line_ends_on_their_line():
    change = FileChange("a.sh", "one\u2028x\r\ntwo", "one\u2028x\r\nthree")
    assert diff(change) == (
        "--- a/a.sh\n+++ b/a.sh\n@@ -1,2 +1,2 @@\n one\u2028x\r\n"
        "-two\n\\ No newline at end of file\n+three\n\\ No newline at end of file\n"
    )
