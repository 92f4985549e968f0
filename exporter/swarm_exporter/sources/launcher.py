"""What runs of each node on this machine: the launcher's own word, or what is found by folder.

The launcher writes what it knows to a file at each look; the process table tells of nodes that
somebody else started.
"""

from __future__ import annotations

from pathlib import Path

from swarm_exporter.config import Config
from swarm_exporter.host.trees import NodeTrees
from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.profile import BUILT_IN
from swarm_exporter.launcher.state import (
    SILENT_AFTER_SECONDS,
    LauncherState,
    NodeRecord,
    State,
    load_state,
)
from swarm_exporter.model import Node, NodeProcess, Processes
from swarm_exporter.sources.base import Context, Facts, Source, Target
from swarm_exporter.sources.worker import Worker

_LEFT = "the launcher does not run"
_NOT_RUN_HERE = (State.STOPPED.value, State.UNKNOWN.value)


class LaunchedNodes(Source):
    """The processes of every node, by one look."""

    name = "launcher"

    def __init__(self, trees: NodeTrees) -> None:
        """Find the nodes that the launcher does not run in `trees`."""
        self._trees = trees
        self._worker = Worker()

    def targets(self, config: Config) -> list[Target]:
        """Return one target for all nodes."""
        key = str(LauncherFiles(config.state_dir).state)
        return [Target(self.name, key, config.nodes, config.interval)]

    async def poll(self, target: Target, context: Context) -> Facts:
        """Read the launcher's file and, for nodes that it does not run, the process table."""
        now = context.clock.time()
        return await self._worker.run(
            lambda: self._read(target.nodes, context.config, now),
            context.config.timeout,
            "a node's folder or the launcher's files do not answer",
        )

    def _read(self, nodes: tuple[Node, ...], config: Config, now: float) -> Facts:
        state = load_state(LauncherFiles(config.state_dir).state) or LauncherState()
        records = {n.name: state.nodes[n.name] for n in nodes if n.name in state.nodes}
        silent = now - state.time > SILENT_AFTER_SECONDS
        #: Nodes that the launcher has left to themselves.
        left = [name for name, r in records.items() if silent and r.state is not State.STOPPED]
        found = {name: _launched(r, state) for name, r in records.items() if name not in left}
        found |= {name: _left(records[name]) for name in left}
        found |= self._found_by_folder(nodes, records, found)
        return Facts(Processes(found), summary=_summary(found))

    def _found_by_folder(
        self,
        nodes: tuple[Node, ...],
        records: dict[str, NodeRecord],
        known: dict[str, NodeProcess],
    ) -> dict[str, NodeProcess]:
        """Return what runs in the folders of nodes that the launcher does not run now."""
        folders, identities = {}, {}
        for node in nodes:
            resting = node.name not in known or known[node.name].state in _NOT_RUN_HERE
            folder = node.folder
            if folder is None and node.name in records:
                folder = Path(records[node.name].folder)
            if resting and folder is not None:
                folders[node.name] = folder
            if resting and node.identity_file is not None:
                identities[node.name] = node.identity_file
        if not folders and not identities:
            return {}
        found = {}
        for name, trainer in self._trees.trainers(folders, identities).items():
            left = name in known and known[name].state == State.UNKNOWN.value
            found[name] = NodeProcess(
                state=State.UNKNOWN.value if left else State.RUNNING.value,
                reason=_LEFT if left else "",
                launched=left,
                profile=trainer.profile,
                started=trainer.started,
                trainer_up=True,
                # A counter that fell to 0 and came back would count its restarts twice.
                restarts=known[name].restarts if left else {},
            )
        return found


def _left(record: NodeRecord) -> NodeProcess:
    """Return what is known of a node without its launcher: that no trainer was found, if so."""
    recognisable = record.profile in BUILT_IN and record.profile != "custom"
    return NodeProcess(
        state=State.UNKNOWN.value,
        reason=_LEFT,
        profile=_profile_name(record),
        trainer_up=False if recognisable else None,
        restarts={reason.value: count for reason, count in record.restarts.items()},
    )


def _launched(record: NodeRecord, state: LauncherState) -> NodeProcess:
    reason = record.reason
    if record.wanted and record.state is State.STOPPED and state.ramp_problem:
        reason = state.ramp_problem
    return NodeProcess(
        state=record.state.value,
        reason=reason,
        since=record.since,
        profile=_profile_name(record),
        started=record.started if record.runs else None,
        trainer_up=record.trainer_pid is not None,
        waiting_login=record.waiting_login,
        question=record.question,
        login_port=record.ports.get("login"),
        failures=record.failures,
        next_start=record.due if record.state is State.BACKOFF else None,
        restarts={reason.value: count for reason, count in record.restarts.items()},
        postponed=record.postponed.value if record.postponed is not None else "",
        submit_period=record.submit_period,
        last_submit=record.last_submit,
        submits={"accepted": record.submits_accepted, "refused": record.submits_refused},
        next_submit=record.next_submit,
        unsubmitted_since=record.unsubmitted_since,
    )


def _profile_name(record: NodeRecord) -> str:
    """Return the name of a profile; of a person's own file without its folders."""
    file = Path(record.profile)
    return file.stem if file.suffix in (".yml", ".yaml") else record.profile


def _summary(found: dict[str, NodeProcess]) -> str:
    if not found:
        return "no node of this exporter was started on this machine"
    up = sum(process.trainer_up is True for process in found.values())
    return f"{up} of {len(found)} trainers run"
