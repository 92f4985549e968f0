"""Prometheus, Alertmanager and Grafana beside the exporter, without Docker, on loopback."""
