"""Log lines for people (text) or machines (one JSON object a line), to standard error."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

import msgspec


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).astimezone()
        message = " ".join(record.getMessage().splitlines())
        line = f"{time:%Y-%m-%d %H:%M:%S} {record.levelname:<7} {message}"
        return (
            line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"
        )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logging(level: str, form: str) -> None:
    """Send the program's log to standard error; `form` is text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Libraries log requests with their URLs, which may hold credentials.
    for library in ("httpx", "httpcore", "asyncio", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
