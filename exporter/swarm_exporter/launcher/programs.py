"""What the launcher's supervisord runs: the policy, and a runner for each node.

It keeps the processes; when one is started or ended is the policy's business (policy.py), so every
node here is `autostart=false`, `autorestart=false`. Facts: Supervisor 4.3.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from swarm_exporter.launcher.files import LauncherFiles
from swarm_exporter.launcher.marker import RUNNER
from swarm_exporter.launcher.spec import NodeSpec
from swarm_exporter.launcher.supervisord import escape

#: The `type` of the events that carry a person's commands to the policy.
COMMAND = "swarm-exporter"
#: What a runner needs beyond a node's own grace to end it by force and to tidy up.
_RUNNER_SECONDS = 25


def sections(files: LauncherFiles, specs: Sequence[NodeSpec]) -> list[str]:
    """Return a section for the policy and one for each node."""
    python = f'"{escape(sys.executable)}"'
    policy = f"""[eventlistener:policy]
command={python} -m swarm_exporter.launcher.listener .
events=PROCESS_STATE,REMOTE_COMMUNICATION
buffer_size=1000
autorestart=true
startsecs=2
startretries=100
stdout_logfile=NONE
stderr_logfile={files.policy_log.name}
stderr_logfile_maxbytes=5MB
stderr_logfile_backups=2
stopwaitsecs=10
"""
    return [policy, *(_node(spec, python) for spec in specs)]


def _node(spec: NodeSpec, python: str) -> str:
    return f"""[program:{spec.slug}]
command={python} -m {RUNNER} nodes/{spec.slug}
autostart=false
autorestart=false
startsecs=0
startretries=0
stopsignal=TERM
stopwaitsecs={round(spec.stop_grace) + _RUNNER_SECONDS}
stdout_logfile=NONE
stderr_logfile=nodes/{spec.slug}/runner.log
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
"""
