"""Many machines for one Prometheus: a list of hosts becomes the target file of its file_sd.

Facts: Prometheus' file_sd_config (2.42 to 3), Ansible's INI and YAML inventories (core 2.19).
"""

from __future__ import annotations
