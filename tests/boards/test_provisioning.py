"""What Grafana reads at its start."""

from __future__ import annotations

import yaml

from boards_support import BOARDS, ROOT

_FOLDER = ROOT / "grafana" / "provisioning"


def test_the_data_source_is_prometheus_on_this_machine():
    (source,) = yaml.safe_load((_FOLDER / "datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    assert source["isDefault"] is True


def test_the_boards_are_read_from_the_folder_that_the_environment_names():
    (provider,) = yaml.safe_load((_FOLDER / "dashboards/swarm.yml").read_text())["providers"]
    assert provider["options"]["path"] == "${SWARM_BOARDS}"
    for language in ("en", "zh"):
        found = {path.stem for path in (ROOT / "grafana/dashboards" / language).iterdir()}
        assert found == set(BOARDS)
