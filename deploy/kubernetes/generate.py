"""prometheus/rules -> deploy/kubernetes/prometheusrule.yaml: `make kubernetes`.

Facts: PrometheusRule of prometheus-operator, monitoring.coreos.com/v1; groups and rules are those
of Prometheus itself, so they are taken over as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "prometheus" / "rules"
OUTPUT = HERE / "prometheusrule.yaml"
HEAD = "# Written by `make kubernetes` from prometheus/rules: change those.\n"


class _Dumper(yaml.SafeDumper):
    """Writes what has several lines as several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def manifest() -> str:
    """Return the PrometheusRule with the groups of all files, in the files' order."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "swarm", "labels": {"app.kubernetes.io/name": "swarm"}},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


if __name__ == "__main__":
    OUTPUT.write_text(manifest(), encoding="utf-8")
    sys.exit(0)
