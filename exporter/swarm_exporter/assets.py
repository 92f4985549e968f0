"""What comes with the program for others to read: rules, boards, provisioning, runbooks.

Files are written so that nothing a person has changed is lost: what was written is remembered by
its SHA-256, and a file that is another one now is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.private_files import cause, write_private

LANGUAGES = ("en", "zh")
#: What was written into a folder, and what it was.
MANIFEST = ".swarm-exporter.json"
_PARTS = ("prometheus/rules", "prometheus/templates", "docs/runbooks", "grafana/provisioning")
_FILES = (
    "prometheus/prometheus.yml",
    "prometheus/alertmanager.yml",
    # Not the folder: in a checkout that is in use, its hosts and targets lie there too.
    "prometheus/fleet/prometheus.yml",
    "prometheus/fleet/hosts.example.txt",
    "prometheus/fleet/grafana/swarm.yml",
    "prometheus/fleet/targets/.gitignore",
)
_BOARDS = {"en": "grafana/dashboards", "zh": "grafana/dashboards-zh"}
_HASHES = dict[str, str]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the files, by their paths below the folder."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    #: Not what was written here last: somebody has changed them, or they were never ours.
    kept: tuple[str, ...]
    #: Written here once, and no longer part of the program.
    removed: tuple[str, ...]


def asset_files(lang: str = "en") -> dict[str, bytes]:
    """Return every file by its path; `grafana/dashboards` has the boards in the language given."""
    root = _root()
    paths = [root / name for name in _FILES]
    paths += [path for part in _PARTS for path in sorted((root / part).rglob("*"))]
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in paths if p.is_file()}
    for board in sorted((root / _BOARDS[lang]).glob("*.json")):
        files[f"grafana/dashboards/{board.name}"] = board.read_bytes()
    return files


def write_files(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> Written:
    """Write `files` below `folder`; what somebody has changed there is kept, unless `force`.

    Raises SwarmExporterError that names the file where something cannot be written.
    """
    before = _manifest(folder)
    after: _HASHES = {}
    written, unchanged, kept, removed = [], [], [], []
    path = folder
    try:
        for name, content in files.items():
            path = folder / name
            found = _hash(path.read_bytes()) if path.is_file() else None
            wanted = _hash(content)
            if found == wanted:
                unchanged.append(name)
            elif found is not None and found != before.get(name) and not force:
                kept.append(name)
                if name in before:
                    after[name] = before[name]
                continue
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_private(path, content, 0o644, durable=False)
                written.append(name)
            after[name] = wanted
        for name in before.keys() - files.keys():
            path = folder / name
            # A rule that has moved to another file must not be there twice.
            if path.is_file() and _hash(path.read_bytes()) == before[name]:
                path.unlink()
                removed.append(name)
        _remember(folder, after)
    except OSError as error:
        with contextlib.suppress(OSError):
            # What was written before it failed is ours at the next attempt.
            _remember(folder, {**before, **after})
        raise SwarmExporterError(
            f"{path} cannot be written ({cause(error)}); give a folder of your own"
        ) from None
    return Written(
        written=tuple(written),
        unchanged=tuple(unchanged),
        kept=tuple(kept),
        removed=tuple(sorted(removed)),
    )


def _remember(folder: Path, hashes: _HASHES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = msgspec.json.format(msgspec.json.encode(hashes))
    write_private(folder / MANIFEST, manifest, 0o644, durable=False)


def _root() -> Path:
    """Return where the files are: in the installed package, else in the checkout around it."""
    package = Path(__file__).parent
    installed = package / "assets"
    return installed if installed.is_dir() else package.parents[1]


def _manifest(folder: Path) -> _HASHES:
    # Without it every file is somebody else's: nothing is lost.
    with contextlib.suppress(OSError, msgspec.DecodeError):
        found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_HASHES)
        # Only what lies in the folder: a foreign manifest must not make us remove other files.
        return {n: h for n, h in found.items() if not n.startswith("/") and ".." not in n}
    return {}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
