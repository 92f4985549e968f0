"""What all tests share: the real programs, a clock under control, free ports."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from support import ManualClock

# No test is about time: a machine that is busy makes none of them fail.
settings.register_profile(
    "swarm-exporter", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("swarm-exporter")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


@pytest.fixture(scope="session")
def real_binary() -> Callable[[str], str]:
    """Return a function from a program's name to its path.

    Where it is not installed the test is skipped on a laptop, and fails in CI
    (SWARM_TEST_REQUIRE_REAL=1), so that nothing is silently untested.
    """

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is not None:
            return path
        message = f"{name} is not installed (on Debian: apt-get install {name})"
        if os.environ.get("SWARM_TEST_REQUIRE_REAL") == "1":
            pytest.fail(message)
        pytest.skip(message)

    return find


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that runs inside the test process configures logging for the whole of it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
