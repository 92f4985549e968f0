"""Colours and thresholds that people with any colour vision tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

GOOD = "#56B4E9"
WATCH = "#E69F00"
BAD = "#D55E00"
QUIET = "#999999"


def thresholds(base: str, *steps: tuple[float, str]) -> build.ThresholdsConfig:
    """Return thresholds: the colour of the lowest values, then from which value on which colour."""
    found = [
        Threshold(value=None, color=base),
        *(Threshold(value, color) for value, color in steps),
    ]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


#: Nothing to judge: one quiet colour.
PLAIN = thresholds("text")
