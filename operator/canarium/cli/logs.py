"""Log lines: one a line, as text for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

FIELDS = ("object", "phase", "state", "step", "reason")
"What a record may carry beside its message."


class TextFormatter(logging.Formatter):
    """`2025-01-31T12:00:00.000Z INFO risk/fraud: message (phase=… state=…)`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, followed by the traceback if there is one."""
        fields = {name: value for name, value in _fields(record).items() if name != "object"}
        tail = " ".join(f"{name}={value}" for name, value in fields.items())
        line = f"{_time(record)} {record.levelname} {record.getMessage()}"
        line += f" ({tail})" if tail else ""
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The same content, with a name for everything."""
        content = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str, ensure_ascii=False)


def configure_logging(style: str, level: str) -> None:
    """Log to stderr as `text` or `json`; libraries only when they have something to complain of."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("canarium").setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = ((name, getattr(record, name, None)) for name in FIELDS)
    return {name: value for name, value in found if value is not None and value != ""}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
