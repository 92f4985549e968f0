"""The archive of a backup: a tar.gz with a manifest, read only where all of it is sound.

Nothing in an archive is trusted: sizes are bounded before anything is unpacked, and no path in it
decides where something is written.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import msgspec

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.identity import LARGEST_KEY_BYTES
from swarm_exporter.launcher.private_files import cause, read_bounded

VERSION = 1
FORMAT = "swarm-exporter backup"
#: Login data have a few KB.
LARGEST_LOGIN_BYTES = 1024 * 1024
_MANIFEST = "manifest.json"
#: A thousand nodes take some 10 MB.
_LARGEST_ARCHIVE = 64 * 1024 * 1024
_LARGEST_MANIFEST = 8 * 1024 * 1024


class Kind(str, Enum):
    """What a file is for."""

    IDENTITY = "identity"
    LOGIN = "login"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file, as the manifest has it."""

    node: str
    kind: Kind
    #: Below the node's folder.
    path: str
    #: Of the content, hexadecimal.
    sha256: str
    #: Bytes.
    size: int
    #: Permissions, as in `0400`.
    mode: str

    @property
    def member(self) -> str:
        """The name inside the archive; whatever a node is called, it is a plain folder's name."""
        return f"node-{quote(self.node, safe='')}/{self.path}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an archive holds."""

    format: str = FORMAT
    version: int = VERSION
    #: UTC, ISO 8601.
    created: str
    files: tuple[Entry, ...]


class Archive(msgspec.Struct, frozen=True):
    """A whole archive: the manifest, and the content of each of its files."""

    manifest: Manifest
    contents: Mapping[Entry, bytes]


class _Version(msgspec.Struct):
    format: str = ""
    version: int = 0


class _UnsoundError(Exception):
    """The archive is not to be trusted; the text says why, as the rest of a sentence."""


def pack(created: str, files: Iterable[tuple[Entry, bytes]]) -> bytes:
    """Return the archive of these files. `created` is UTC, ISO 8601."""
    files = list(files)
    manifest = Manifest(created=created, files=tuple(entry for entry, _ in files))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)), 0o600)
        for entry, content in files:
            _add(tar, entry.member, content, int(entry.mode, 8))
    return packed.getvalue()


def unpack(path: Path) -> Archive:
    """Return the content of an archive, every part of it verified. Raises SwarmExporterError."""
    try:
        packed = read_bounded(path, _LARGEST_ARCHIVE)
    except OSError as error:
        raise SwarmExporterError(
            f"{path} cannot be read ({cause(error)}); give the archive that `backup` has written"
        ) from None
    if packed is None:
        raise SwarmExporterError(f"{path} does not exist; give the archive that `backup` wrote")
    return verified(packed, str(path))


def verified(packed: bytes, name: str) -> Archive:
    """Return what an archive's bytes hold, every part checked. Raises SwarmExporterError."""
    try:
        return _checked(_members(packed))
    except _UnsoundError as problem:
        raise SwarmExporterError(f"{name} {problem}; use another backup") from None


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = mode
    tar.addfile(info, io.BytesIO(content))


def _members(packed: bytes) -> dict[str, bytes]:
    """Return the files of an archive by name."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            unpacked = stream.read(_LARGEST_ARCHIVE + 1)
        if len(unpacked) > _LARGEST_ARCHIVE:
            raise _UnsoundError("is too large for a backup")
        members: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            for info in tar:
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
                    raise _UnsoundError("holds something that is no plain file")
                if not _plain(info.name) or info.name in members:
                    raise _UnsoundError("holds a file with a name that cannot be")
                file = tar.extractfile(info)
                content = file.read() if file is not None else b""
                if len(content) != info.size:
                    raise _UnsoundError("is cut off")
                members[info.name] = content
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, LookupError):
        # The texts of these errors may hold what is in the archive.
        raise _UnsoundError("is damaged or no tar.gz archive") from None
    return members


def _checked(members: dict[str, bytes]) -> Archive:
    content = members.pop(_MANIFEST, None)
    if content is None or len(content) > _LARGEST_MANIFEST:
        raise _UnsoundError("has no manifest, so it is no backup of swarm-exporter")
    try:
        version = msgspec.json.decode(content, type=_Version)
        if version.format != FORMAT:
            raise _UnsoundError("is no backup of swarm-exporter")
        if version.version != VERSION:
            raise _UnsoundError(
                f"is a backup of version {version.version}, but this program knows {VERSION}"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError):
        raise _UnsoundError("has a damaged manifest") from None
    contents: dict[Entry, bytes] = {}
    for entry in manifest.files:
        _check(entry)
        file = members.pop(entry.member, None)
        if file is None:
            raise _UnsoundError(f"lacks {entry.path} of node {entry.node}")
        if len(file) != entry.size or hashlib.sha256(file).hexdigest() != entry.sha256:
            raise _UnsoundError(f"has a damaged {entry.path} of node {entry.node}")
        contents[entry] = file
    if members:
        raise _UnsoundError("holds files that its manifest does not name")
    nodes = [entry.node for entry in manifest.files if entry.kind is Kind.IDENTITY]
    if len(nodes) != len(set(nodes)):
        raise _UnsoundError("holds two identities of one node")
    return Archive(manifest, contents)


def _check(entry: Entry) -> None:
    largest = LARGEST_KEY_BYTES if entry.kind is Kind.IDENTITY else LARGEST_LOGIN_BYTES
    if not _plain(entry.path) or not entry.node.isprintable() or len(entry.node) > 64:
        raise _UnsoundError("names a file or a node that cannot be")
    if not 0 < entry.size <= largest:
        raise _UnsoundError(f"names {entry.path} of a size that cannot be")


def _plain(name: str) -> bool:
    """Tell whether a name is a path that stays inside, as it stands."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and name.isprintable()
        and "\\" not in name
        and not path.is_absolute()
        and ".." not in path.parts
        and str(path) == name
    )
