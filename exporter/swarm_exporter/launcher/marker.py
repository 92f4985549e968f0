"""The variable that marks every process of a node; its value is unlike any other node's."""

MARKER = "SWARM_EXPORTER_NODE"
