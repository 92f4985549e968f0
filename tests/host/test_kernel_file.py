from __future__ import annotations

import errno
import os

import pytest

from machine_support import refuse
from swarm_exporter.host.kernel_file import read_kernel_file, require_kernel_file
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


def test_a_file_is_read_whole_or_up_to_a_size(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_kernel_file(tmp_path / "a") == b"12345"
    assert read_kernel_file(tmp_path / "a", 3) == b"123"


def test_a_file_that_the_kernel_lacks_is_none_unless_it_must_be_there(tmp_path):
    assert read_kernel_file(tmp_path / "missing") is None
    with pytest.raises(SourceError) as failed:
        require_kernel_file(tmp_path / "missing")
    assert failed.value.reason is Reason.MISSING


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENODEV])
def test_a_file_that_opens_but_whose_facts_are_switched_off_is_none(tmp_path, number, monkeypatch):
    assert read_kernel_file(refuse(monkeypatch, tmp_path / "memory", number)) is None


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EACCES, Reason.PERMISSION), (errno.EIO, Reason.UNREADABLE)]
)
def test_other_errors_are_told(tmp_path, number, reason, monkeypatch):
    with pytest.raises(SourceError, match=os.strerror(number).lower()) as failed:
        read_kernel_file(refuse(monkeypatch, tmp_path / "memory", number))
    assert failed.value.reason is reason
