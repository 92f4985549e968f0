from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher_repository import commit, make_repository, run_git
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher.checkout import (
    cached,
    clone,
    decode,
    download,
    encode,
    is_url,
    open_local,
    part_of,
)


def nothing(part: Path) -> None:
    """A clone that needs no more."""


@pytest.mark.parametrize(
    "text",
    ["https://a.b/c.git", "http://a/c", "ssh://git@a/c", "git@github.com:a/b.git", "file:///a b"],
)
def test_what_is_downloaded(text):
    assert is_url(text)


@pytest.mark.parametrize("text", ["/a/b", "rl-swarm", "./a:b", "~/x", "ext::sh -c id", "-u"])
def test_what_is_a_folder(text):
    assert not is_url(text)


def test_a_clone_shares_its_history_by_hard_links_and_keeps_the_origin(tmp_path):
    upstream = make_repository(tmp_path / "up stream ü", "genrl")
    mine = tmp_path / "mine"
    run_git(tmp_path, "clone", "--quiet", f"file://{upstream}", str(mine))
    source = open_local(mine, None)
    clone(source, tmp_path / "node 1 ü", 0o077, nothing)
    node = tmp_path / "node 1 ü"
    assert run_git(node, "status", "--porcelain") == ""
    assert run_git(node, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert run_git(node, "remote", "get-url", "origin") == f"file://{upstream}"
    objects = [path for path in (node / ".git" / "objects").rglob("*") if path.is_file()]
    assert objects
    assert all(path.stat().st_nlink > 1 for path in objects)
    assert node.stat().st_mode & 0o777 == 0o700
    assert (node / "run_rl_swarm.sh").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("revision", ["v1.0", "other", "commit"])
def test_a_revision_is_a_tag_a_branch_or_a_commit(tmp_path, revision):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    first = run_git(upstream, "rev-parse", "HEAD")
    run_git(upstream, "branch", "other")
    (upstream / "more").write_text("more")
    commit(upstream, "More")
    name = first if revision == "commit" else revision
    source = open_local(upstream, name)
    assert source.commit == first
    clone(source, tmp_path / "node", -1, nothing)
    assert run_git(tmp_path / "node", "rev-parse", "HEAD") == first
    branch = run_git(tmp_path / "node", "rev-parse", "--abbrev-ref", "HEAD")
    assert branch == ("other" if revision == "other" else "HEAD")


def test_a_branch_that_only_the_origin_has_can_be_cloned(tmp_path):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    run_git(upstream, "checkout", "--quiet", "-b", "other")
    (upstream / "more").write_text("more")
    wanted = commit(upstream, "More")
    run_git(upstream, "checkout", "--quiet", "main")
    run_git(tmp_path, "clone", "--quiet", f"file://{upstream}", "mine")
    clone(open_local(tmp_path / "mine", "other"), tmp_path / "node", -1, nothing)
    assert run_git(tmp_path / "node", "rev-parse", "HEAD") == wanted


def test_a_shallow_checkout_can_be_cloned(tmp_path):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    (upstream / "more").write_text("more")
    newest = commit(upstream, "More")
    run_git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{upstream}", "mine")
    clone(open_local(tmp_path / "mine", None), tmp_path / "node", -1, nothing)
    assert run_git(tmp_path / "node", "rev-parse", "HEAD") == newest


def test_a_source_is_read_as_it_is_committed(tmp_path):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    committed = (upstream / "run_rl_swarm.sh").read_text()
    (upstream / "run_rl_swarm.sh").write_text("changed")
    source = open_local(upstream, None)
    assert source.dirty
    assert source.read("run_rl_swarm.sh") == committed
    assert source.read("nothing") is None
    assert source.version == source.commit[:7]
    assert open_local(upstream, "v1.0").version == f"v1.0 ({source.commit[:7]})"


def test_what_cannot_be_cloned_is_said(tmp_path):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    (tmp_path / "plain").mkdir()
    for folder, revision, problem in (
        (tmp_path / "none", None, "is no folder"),
        (tmp_path / "plain", None, "is no git checkout"),
        (upstream / "modal-login", None, "it is inside that of"),
        (upstream, "v9", 'has no revision "v9"'),
        (upstream, "--upload-pack=x", "has no revision"),
    ):
        with pytest.raises(SwarmExporterError, match=problem):
            open_local(folder, revision)
    run_git(tmp_path / "plain", "init", "--quiet")
    with pytest.raises(SwarmExporterError, match="has no commit"):
        open_local(tmp_path / "plain", None)


def test_a_url_is_downloaded_once_and_works_offline_from_then_on(tmp_path):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    url, downloads = f"file://{upstream}", tmp_path / "state" / "downloads"
    assert cached(url, None, downloads) is None
    first = download(url, "v1.0", downloads)
    assert first.origin == url
    assert [path.name for path in downloads.iterdir()] == [first.repository.name]
    (upstream / "more").write_text("more")
    newest = commit(upstream, "More")
    assert download(url, None, downloads).commit == newest, "what is new is fetched"
    upstream.rename(tmp_path / "away")
    assert download(url, "v1.0", downloads) == first
    assert cached(url, "v1.0", downloads) == first
    assert cached(url, "v9", downloads) is None
    with pytest.raises(SwarmExporterError, match="git fetch failed"):
        download(url, None, downloads)
    clone(first, tmp_path / "node", -1, nothing)
    assert run_git(tmp_path / "node", "remote", "get-url", "origin") == url


def test_a_download_that_fails_leaves_nothing_and_says_no_password(tmp_path):
    downloads = tmp_path / "downloads"
    with pytest.raises(SwarmExporterError) as error:
        download("http://me:secret@127.0.0.1:1/rl-swarm.git", None, downloads)
    assert "git clone failed" in str(error.value)
    assert "secret" not in str(error.value)
    assert list(downloads.iterdir()) == []


def test_a_clone_that_fails_leaves_nothing(tmp_path):
    source = open_local(make_repository(tmp_path / "upstream", "genrl"), None)

    def fail(part: Path) -> None:
        assert (part / "run_rl_swarm.sh").exists()
        raise SwarmExporterError("no")

    with pytest.raises(SwarmExporterError, match="no"):
        clone(source, tmp_path / "node", -1, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["upstream"]


def test_what_an_interrupted_clone_left_is_replaced(tmp_path):
    source = open_local(make_repository(tmp_path / "upstream", "genrl"), None)
    part = part_of(tmp_path / "node")
    (part / ".git").mkdir(parents=True)
    clone(source, tmp_path / "node", -1, nothing)
    assert not part.exists()
    assert (tmp_path / "node" / "run_rl_swarm.sh").exists()


def test_a_folder_with_private_files_gets_the_checkout_around_them(tmp_path):
    source = open_local(make_repository(tmp_path / "upstream", "genrl"), None)
    login = tmp_path / "node" / "modal-login" / "temp-data" / "userData.json"
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    before = login.stat()
    clone(source, tmp_path / "node", -1, nothing)
    assert login.stat().st_ino == before.st_ino
    assert run_git(tmp_path / "node", "status", "--porcelain") == ""
    assert not part_of(tmp_path / "node").exists()


def test_a_file_in_the_way_of_the_checkout_stays(tmp_path):
    source = open_local(make_repository(tmp_path / "upstream", "genrl"), None)
    script = tmp_path / "node" / "run_rl_swarm.sh"
    script.parent.mkdir()
    script.write_text("mine")
    with pytest.raises(SwarmExporterError, match="is in the way of the checkout"):
        clone(source, tmp_path / "node", -1, nothing)
    assert script.read_text() == "mine"
    assert not (tmp_path / "node" / ".git").exists()


def test_variables_of_another_repository_are_left_behind(tmp_path, monkeypatch):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    expected = run_git(upstream, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert open_local(upstream, None).commit == expected


def test_without_git_the_fix_is_named(tmp_path, monkeypatch):
    upstream = make_repository(tmp_path / "upstream", "genrl")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SwarmExporterError, match="git is not installed; install it"):
        open_local(upstream, None)


def test_any_bytes_survive_reading_and_writing():
    content = bytes(range(256)) + "ü\r\n".encode()
    assert encode(decode(content)) == content
    assert os.fsdecode(b"\xff") == decode(b"\xff")
