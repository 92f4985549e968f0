"""The launcher: does its supervisor answer, and what has become of its nodes."""

from __future__ import annotations

from pathlib import Path

from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.durations import format_duration
from swarm_exporter.launcher.control import Launcher
from swarm_exporter.launcher.state import (
    SILENT_AFTER_SECONDS,
    LauncherState,
    NodeRecord,
    State,
)

GROUP = Group("launcher")


def check_launcher(state_dir: Path, now: float) -> list[Check]:
    """Return the checks of the launcher whose files are in `state_dir`; nothing is changed."""
    launcher = Launcher(state_dir)
    state = launcher.state()
    deaf = launcher.supervisor.deaf_process
    if launcher.supervisor.answers():
        checks = [GROUP.good("supervisor", "answers"), _policy(launcher, state, now)]
        return checks + [_node(record) for record in _records(state)]
    if (process := deaf()) is not None:
        return [
            GROUP.failure(
                "supervisor",
                f"runs (process {process.pid}) but does not answer",
                "end it and all nodes with `swarm-exporter stop`, then `swarm-exporter launch`",
            )
        ]
    if orphans := launcher.orphans():
        return [
            GROUP.failure(
                "supervisor",
                f"is gone, but its nodes run on: {', '.join(orphans)}",
                "`swarm-exporter stop` ends them, `swarm-exporter launch` starts them again",
            )
        ]
    if wanted := [r.name for r in _records(state) if r.wanted]:
        return [
            GROUP.warning(
                "supervisor",
                f"does not run, although nobody has stopped {', '.join(wanted)}",
                "start the nodes with `swarm-exporter launch`",
            )
        ]
    if state is not None and state.nodes:
        return [GROUP.absent("supervisor", "does not run: all nodes were stopped")]
    return [GROUP.absent("launcher", "nothing was launched here")]


def _records(state: LauncherState | None) -> list[NodeRecord]:
    return list(state.nodes.values()) if state is not None else []


def _policy(launcher: Launcher, state: LauncherState | None, now: float) -> Check:
    silent = now - state.time if state is not None else None
    if silent is None or silent > SILENT_AFTER_SECONDS:
        since = f" for {format_duration(silent)}" if silent is not None else ""
        return GROUP.failure(
            "policy",
            f"has written nothing{since}",
            f"look at {launcher.files.policy_log}",
        )
    return GROUP.good("policy", "looks at the nodes")


def _node(record: NodeRecord) -> Check:
    subject = f"node {record.name}"
    why = f": {record.reason}" if record.reason else ""
    if record.state is State.FATAL:
        fix = f"look at `swarm-exporter logs {record.name}`, then `swarm-exporter restart`"
        return GROUP.failure(subject, f"ended too often and was given up{why}", fix)
    if record.state in (State.BACKOFF, State.EXITED, State.UNKNOWN):
        fix = f"look at `swarm-exporter logs {record.name}`"
        return GROUP.warning(subject, f"{record.state.value}{why}", fix)
    if record.waiting_login:
        port = record.ports.get("login")
        where = f" at http://localhost:{port}" if port is not None else ""
        return GROUP.warning(subject, "waits for a person to log in", f"log in{where}")
    if record.question:
        fix = "give the answer under `launcher: answers:`, then `swarm-exporter launch`"
        return GROUP.warning(subject, f"asks: {record.question}", fix)
    if record.state is State.STOPPED:
        return GROUP.absent(subject, f"stopped{why}")
    return GROUP.good(subject, f"{record.state.value}{why}")
