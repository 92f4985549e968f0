"""A launched node really gets the helper."""

from __future__ import annotations

import stat
import sys
import textwrap

import pytest

from launcher_support import LaunchedNodes
from support import eventually
from swarm_exporter.launcher.nodes import TORCH_HELPER

TRAINER = """
import os, sitecustomize, time
print("helper", sitecustomize.__file__, os.path.isdir(os.environ["SWARM_EXPORTER_TORCH_DIR"]))
time.sleep(600)
"""


@pytest.fixture
def nodes(tmp_path):
    nodes = LaunchedNodes(tmp_path)
    yield nodes
    nodes.end_by_force()


def test_the_helper_is_in_the_nodes_python_with_a_private_folder(nodes, tmp_path):
    (tmp_path / "trainer.py").write_text(TRAINER)
    config = nodes.configure(
        textwrap.dedent(f"""
            launcher:
              torch_helper: true
              command: [{sys.executable}, -uB, {tmp_path / "trainer.py"}]
        """)
    )
    nodes.launch(config)
    said = f"helper {TORCH_HELPER / 'sitecustomize.py'} True"
    eventually(lambda: said in nodes.console(), said)
    assert stat.S_IMODE(nodes.launcher.files.torch.stat().st_mode) == 0o700
