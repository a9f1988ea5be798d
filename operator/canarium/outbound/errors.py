"""What goes wrong with a reading: one error, whose words can be shown to anybody.

A reading that failed is neither zero nor a failure of the revision. No data (an empty result, NaN,
an infinity) is None instead, and no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from canarium.errors import CanariumError

MAX_MESSAGE = 120

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (RecursionError, "what was answered is nested too deeply to be read"),
    (UnicodeError, "an address, or an answer, with letters that cannot be there"),
    (OverflowError, "a number beyond what can be counted"),
    (MemoryError, "more than there is memory for"),
)
"What nobody raised on purpose, but is known to come of what people write and servers answer."


class SourceError(CanariumError):
    """A reading that failed; its message is one short printable line without credentials."""

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


Read = TypeVar("Read")


def attempt(read: Callable[[], Read]) -> Read | SourceError:
    """What reading comes to; a failure without what was read, which its frames hold on to."""
    try:
        return read()
    except SourceError as error:
        return SourceError(str(error))


def take_for_failed(error: Exception) -> SourceError:
    """Take what a reader raised, whatever it is, for its failed reading: in words of ours.

    Nothing of the exception's own text is repeated: it may be a server's, or a secret.
    """
    if isinstance(error, SourceError):
        return error
    found = (words for kind, words in _WORDS if isinstance(error, kind))
    words = next(found, "an internal error, which the operator's log has")
    return SourceError(f"{words} ({type(error).__name__})")


def make_printable(message: str) -> str:
    """Make a short line, safe to show in a terminal, of words that may be somebody else's."""
    line = "".join(character if character.isprintable() else " " for character in message)
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
