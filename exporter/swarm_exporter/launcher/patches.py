"""What is changed in a checkout so that several nodes fit on one machine: patches and tuned keys.

Pure functions of text; what they do not match stays byte for byte.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from io import StringIO

import msgspec

from swarm_exporter.config.launcher import Scalar
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.nodes import LaunchNode
from swarm_exporter.launcher.profile import Patch, fill
from swarm_exporter.launcher.yaml_edit import Edited, set_values

#: The text of a file of a checkout by its path, None where there is no such file.
Reader = Callable[[str], str | None]


class FileChange(msgspec.Struct, frozen=True):
    """One file of a checkout, before and after."""

    file: str
    before: str
    after: str


class Changes(msgspec.Struct, frozen=True):
    """What is changed in one checkout, and a sentence for each thing that was left."""

    files: tuple[FileChange, ...]
    notes: tuple[str, ...] = ()


def changes(node: LaunchNode, read: Reader, tuned: Mapping[str, Scalar]) -> Changes:
    """Return what is to be changed for `node` in the checkout that `read` reads.

    `tuned` has values by the dotted keys of the profile's tuning file. Raises SwarmExporterError
    where a patch that is not optional matches nothing.
    """
    texts: dict[str, tuple[str, str]] = {}

    def current(file: str) -> str | None:
        if file not in texts:
            before = read(file)
            if before is None:
                return None
            texts[file] = (before, before)
        return texts[file][1]

    for patch in node.profile.patches:
        before = current(patch.file)
        after = None if before is None else _patched(before, patch, node)
        if after is not None:
            texts[patch.file] = (texts[patch.file][0], after)
        elif not patch.optional:
            raise _not_applicable(node, patch, missing=before is None)
    notes: tuple[str, ...] = ()
    if node.profile.tuning is not None and tuned:
        file = node.profile.tuning.file
        text = current(file)
        if text is None:
            notes = (f"{file} is missing, so no training key was set",)
        else:
            edited = _tuned(node, file, text, tuned)
            texts[file] = (texts[file][0], edited.text)
            notes = tuple(f"{file}: {problem}" for problem in edited.skipped)
    return Changes(
        tuple(FileChange(f, old, new) for f, (old, new) in texts.items() if old != new), notes
    )


def diff(change: FileChange) -> str:
    """Return the unified diff of one file."""
    lines = difflib.unified_diff(
        list(StringIO(change.before, newline="\n")),
        list(StringIO(change.after, newline="\n")),
        f"a/{change.file}",
        f"b/{change.file}",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _patched(text: str, patch: Patch, node: LaunchNode) -> str | None:
    """Return the text after a patch, or None where the patch matches nothing."""
    # A backslash in a folder's name is no reference to a group.
    fields = {
        name: value.replace("\\", "\\\\") if isinstance(value, str) else value
        for name, value in node.fields.items()
    }
    try:
        new, count = re.subn(patch.find, fill(patch.replace, fields), text)
    except (ValueError, LookupError, re.error) as problem:
        raise SwarmExporterError(
            f"node {node.name}: profile {node.profile_name}, patch of {patch.file} "
            f"({patch.why}): `replace` cannot be used: {problem}"
        ) from None
    return new if count else None


def _tuned(node: LaunchNode, file: str, text: str, tuned: Mapping[str, Scalar]) -> Edited:
    try:
        return set_values(text, tuned)
    except ValueError as problem:
        raise SwarmExporterError(
            f"node {node.name}: {file} {problem}; correct it, or leave the training keys with "
            "--no-tune"
        ) from None


def _not_applicable(node: LaunchNode, patch: Patch, *, missing: bool) -> SwarmExporterError:
    what = "does not exist" if missing else f"has no text that matches `{patch.find}`"
    return SwarmExporterError(
        f"node {node.name}: {patch.file} {what}, but must be patched ({patch.why}): give a "
        f"--revision that the profile {node.profile_name} knows, or a --profile of your own"
    )
