"""The configuration: a YAML file, then SWARM_… variables, then flags; later ones win."""

from __future__ import annotations

from swarm_exporter.config.load import load_config
from swarm_exporter.config.settings import Config, Flags

__all__ = ["Config", "Flags", "load_config"]
