"""What a node's runner and the policy need to know of it: one JSON file, mode 0600."""

from __future__ import annotations

import msgspec

from swarm_exporter.config import values
from swarm_exporter.config.launcher import Launcher, Restart, Watchdog
from swarm_exporter.durations import parse_duration
from swarm_exporter.launcher.nodes import LAUNCHER_LOG, LaunchNode
from swarm_exporter.launcher.profile import signal_number


class SpecPrompt(msgspec.Struct, frozen=True):
    """A question's name, its pattern, and the answer: None where none was given."""

    name: str
    pattern: str
    answer: str


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is fixed before a node starts. Times in seconds, sizes in bytes."""

    name: str
    slug: str
    marker: str
    folder: str
    logs: str
    profile: str
    command: tuple[str, ...]
    env: dict[str, str]
    #: Names of the variables among them that the plan has set.
    planned: tuple[str, ...] = ()
    unset: tuple[str, ...]
    umask: int
    prompts: tuple[SpecPrompt, ...]
    login: tuple[str, ...]
    identity: str
    ports: dict[str, int]
    stop_signal: int
    stop_grace: float
    console: str
    log_size: int
    log_files: int
    #: A line without an end that nothing follows for so long is a question.
    question_after: float = 10.0
    trainer: str
    trainer_grace: float
    waiting_login: str
    logged_in: str
    ready_log: str
    ready_pattern: str
    ready_after: float
    submit_period: float | None
    submit_log: str
    submit_accepted: str
    submit_refused: str
    start_timeout: float
    #: What it needs of the machine's memory until it is measured.
    memory: int

    def is_changed(self, other: NodeSpec) -> bool:
        """Tell whether a node must be restarted to be as `other` says.

        Settings that only the plan has changed (one node more shares the machine) wait for the
        next start: a restart throws away reward.
        """
        return self._own() != other._own()

    def _own(self) -> NodeSpec:
        env = {name: value for name, value in self.env.items() if name not in self.planned}
        return msgspec.structs.replace(self, env=env, planned=(), memory=0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy needs to know beyond the nodes."""

    #: The nodes' names, in the order in which they are started.
    nodes: tuple[str, ...]
    ramp_interval: float
    #: Memory that is left to the machine.
    reserve: int
    look_interval: float
    restart: Restart
    watchdog: Watchdog
    #: Where an exporter answers that knows what the nodes earn.
    exporter_url: str


def node_spec(
    node: LaunchNode, settings: Launcher, *, slug: str, marker: str, memory: int | None = None
) -> NodeSpec:
    """Return the spec of one node. `memory` is what such a node was measured to need."""
    profile = node.profile
    tuned = settings.tune and profile.tuning is not None
    need = profile.need.tuned_memory if tuned else profile.need.memory
    period = profile.submit.period
    return NodeSpec(
        name=node.name,
        slug=slug,
        marker=marker,
        folder=str(node.folder),
        logs=str(node.logs),
        profile=node.profile_name,
        command=node.command,
        env=dict(node.env),
        unset=tuple(profile.unset),
        umask=settings.umask,
        prompts=tuple(
            SpecPrompt(prompt.name, prompt.pattern, node.answers.get(prompt.name, ""))
            for prompt in profile.prompts
        ),
        login=tuple(str(node.folder / name) for name in profile.login),
        identity=str(node.identity or ""),
        ports=dict(node.ports),
        stop_signal=signal_number(profile.stop.signal),
        stop_grace=parse_duration(profile.stop.grace),
        console=str(node.logs / LAUNCHER_LOG),
        log_size=settings.log_size,
        log_files=settings.log_files,
        trainer=profile.trainer,
        trainer_grace=parse_duration(profile.trainer_grace),
        waiting_login=profile.waiting_login,
        logged_in=profile.logged_in,
        ready_log=str(node.folder / profile.ready.log) if profile.ready.log else "",
        ready_pattern=profile.ready.pattern,
        ready_after=parse_duration(profile.ready.after),
        submit_period=parse_duration(period) if period else None,
        submit_log=str(node.folder / profile.submit.log) if profile.submit.log else "",
        submit_accepted=profile.submit.accepted,
        submit_refused=profile.submit.refused,
        start_timeout=parse_duration(profile.start_timeout),
        memory=memory or values.size_of_anything(need),
    )
