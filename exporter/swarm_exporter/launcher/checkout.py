"""Where nodes' checkouts come from: a repository on this machine, or one download for all nodes.

Nodes are cloned with `git clone --local`, which shares the history by hard links.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from swarm_exporter.addresses import redact_url
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.git import GitError, answers, git
from swarm_exporter.launcher.private_files import make_private_folder

#: `user@host:path`, as ssh writes it.
_SSH = re.compile(r"[\w.-]+@[\w.-]+:(?!//).+")
_URL = re.compile(r"(https?|ssh|git|file)://.+")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on this machine at one revision, ready to be cloned."""

    #: As a person may see it.
    name: str
    repository: Path
    #: What the clones' `origin` is; empty to leave it the repository.
    origin: str
    #: What was asked for; None is the repository's own head.
    revision: str | None
    commit: str
    #: True where it is a working copy with changes that are not committed.
    dirty: bool = False

    @property
    def version(self) -> str:
        """What is cloned, for a person: `v0.7.0 (1a2b3c4)`."""
        short = self.commit[:7]
        return f"{self.revision} ({short})" if self.revision else short

    def read(self, file: str) -> str | None:
        """Return a file's text as it is committed, None where there is no such file."""
        try:
            content = git("cat-file", "blob", f"{self.commit}:{file}", folder=self.repository)
        except GitError:
            return None
        return decode(content)


