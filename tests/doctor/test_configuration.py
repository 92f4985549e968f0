from __future__ import annotations

import os
from pathlib import Path

from support import make_config, make_node
from swarm_exporter.doctor.check import Outcome
from swarm_exporter.doctor.configuration import check_configuration
from swarm_exporter.state import StateFile


def outcomes(config, problem=""):
    return [(check.outcome, check.what) for check in check_configuration(config, problem)]


def test_a_configuration_that_was_refused_names_its_fix():
    checks = check_configuration(make_config(), "swarm.yml:3: interval: write 15s")
    assert checks[0].outcome is Outcome.FAILURE
    assert checks[0].what == "swarm.yml:3: interval: write 15s"


def test_warnings_of_the_configuration():
    config = make_config(make_node(), warnings=("SWARM_INSTANCE is not known",))
    assert (Outcome.WARNING, "SWARM_INSTANCE is not known") in outcomes(config)
    assert outcomes(config)[0] == (Outcome.OK, "1 node, without a file")


def test_a_state_folder_that_is_not_there_is_not_made(tmp_path):
    folder = tmp_path / "a" / "b"
    assert (
        Outcome.OK,
        "not there yet; it is made at the first start",
    ) in outcomes(make_config(state_dir=folder))
    assert not folder.parent.exists()
    (tmp_path / "file").touch()
    found = outcomes(make_config(state_dir=tmp_path / "file" / "x"))
    assert found[-1][0] is Outcome.FAILURE


def test_modes_that_others_may_use_are_warned_of(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "state.json").chmod(0o644)
    checks = check_configuration(make_config(state_dir=tmp_path), "")
    assert [check.fix for check in checks if check.outcome is Outcome.WARNING] == [
        f"chmod 700 '{tmp_path}'",
        f"chmod 600 '{tmp_path / 'state.json'}'",
    ]
    tmp_path.chmod(0o700)
    (tmp_path / "state.json").chmod(0o600)
    assert {outcome for outcome, _ in outcomes(make_config(state_dir=tmp_path))} == {Outcome.OK}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_the_exporter_that_holds_the_state_is_named(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "state.json").touch(0o600)
    config = make_config(state_dir=tmp_path)
    assert not [what for _, what in outcomes(config) if "in use" in what]
    StateFile(tmp_path / "state.json").lock()
    assert (Outcome.OK, f"in use by an exporter (process {os.getpid()})") in outcomes(config)


def test_a_state_folder_that_cannot_be_written(tmp_path):
    # Where there is a /proc, root may not write there either.
    tmp_path.chmod(0o500)
    folder = next(path for path in (Path("/proc"), tmp_path) if path.is_dir())
    checks = check_configuration(make_config(state_dir=folder), "")
    assert checks[-1].outcome is Outcome.FAILURE
    assert checks[-1].what.startswith("cannot be written (")
    assert "--state-dir" in checks[-1].fix
