"""What the exporter says of nodes whose launcher has died: nothing that is not so."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from launcher_support import make_spec
from swarm_exporter.config import Flags, load_config
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.state import (
    LauncherState,
    NodeRecord,
    RestartReason,
    State,
    save_state,
)
from swarm_exporter.sources.launcher import LaunchedNodes

TRAINER = [
    sys.executable,
    "-c",
    "import time; time.sleep(600)",
    "-m",
    "rgym_exp.runner.swarm_launcher",
]


@pytest.fixture
def left(tmp_path):
    """A launcher's state that nobody has written for a minute, and its node's folder."""
    folder = tmp_path / "rl-swarm-1"
    folder.mkdir()
    record = NodeRecord(
        name="1",
        state=State.RUNNING,
        started=time.time() - 500,
        folder=make_spec(folder=str(folder)).folder,
        profile="genrl",
        restarts={RestartReason.EXITED: 5},
    )
    config = load_config(Flags(folder=str(folder), state_dir=str(tmp_path / "state")), {}, tmp_path)
    files = LauncherFiles(config.state_dir)
    files.prepare()
    save_state(files.state, LauncherState(time=time.time() - 60, nodes={"1": record}))
    return config, folder


def look(config):
    facts = LaunchedNodes(NodeTrees())._read(config.nodes, config, time.time())
    return facts.value.nodes["1"]


def test_restarts_do_not_fall_to_zero_while_the_trainer_outlives_its_launcher(left):
    config, folder = left
    with subprocess.Popen(TRAINER, cwd=folder) as trainer:
        try:
            process = look(config)
        finally:
            trainer.kill()
    assert (process.state, process.trainer_up, process.launched) == ("unknown", True, True)
    assert process.restarts == {"exited": 5}
    process = look(config)
    assert (process.state, process.trainer_up) == ("unknown", False)
    assert process.restarts == {"exited": 5}
