"""What Grafana is told. No package of Debian, PyPI or npm has a Grafana to ask itself."""

from __future__ import annotations

import configparser
import json
import shlex
import stat
from pathlib import Path

import pytest

from swarm_exporter.stack.grafana import PASSWORD, Grafana
from swarm_exporter.stack.server import Settings

ROOT = Path("/state folder/stack")


def settings(lang: str = "en") -> Settings:
    return Settings(
        ports={"grafana": 10330, "prometheus": 9191},
        servers=("grafana", "prometheus"),
        exporter_url="http://127.0.0.1:10331",
        lang=lang,
    )


def ini(lang: str = "en") -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    text = Grafana().files(settings(lang), ROOT)["grafana/grafana.ini"].decode()
    parser.read_string(text)
    return parser


def test_it_listens_on_loopback_and_calls_nobody():
    told = ini()
    assert told["server"]["http_addr"] == "127.0.0.1"
    assert told["server"]["http_port"] == "10330"
    assert told["analytics"]["reporting_enabled"] == "false"
    assert told["analytics"]["check_for_updates"] == "false"
    assert told["plugins"]["preinstall_disabled"] == "true"


def test_a_look_needs_no_login_and_a_change_needs_the_password_from_its_file():
    told = ini()
    assert told["auth.anonymous"]["org_role"] == "Viewer"
    assert told["security"]["admin_password"] == f"$__file{{{ROOT / PASSWORD}}}"


def test_the_home_board_is_one_that_is_written():
    files = Grafana().files(settings(), ROOT)
    home = Path(ini()["dashboards"]["default_home_dashboard_path"]).relative_to(ROOT)
    assert json.loads(files[home.as_posix()])["uid"] == "swarm"


def test_boards_and_language_are_those_asked_for():
    english, chinese = (Grafana().files(settings(lang), ROOT) for lang in ("en", "zh"))
    assert english["grafana/dashboards/swarm.json"] != chinese["grafana/dashboards/swarm.json"]
    assert ini("zh")["users"]["default_language"] == "zh-Hans"


def test_the_provisioning_finds_boards_and_prometheus():
    environ = Grafana().environ(settings(), ROOT)
    assert environ == {
        # Whatever a person's own settings say: `up` looks for it there.
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": "10330",
        "SWARM_BOARDS": f"{ROOT}/grafana/dashboards",
        "SWARM_PROMETHEUS": "http://127.0.0.1:9191",
    }
    provisioning = b"".join(
        content
        for name, content in Grafana().files(settings(), ROOT).items()
        if "provisioning" in name
    ).decode()
    assert all(f"${name}" in provisioning for name in environ if name.startswith("SWARM_"))


@pytest.mark.parametrize("layout", ["brew", "tarball", "package"])
def test_its_own_files_are_found_beside_the_program(tmp_path, layout):
    home = {
        "brew": tmp_path / "Cellar/grafana/12.2.0/share/grafana",
        "tarball": tmp_path / "grafana-12.2.0",
        "package": tmp_path / "usr/share/grafana",
    }[layout]
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "defaults.ini").write_text("")
    bin_folder = {
        "brew": tmp_path / "Cellar/grafana/12.2.0/bin",
        "tarball": home / "bin",
        "package": tmp_path / "usr/sbin",
    }[layout]
    bin_folder.mkdir(parents=True)
    program = bin_folder / "grafana"
    program.write_text("")
    link = tmp_path / "grafana"
    link.symlink_to(program)
    (tmp_path / "grafana-data").mkdir()
    command = Grafana().command(link, settings(), tmp_path / "grafana-data")
    assert command[0] == str(link)
    assert command[1:] == ("server", f"--homepath={home}", "--config=grafana/grafana.ini")


def test_the_password_is_made_once_and_is_nobody_elses_to_read(tmp_path):
    program = tmp_path / "grafana-server"
    for _ in range(2):
        command = Grafana().command(program, settings(), tmp_path)
        assert "server" not in shlex.join(command).split()
        password = (tmp_path / PASSWORD).read_bytes()
        assert len(password) >= 20
        assert stat.S_IMODE((tmp_path / PASSWORD).stat().st_mode) == 0o600
        assert password.decode() not in shlex.join(command)
    assert (tmp_path / PASSWORD).read_bytes() == password
