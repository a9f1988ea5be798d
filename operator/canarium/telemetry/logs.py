"""Log lines: one a line, as text for people or as JSON for machines.

What others have written (a runtime's words, a person's annotation) may be part of a message. It
must not look like a line of ours, so nothing in a message ends a line or steers a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

FIELDS = ("object", "revision", "version", "phase", "state", "step", "reason", "action")
"What a record may carry beside its message."
MOST_CHARACTERS = 8192
"Of a message, a field or a line of a traceback: their texts may be somebody else's, of any size."


class TextFormatter(logging.Formatter):
    """`2025-01-31T12:00:00.000Z INFO risk/fraud: message (revision=… step=… reason=…)`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; of a bug also the traceback, each line of it behind a bar."""
        fields = _fields(record)
        name = fields.pop("object", "")
        tail = " ".join(f"{field}={value}" for field, value in fields.items())
        line = f"{_time(record)} {record.levelname} {name}{': ' if name else ''}{_message(record)}"
        line += f" ({tail})" if tail else ""
        return "\n".join([line, *(f"  | {part}" for part in _trace(self, record))])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The same content, with a name for everything."""
        content = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_fields(record),
        }
        if record.exc_info:
            content["exception"] = "\n".join(_trace(self, record))
        return json.dumps(content, default=str, ensure_ascii=False)


def configure_logging(style: str, level: str) -> None:
    """Log to stderr as `text` or `json`; libraries only when they have something to complain of."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("canarium").setLevel(level.upper())


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    text = formatter.formatException(record.exc_info) if record.exc_info else ""
    return [_printable(line) for line in text.splitlines()]


def _message(record: logging.LogRecord) -> str:
    return _printable(record.getMessage())


def _printable(text: str) -> str:
    """The same on one line: what cannot be printed is written as Python writes it in a string."""
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = ((name, getattr(record, name, None)) for name in FIELDS)
    kept = {name: value for name, value in found if value is not None and value != ""}
    return {n: _printable(v) if isinstance(v, str) else v for n, v in kept.items()}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
