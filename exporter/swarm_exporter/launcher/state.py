"""What the launcher knows of its nodes, as it is kept in a file and shown by everything else."""

from __future__ import annotations

import errno
import os
from enum import Enum
from pathlib import Path

import msgspec

from swarm_exporter.launcher.private_files import write_private

#: Where the launcher has not written for so long it does not run; seconds. It writes at each look.
SILENT_AFTER_SECONDS = 30.0
#: Blanks at the file's end, for what a full disk would not take.
_ROOM_BYTES = 32 * 1024


class State(str, Enum):
    """What becomes of a node, in supervisord's words (docs/launcher.md has the diagram)."""

    #: A person stopped it, or it was not its turn yet.
    STOPPED = "stopped"
    #: Its command runs; it does not take part in the swarm yet.
    STARTING = "starting"
    #: It takes part in the swarm.
    RUNNING = "running"
    #: It ended, and is started again at a known time.
    BACKOFF = "backoff"
    STOPPING = "stopping"
    #: It ended, and what comes next is not decided yet.
    EXITED = "exited"
    #: It ended too often: a person must look.
    FATAL = "fatal"
    #: The launcher itself does not run.
    UNKNOWN = "unknown"


class RestartReason(str, Enum):
    """Why a node was started again: the label `reason` of `swarm_node_restarts_total`."""

    #: Its command ended by itself, with whatever code: upstream exits 0 after a crash.
    EXITED = "exited"
    #: A signal from outside ended it: out of memory, or a person.
    KILLED = "killed"
    #: The command lived on without its trainer.
    TRAINER_GONE = "trainer_gone"
    #: No trainer appeared within the start timeout.
    NO_TRAINER = "no_trainer"
    #: A person asked for it.
    REQUESTED = "requested"
    #: Its configuration changed.
    CHANGED = "changed"
    #: The watchdog: it earned nothing for too long while others did.
    STALLED = "stalled"
    #: The watchdog: its log was silent for too long while it was idle.
    SILENT = "silent"
    #: The watchdog: it held too much memory.
    MEMORY = "memory"


class NodeRecord(msgspec.Struct, kw_only=True):
    """One node. Times are Unix seconds."""

    name: str
    #: False where a person stopped it.
    wanted: bool = True
    state: State = State.STOPPED
    since: float = 0.0
    #: Why it is in its state, one sentence for a person; empty where there is nothing to say.
    reason: str = ""
    #: When the command was started that runs now.
    started: float | None = None
    #: The command's process.
    pid: int | None = None
    #: When this run took part in the swarm first.
    ready: float | None = None
    #: The trainer's process; None while there is none.
    trainer_pid: int | None = None
    #: When the trainer was seen last in this run.
    trainer_seen: float | None = None
    #: When this run's trainer appeared.
    trainer_began: float | None = None
    waiting_login: bool = False
    #: A question of the command that nobody has configured an answer to.
    question: str = ""
    #: When this run waited for a person last.
    waited: float | None = None
    #: Ends in a row, none of them after a healthy time.
    failures: int = 0
    #: When it is started again.
    due: float | None = None
    restarts: dict[RestartReason, int] = {}
    #: Why it is being stopped, where it is to be started again.
    restarting: RestartReason | None = None
    #: True from such a stop until it runs again.
    coming_back: bool = False
    #: A restart that waits for the next submission: why, since when.
    postponed: RestartReason | None = None
    postponed_since: float = 0.0
    #: When the watchdog restarted it, the last day.
    watchdog_restarts: list[float] = []
    #: When its logs were written to last.
    last_line: float | None = None
    #: When its processes used the processor last.
    last_busy: float | None = None
    last_submit: float | None = None
    submits_accepted: int = 0
    submits_refused: int = 0
    #: Longest time that earned reward stays unsubmitted, seconds; None where it is not known.
    submit_period: float | None = None
    #: Memory of its processes, bytes.
    memory: int | None = None
    folder: str = ""
    profile: str = ""
    ports: dict[str, int] = {}
    #: The logs' positions up to which they were read: inode and offset by path.
    offsets: dict[str, tuple[int, int]] = {}

    @property
    def next_submit(self) -> float | None:
        """When the next submission is expected, Unix seconds.

        Upstream's timer starts with the process and again at each submission (v0.5.7 to v0.7).
        """
        begun = self.unsubmitted_since
        if begun is None or self.submit_period is None:
            return None
        return begun + self.submit_period

    @property
    def unsubmitted_since(self) -> float | None:
        """Since when what was earned is not submitted: what a restart loses."""
        if self.submit_period is None or self.started is None or not self.runs:
            return None
        begun = self.trainer_began or self.started
        return max(begun, self.last_submit or 0.0)

    @property
    def runs(self) -> bool:
        """True while there are processes of the node."""
        return self.state in (State.STARTING, State.RUNNING, State.STOPPING)


class LauncherState(msgspec.Struct, kw_only=True):
    """The whole file."""

    version: int = 1
    #: When it was written, Unix seconds.
    time: float = 0.0
    supervisor_pid: int | None = None
    nodes: dict[str, NodeRecord] = {}
    #: The last command that was taken in.
    handled: str = ""
    #: When the last node was started.
    last_start: float = 0.0
    #: Why no further node is started; empty where nothing stands in the way.
    ramp_problem: str = ""
    #: The last of the nodes' own words, newest last: time, node, sentence.
    events: list[tuple[float, str, str]] = []


def load_state(path: Path) -> LauncherState | None:
    """Return what was written last, or None where there is no whole file of this version."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=LauncherState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return state if state.version == LauncherState().version else None


def set_aside(path: Path, now: float) -> Path | None:
    """Move a file that is no state away, and return where to; None where there is none."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.damaged-{now:.0f}")
    try:
        path.replace(aside)
    except OSError:
        return None
    return aside


def save_state(path: Path, state: LauncherState) -> None:
    """Write the file whole or not at all. Raises OSError.

    Where the disk is full it is written over in its place: without it nothing can be stopped.
    """
    content = msgspec.json.encode(state)
    try:
        # At each look: what a power cut takes is written again by the next.
        write_private(path, content + b" " * _ROOM_BYTES, durable=False)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not _write_over(path, content):
            raise


def _write_over(path: Path, content: bytes) -> bool:
    """Write into the room that a file has; return whether it has enough."""
    with path.open("r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if len(content) > size:
            return False
        return os.pwrite(file.fileno(), content.ljust(size), 0) == size
