from __future__ import annotations

import errno

import pytest

from swarm_exporter.host.attempts import Attempts
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError


def failing(error: Exception):
    def read():
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "x", "/home/somebody/secret"), Reason.PERMISSION),
        (OSError(errno.EIO, "x", "/home/somebody/secret"), Reason.UNREADABLE),
        (RuntimeError("host_statistics64 failed for /home/somebody/secret"), Reason.UNREADABLE),
        (SourceError(Reason.MALFORMED, "no figure"), Reason.MALFORMED),
    ],
)
def test_a_failure_costs_its_value_and_is_remembered_without_the_path(error, reason):
    attempts = Attempts()
    assert attempts.of(failing(error)) is None
    assert attempts.of(max, 1, 2) == 2
    assert attempts.defects() == (reason,)
    assert "secret" not in attempts.failures[0].detail
    attempts.check(None, 2)


def test_where_nothing_was_found_the_first_failure_tells_why():
    attempts = Attempts()
    attempts.fail(Reason.PERMISSION, "first")
    attempts.fail(Reason.MALFORMED, "second")
    with pytest.raises(SourceError, match="first"):
        attempts.check(None, None)
    with pytest.raises(SourceError) as failed:
        Attempts().check(None)
    assert failed.value.reason is Reason.MISSING


def test_a_fault_of_our_own_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Attempts().of(lambda: 1 // 0)
