from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_keys import identity
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.archive import Entry, Kind, pack, unpack, verified

LOGIN = "modal-login/temp-data/userData.json"
SECRET = b'{"org": {"userId": "a-secret-of-mine"}}'


def entry(content: bytes, node: str = "1", kind: Kind = Kind.LOGIN, path: str = LOGIN, **more):
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "mode": "0600"}
    return Entry(node=node, kind=kind, path=path, **{**facts, **more})


def archive_of(*members: tuple[tarfile.TarInfo | str, bytes]) -> bytes:
    """A tar.gz of just these members, whatever they are."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def manifest_of(*entries: Entry, **more) -> bytes:
    files = [
        {name: getattr(e, name) for name in ("node", "kind", "path", "sha256", "size", "mode")}
        for e in entries
    ]
    facts = {"format": "swarm-exporter backup", "version": 1, "created": "2026-01-01T00:00:00Z"}
    return json.dumps({**facts, "files": files, **more}).encode()


def test_what_is_packed_is_unpacked():
    files = {
        entry(SECRET, node="1"): SECRET,
        entry(SECRET, node="../ü %/x"): SECRET,
        entry(identity(1), kind=Kind.IDENTITY, path="swarm.pem", mode="0400"): identity(1),
    }
    packed = pack("2026-01-01T00:00:00Z", files.items())
    assert verified(packed, "a").contents == files
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == [
            "manifest.json",
            f"node-1/{LOGIN}",
            f"node-..%2F%C3%BC%20%25%2Fx/{LOGIN}",
            "node-1/swarm.pem",
        ]
        assert tar.getmember("node-1/swarm.pem").mode == 0o400
        text = tar.extractfile("manifest.json").read().decode()
    assert '"created": "2026-01-01T00:00:00Z"' in text
    assert "a-secret-of-mine" not in text


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


GOOD = entry(SECRET)
UNSOUND = {
    "not an archive": (b"x" * 100, "damaged or no tar.gz"),
    "a gzip of something else": (gzip.compress(b"x" * 2000), "damaged or no tar.gz"),
    "empty": (b"", "damaged or no tar.gz|no manifest"),
    "no manifest": (archive_of((GOOD.member, SECRET)), "has no manifest"),
    "a manifest of something else": (archive_of(("manifest.json", b"{}")), "is no backup of"),
    "no JSON": (archive_of(("manifest.json", b"{")), "damaged manifest"),
    "a newer version": (
        archive_of(("manifest.json", manifest_of(version=2, files=[{"new": 1}]))),
        "a backup of version 2, but this program knows 1",
    ),
    "a wrong digest": (
        archive_of(("manifest.json", manifest_of(GOOD)), (GOOD.member, SECRET[:-1] + b" ")),
        "a damaged modal-login/temp-data/userData.json of node 1",
    ),
    "another size": (
        archive_of(("manifest.json", manifest_of(GOOD)), (GOOD.member, SECRET + b" ")),
        "a damaged",
    ),
    "a missing file": (archive_of(("manifest.json", manifest_of(GOOD))), "lacks"),
    "a file too many": (
        archive_of(("manifest.json", manifest_of(GOOD)), (GOOD.member, SECRET), ("x", b"")),
        "files that its manifest does not name",
    ),
    "a file twice": (
        archive_of(
            ("manifest.json", manifest_of(GOOD)), (GOOD.member, SECRET), (GOOD.member, SECRET)
        ),
        "a name that cannot be",
    ),
    "an absolute path": (archive_of(("/etc/passwd", b"")), "a name that cannot be"),
    "a path that leaves": (archive_of(("a/../../b", b"")), "a name that cannot be"),
    "a manifest with a path that leaves": (
        archive_of(
            ("manifest.json", manifest_of(entry(SECRET, path="../x"))), ("node-1/x", SECRET)
        ),
        "a file or a node that cannot be",
    ),
    "two identities of one node": (
        archive_of(
            (
                "manifest.json",
                manifest_of(
                    entry(b"a", kind=Kind.IDENTITY, path="a.pem"),
                    entry(b"b", kind=Kind.IDENTITY, path="b.pem"),
                ),
            ),
            ("node-1/a.pem", b"a"),
            ("node-1/b.pem", b"b"),
        ),
        "two identities of one node",
    ),
    "an identity that is too large": (
        archive_of(
            ("manifest.json", manifest_of(entry(b"x" * 70_000, kind=Kind.IDENTITY))),
            (GOOD.member, b"x" * 70_000),
        ),
        "a size that cannot be",
    ),
    "a bomb": (gzip.compress(b"\0" * (65 * 1024 * 1024)), "too large for a backup"),
    **{
        f"a tar member of type {kind!r}": (archive_of((link("a", kind), b"")), "no plain file")
        for kind in (
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.CHRTYPE,
            tarfile.BLKTYPE,
            tarfile.FIFOTYPE,
            tarfile.DIRTYPE,
        )
    },
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_archive_is_refused_whole(name, tmp_path):
    packed, problem = UNSOUND[name]
    path = tmp_path / "nodes.tar.gz"
    path.write_bytes(packed)
    with pytest.raises(SwarmExporterError, match=problem) as error:
        unpack(path)
    assert str(error.value).startswith(str(path))
    assert "a-secret-of-mine" not in str(error.value)


@given(st.data())
def test_no_changed_byte_and_no_missing_end_goes_unseen(data):
    packed = bytearray(pack("2026-01-01T00:00:00Z", [(GOOD, SECRET)]))
    whole = verified(bytes(packed), "a")
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place] ^= data.draw(st.integers(1, 255))
    try:
        read = verified(bytes(packed), "a")
    except SwarmExporterError as error:
        assert "a-secret-of-mine" not in str(error)
    else:
        assert read == whole, "a byte that tells nothing, as the time in the gzip header"


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(SwarmExporterError, match="does not exist"):
        unpack(tmp_path / "none")
    with pytest.raises(SwarmExporterError, match="cannot be read"):
        unpack(tmp_path)
