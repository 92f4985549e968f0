"""Paths without symbolic links, as the kernel names the folders of processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

#: A folder on a network that is gone does not answer; its name serves until it does.
_WAIT_SECONDS = 1.0


class RealPaths:
    """Resolves each path once, and waits for none for long."""

    def __init__(
        self, resolve: Callable[[str], str] = os.path.realpath, wait: float = _WAIT_SECONDS
    ) -> None:
        """Begin with none resolved."""
        self._resolve = resolve
        self._wait = wait
        self._answers: dict[str, list[str]] = {}

    def of(self, path: str | os.PathLike[str]) -> str:
        """Return the real path, or the absolute one while nobody knows the real one."""
        text = os.fspath(path)
        answer = self._answers.get(text)
        if answer is None:
            answer = self._answers[text] = []
            thread = threading.Thread(
                target=lambda: answer.append(self._resolve(text)), daemon=True
            )
            thread.start()
            thread.join(self._wait)
        return answer[0] if answer else os.path.abspath(text)  # noqa: PTH100 - it may not answer
