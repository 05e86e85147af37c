"""Log lines: an event name and plain fields, one JSON object a line. Control characters can't start a new line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_PLAIN = (str, int, float, bool, list, type(None))
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
"""What every record has; anything else was given as `extra`."""


class JsonFormatter(logging.Formatter):
    """`log.info("event.name", extra={"fields": {...}})` -> one line. Exceptions show their type and place, not their
    text: a driver's message can quote the very value that it choked on."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        given = {key: value for key, value in record.__dict__.items() if key not in _USUAL}
        fields = given.pop("fields", {})
        line |= {key: value for key, value in (given | fields).items() if isinstance(value, _PLAIN)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__qualname__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["where"] = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        # ASCII: no bidi or ANSI trick reaches a terminal.
        return json.dumps(line, ensure_ascii=True, default=lambda _: "?")


def _event(record: logging.LogRecord) -> str:
    """The message; a server's whole traceback becomes one word, because its last line quotes values."""
    message = record.getMessage()
    return "server.failed" if message.startswith("Traceback ") else message


def set_up(level: str = "INFO") -> None:
    """Everything to standard error as JSON lines. The access log of the server is ours, without query strings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "uvicorn.access",
        "aiosqlite",
        "sqlalchemy.engine",
        "authlib",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
