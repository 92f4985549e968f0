"""The variable that marks every process of a node; its value is unlike any other node's."""

MARKER = "SWARM_EXPORTER_NODE"
#: The program that is the parent of a node's command.
RUNNER = "swarm_exporter.launcher.runner"
