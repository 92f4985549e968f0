"""Every panel drawn by Grafana's own components in Chromium; `make boards-pictures` builds those."""

from __future__ import annotations

import sys

import pytest

from board_support import FILES, GRAFANA

sys.path.insert(0, str(GRAFANA / "preview"))

from draw import draw

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (GRAFANA / "preview" / "dist").is_dir(),
        reason="Grafana's components are not built (make boards-pictures)",
    ),
]


def test_every_panel_of_every_board_is_drawn(prometheus, real_binary, tmp_path):
    real_binary("chromium")
    assert draw(prometheus.url, tmp_path, "now-15m") == []
    boards = {file.stem for file in FILES if file.parent.name == "dashboards"}
    pictures = {picture.stem: picture.stat().st_size for picture in tmp_path.glob("*.png")}
    assert pictures.keys() == boards
    # A board that is drawn takes some space; an empty page takes a few kilobytes.
    assert min(pictures.values()) > 20_000
