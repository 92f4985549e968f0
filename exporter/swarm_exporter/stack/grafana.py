"""Grafana: the boards. Files and settings of Grafana 11 and 12."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from swarm_exporter.assets import asset_files
from swarm_exporter.launcher.private_files import write_private
from swarm_exporter.stack.server import Server, Settings

#: The admin's password, made at the first start.
PASSWORD = "grafana/admin-password"  # noqa: S105 - the name of a file
_SETTINGS = """\
# Written by `swarm-exporter stack up`; a change of yours is kept.
[server]
http_addr = 127.0.0.1
http_port = {port}

[paths]
data = {root}/data/grafana
logs = {root}/data/grafana/log
plugins = {root}/data/grafana/plugins
provisioning = {root}/grafana/provisioning

[security]
admin_user = admin
admin_password = $__file{{{root}/{password}}}

# Whoever can reach loopback may look; to change anything, log in as admin.
[auth.anonymous]
enabled = true
org_role = Viewer

[dashboards]
default_home_dashboard_path = {root}/grafana/dashboards/swarm.json

[users]
default_language = {language}

# Nothing is sent anywhere, and no plugin is fetched.
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false

[news]
news_feed_enabled = false

[plugins]
preinstall_disabled = true

[log]
mode = console
level = warn
"""
_LANGUAGES = {"en": "en-US", "zh": "zh-Hans"}


class Grafana(Server):
    """The boards."""

    name = "grafana"
    about = "boards"
    #: Its own 3000 is that of RL Swarm's login app.
    default_port = 10330
    programs = ("grafana", "grafana-server")
    brew = "brew install grafana"
    debian = "see https://grafana.com/docs/grafana/latest/setup-grafana/installation/debian/"
    ready_path = "/api/health"

    def files(self, settings: Settings, root: Path) -> Mapping[str, bytes]:
        """Return its settings, the provisioning and the boards in the language asked for."""
        wanted = ("grafana/dashboards/", "grafana/provisioning/")
        assets = asset_files(settings.lang)
        text = _SETTINGS.format(
            port=settings.ports[self.name],
            root=root,
            password=PASSWORD,
            language=_LANGUAGES[settings.lang],
        )
        boards = {k: v for k, v in assets.items() if k.startswith(wanted)}
        return {"grafana/grafana.ini": text.encode(), **boards}

    def command(self, program: Path, settings: Settings, root: Path) -> Sequence[str]:  # noqa: ARG002
        """Start `grafana server`, or the `grafana-server` that older packages have."""
        password = root / PASSWORD
        if not password.exists():
            write_private(password, secrets.token_urlsafe(18).encode())
        home = _home(program)
        return (
            str(program),
            *(("server",) if program.name == "grafana" else ()),
            *((f"--homepath={home}",) if home is not None else ()),
            "--config=grafana/grafana.ini",
        )

    def environ(self, settings: Settings, root: Path) -> Mapping[str, str]:
        """Name what the provisioning asks for; the address holds whatever a person's file says."""
        return {
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(settings.ports[self.name]),
            "SWARM_BOARDS": f"{root}/grafana/dashboards",
            "SWARM_PROMETHEUS": settings.url("prometheus"),
        }


def _home(program: Path) -> Path | None:
    """Return the folder of Grafana's own files: beside the program, or where packages put it."""
    real = program.resolve()
    candidates = (
        real.parents[1],
        real.parents[1] / "share" / "grafana",
        Path("/usr/share/grafana"),
    )
    return next((c for c in candidates if (c / "conf" / "defaults.ini").is_file()), None)