def decode(content: bytes) -> str:
    """Return a file's text; `encode` gives the very same bytes back."""
    return content.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes of a text that `decode` has made."""
    return text.encode("utf-8", "surrogateescape")


def is_url(repository: str) -> bool:
    """Tell whether a repository is elsewhere: anything that git downloads."""
    return _URL.fullmatch(repository) is not None or (
        _SSH.fullmatch(repository) is not None and not Path(repository).exists()
    )


def open_local(folder: Path, revision: str | None) -> Source:
    """Return a repository on this machine as a source. Raises SwarmExporterError."""
    if not folder.is_dir():
        raise SwarmExporterError(
            f"{folder} is no folder; give an RL Swarm checkout, or a URL as https://…"
        )
    bare = _is_bare(folder)
    origin = answers("remote", "get-url", "origin", folder=folder) or ""
    dirty = not bare and bool(
        answers("status", "--porcelain", "--untracked-files=no", folder=folder)
    )
    return Source(
        name=str(folder),
        repository=folder,
        origin=origin if is_url(origin) or origin.startswith("/") else "",
        revision=revision,
        commit=_commit(folder, revision, str(folder)),
        dirty=dirty,
    )


def cached(url: str, revision: str | None, downloads: Path) -> Source | None:
    """Return what of a URL has been downloaded before, None where that is nothing."""
    repository = _place(url, downloads)
    if not repository.is_dir() or _resolved(repository, revision or "HEAD") is None:
        return None
    return _downloaded(url, revision, repository)


def download(url: str, revision: str | None, downloads: Path) -> Source:
    """Download a repository once, into a bare one below `downloads`. Raises SwarmExporterError."""
    repository = _place(url, downloads)
    if repository.is_dir():
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        try:
            git(
                "fetch", "--progress", "--prune", "--", url, *refs, folder=repository, progress=True
            )
        except GitError:
            # Offline, what is there already may do: an exact revision never changes.
            if revision is None or _resolved(repository, revision) is None:
                raise
    else:
        make_private_folder(downloads)
        with _replacing(repository) as part:
            git("clone", "--progress", "--bare", "--", url, str(part), progress=True)
            part.rename(repository)
    return _downloaded(url, revision, repository)


def part_of(folder: Path) -> Path:
    """Return where a folder is made before it gets its name; an interrupted run leaves it."""
    return folder.with_name(f".{folder.name}.unfinished")


def clone(source: Source, folder: Path, umask: int, finish: Callable[[Path], None]) -> None:
    """Make `folder` a checkout of `source`, or leave it as it is. `finish` completes it before.

    A folder that is there already keeps all it holds. Raises SwarmExporterError.
    """
    make_private_folder(folder.parent)
    with _replacing(folder) as part:
        arguments = ["--local"] if source.revision is None else ["--local", "--no-checkout"]
        git(
            "clone", "--progress", *arguments, "--", str(source.repository), str(part),
            umask=umask, progress=True,
        )  # fmt: skip
        if source.revision is not None:
            _check_out(source, part, umask)
        if source.origin:
            git("remote", "set-url", "origin", "--", source.origin, folder=part)
        finish(part)
        if folder.is_dir() and any(folder.iterdir()):
            _move_into(part, folder)
        else:
            part.rename(folder)


def head(folder: Path) -> str:
    """Return what a checkout is at, for a person: `v0.7.0-2-g1a2b3c4`."""
    return answers("describe", "--tags", "--always", folder=folder) or "an unknown revision"


def _is_bare(folder: Path) -> bool:
    """Tell a bare repository from a checkout. Raises SwarmExporterError where it is neither."""
    # A missing git is another matter than a missing repository.
    git("--version")
    try:
        if git("rev-parse", "--is-bare-repository", folder=folder).strip() == b"true":
            return True
        top = os.fsdecode(git("rev-parse", "--show-toplevel", folder=folder)).removesuffix("\n")
    except GitError as error:
        raise SwarmExporterError(f"{folder} is no git checkout to clone from: {error}") from None
    if not folder.samefile(top):
        raise SwarmExporterError(
            f"{folder} is no git checkout, it is inside that of {top}; give a folder made by "
            "`git clone`, or a URL"
        )
    return False


def _downloaded(url: str, revision: str | None, repository: Path) -> Source:
    name = redact_url(url) if "://" in url else url
    commit = _commit(repository, revision, name)
    return Source(name=name, repository=repository, origin=url, revision=revision, commit=commit)


def _place(url: str, downloads: Path) -> Path:
    stem = re.sub(r"[^\w.-]", "-", url.rstrip("/").rpartition("/")[2].removesuffix(".git"))[-40:]
    return downloads / f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"


def _commit(repository: Path, revision: str | None, name: str) -> str:
    commit = _resolved(repository, revision or "HEAD")
    if commit is None:
        what = f'no revision "{revision}"' if revision else "no commit"
        raise SwarmExporterError(f"{name} has {what}; give a tag, branch or commit with --revision")
    return commit


def _resolved(repository: Path, revision: str) -> str | None:
    for name in (revision, f"origin/{revision}"):
        arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        commit = answers(*arguments, folder=repository)
        if commit:
            # Old versions of git repeat the option.
            return commit.splitlines()[-1]
    return None


def _check_out(source: Source, folder: Path, umask: int) -> None:
    """Put the revision there: a branch as a branch, anything else by its commit."""
    assert source.revision is not None  # noqa: S101 - the caller has looked
    branch = answers(
        "rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{source.revision}", folder=folder
    )
    if branch == source.commit:
        git("checkout", "--quiet", source.revision, "--", folder=folder, umask=umask)
    else:
        git("checkout", "--quiet", "--detach", source.commit, "--", folder=folder, umask=umask)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a free name beside `folder`; what is left there afterwards is removed."""
    part = part_of(folder)
    _remove(part)
    try:
        yield part
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    try:
        shutil.rmtree(part)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SwarmExporterError(
            f"{part}, left by an interrupted run, cannot be removed ({error.strerror}); remove it"
        ) from None


def _move_into(part: Path, folder: Path) -> None:
    """Move all of `part` into `folder`, beside what it holds; `.git` last: then it is whole."""
    for entry in sorted(part.iterdir(), key=lambda path: path.name == ".git"):
        target = folder / entry.name
        if target.is_dir() and entry.is_dir() and not entry.is_symlink():
            _move_into(entry, target)
        elif os.path.lexists(target):
            raise SwarmExporterError(f"{target} is in the way of the checkout; move it away")
        else:
            entry.rename(target)
