"""Durations as people write them: `500ms`, `1.5s`, `4h30m`, `1d`."""

from __future__ import annotations

import re

_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(d|h|ms|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST_SECONDS = 10 * 365 * 86_400.0


def parse_duration(text: str) -> float:
    """Return a duration in seconds. Raises ValueError with what to write instead."""
    compact = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", compact):
        raise ValueError(f'"{text}" has no unit; write {compact}s, {compact}m or {compact}h')
    if _WHOLE.fullmatch(compact) is None:
        raise ValueError(f'"{text}" is no duration; write 500ms, 15s, 1.5m or 3h')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(compact))
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f'"{text}" is longer than ten years')
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration for people, in its two greatest units: `4h30m`, `15s`, `500ms`."""
    if seconds < 1.0:
        return f"{round(seconds * 1000)}ms"
    if seconds < 59.95:
        return f"{round(seconds, 1):g}s"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_SECONDS[unit]))
        if count or parts:
            parts.append((count, unit))
    return "".join(f"{count}{unit}" for count, unit in parts[:2] if count)
