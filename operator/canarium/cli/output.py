"""The one door through which everything goes that the commands print.

What they print was in part written by others: a version, an annotation, a server's message, a
file's name. On its way out nothing of it may steer a terminal, turn the order of letters around,
stand in a line unseen, or end the command because the terminal has no such letter. `open_door`
puts the door before stdout and stderr; `terminal.make_console` and `terminal.print_value` go
through it too, and know what of their own to let pass.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, TextIO, cast

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what steers (C0, DEL, C1), has no width or turns the order around, is
half a letter, or ends a line."""
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"Letters, as Unicode has it, of which nothing is seen."
_SUSPECT = re.compile(r"[^\x20-\x7e\n\t]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def clean(text: str) -> str:
    r"""The text with what is harmful written as Python writes it in a string: `\x1b`, `\u202e`.

    Ends of lines and tabs stay: those of others are gone before (`flatten`).
    """
    return _SUSPECT.sub(lambda found: _escape_harmful(found[0]), text)


def flatten(value: Any) -> Any:
    """JSON of others as it may stand in lines of ours: no string of it ends one. Keys stay."""
    if isinstance(value, str):
        return value if value.isprintable() else clean(" ".join(value.splitlines()))
    if isinstance(value, dict):
        return {key: flatten(inner) for key, inner in value.items()}
    return [flatten(inner) for inner in value] if isinstance(value, list) else value


def fit(text: str, encoding: str | None) -> str:
    """The cleaned text in letters that a stream of this encoding has."""
    name = encoding or "utf-8"
    return clean(text).encode(name, "backslashreplace").decode(name)


def dump_json(value: Any) -> str:
    """JSON for programs: nothing is lost, for what is harmful is written as JSON's escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _BEYOND_ASCII.sub(_escape_json, text).replace("\x7f", "\\u007f") + "\n"


def dump_yaml(value: Any) -> str:
    """YAML for programs: nothing is lost, for what is harmful is written as YAML's escapes."""
    import yaml  # noqa: PLC0415 - the version needs none

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if clean(text) == text:
        return text
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=False)


class CleaningStream:
    """A stream that cleans what is written to it; all else is the stream's own affair."""

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind

    def write(self, text: str) -> int:
        """Write it cleaned; the length of what was given."""
        self.behind.write(fit(text, self.behind.encoding))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """What else a stream can do."""
        return getattr(self.behind, name)


@contextmanager
def open_door() -> Iterator[None]:
    """Put the door before stdout and stderr, and before the traceback of what nobody foresaw."""
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        cast("TextIO", CleaningStream(kept[0])),
        cast("TextIO", CleaningStream(kept[1])),
    )
    sys.excepthook = _print_traceback
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


def look_behind(stream: IO[str]) -> IO[str]:
    """The stream itself, for those who clean what they write there."""
    return stream.behind if isinstance(stream, CleaningStream) else stream


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    CleaningStream(sys.stderr).write(text)


def _is_harmful(letter: str) -> bool:
    return letter in _UNSEEN or unicodedata.category(letter) in _HARMFUL


def _escape_harmful(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if _is_harmful(letter) else letter


def _escape_json(found: re.Match[str]) -> str:
    letter = found[0]
    return json.dumps(letter)[1:-1] if _is_harmful(letter) else letter
