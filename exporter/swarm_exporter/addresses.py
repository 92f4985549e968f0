"""Addresses as people may see them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def redact_url(url: str) -> str:
    """Return `url` without user name, password, query and fragment: they may be secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an invalid URL"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url` alone: where keys are kept in paths, no more is told.

    Empty where it names no host.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an invalid URL"
    return urlunsplit((parts.scheme, host, "", "", "")) if host else ""
