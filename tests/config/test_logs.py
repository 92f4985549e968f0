from __future__ import annotations

import pytest

from swarm_exporter.config.logs import FileTrainingLog, TrainingLog, resolve_training_log
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "swarm.yml"
    path.write_text("nodes:\n  - log:\n      file: run.log\n")
    return Document(path, "swarm.yml")


def test_a_nodes_folder_is_where_its_logs_are(tmp_path):
    assert resolve_training_log(None, tmp_path, "", None) == TrainingLog(folder=tmp_path)


def test_without_a_folder_or_a_log_there_is_nothing_to_read():
    assert resolve_training_log(None, None, "", None) is None
    assert resolve_training_log(FileTrainingLog(), None, "", None) is None


def test_a_log_and_patterns_of_ones_own_are_relative_to_the_file(tmp_path, document):
    file = FileTrainingLog(file="run.log", patterns="~/own.yaml")
    found = resolve_training_log(file, None, "nodes[0].log", document)
    assert found is not None
    assert found.file == tmp_path / "run.log"
    assert found.patterns is not None
    assert found.patterns.is_absolute()


def test_a_path_that_cannot_be_is_refused_with_its_place(document):
    file = FileTrainingLog(file="~nobody-of-this-name/run.log")
    with pytest.raises(ConfigError, match=r"swarm\.yml:3: nodes\[0\]\.log\.file: .*unknown user"):
        resolve_training_log(file, None, "nodes[0].log", document)
