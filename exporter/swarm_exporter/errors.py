"""The family of errors that end in one sentence for a person."""

from __future__ import annotations


class SwarmExporterError(Exception):
    """A failure that a person can mend: its text is one sentence that names the fix."""


class ConfigError(SwarmExporterError):
    """A configuration that cannot be used: the text names file, line or variable, and the fix."""


class FlagError(ConfigError):
    """A flag that cannot be used: wrong usage of the command line."""
