"""The Grafana boards as Python; `make boards` writes their JSON."""
