"""Who listens where: the exporter's own address, the nodes' APIs, and login apps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

from swarm_exporter.config import Config
from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.launcher.control import exporter_url
from swarm_exporter.launcher.ports import holder, is_taken
from swarm_exporter.launcher.state import LauncherState, NodeRecord
from swarm_exporter.sources.http import LOOPBACK_IS_DIRECT

GROUP = Group("ports")
_TIMEOUT = 3.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HEALTHY = "swarm-exporter is healthy"


def check_ports(
    config: Config,
    state: LauncherState | None,
    *,
    is_taken: Callable[[int], bool] = is_taken,
    holder: Callable[[int], str] = holder,
) -> list[Check]:
    """Return the checks; `state` is the launcher's, where nodes were launched."""
    checks = [_own(config, is_taken, holder)]
    checks += [
        GROUP.good(f"API port {port}", f"of {names}; held by {holder(port)}")
        if is_taken(port)
        else GROUP.absent(f"API port {port}", f"of {names}; nobody listens")
        for port, names in _api_ports(config).items()
    ]
    for record in (state.nodes if state is not None else {}).values():
        checks += _launched(record, is_taken, holder)
    return checks


def _own(config: Config, is_taken: Callable[[int], bool], holder: Callable[[int], str]) -> Check:
    port = config.listen_port
    subject = f"exporter's port {port}"
    if port == 0:
        return GROUP.good("exporter's port", "any free one")
    if not is_taken(port):
        return GROUP.good(subject, "free")
    if _is_exporter(exporter_url(config)):
        return GROUP.good(subject, "a swarm-exporter runs there")
    return GROUP.failure(
        subject,
        f"held by {holder(port)}, which does not answer as an exporter does",
        "end that, or give another address with --listen",
    )


def _is_exporter(url: str) -> bool:
    try:
        with httpx.Client(mounts=LOOPBACK_IS_DIRECT, timeout=_TIMEOUT) as client:
            return client.get(f"{url}/-/healthy").text.startswith(_HEALTHY)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _api_ports(config: Config) -> Mapping[int, str]:
    """Return the ports of this machine that nodes' APIs are on, and in words whose."""
    found: dict[int, list[str]] = {}
    for node in config.nodes:
        parts = urlsplit(node.api)
        if parts.hostname in _LOOPBACK:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found.setdefault(port, []).append(node.name)
    return {
        port: f"node{'s' * (len(names) > 1)} {', '.join(names)}" for port, names in found.items()
    }


def _launched(
    record: NodeRecord, is_taken: Callable[[int], bool], holder: Callable[[int], str]
) -> list[Check]:
    checks = []
    for name, port in record.ports.items():
        subject = f"{name} port {port}"
        if not is_taken(port):
            checks.append(GROUP.good(subject, f"of node {record.name}; free"))
        elif record.runs:
            checks.append(GROUP.good(subject, f"of node {record.name}; held by {holder(port)}"))
        else:
            checks.append(
                GROUP.failure(
                    subject,
                    f"of node {record.name}, which does not run, but held by {holder(port)}",
                    "end that, or give the node another port under `ports`",
                )
            )
    return checks
