"""`python -m swarm_exporter` is `swarm-exporter`."""

from swarm_exporter.cli import main

main()
