"""Prometheus exporter for RL Swarm (Gensyn) nodes."""

__version__ = "0.1.0"
