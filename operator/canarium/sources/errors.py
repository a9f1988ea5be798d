"""What goes wrong with a reading: one error, whose words can be shown to anybody.

A reading that failed is neither zero nor a failure of the revision. No data (an empty result, NaN,
an infinity) is None instead, and no error.
"""

from __future__ import annotations

from canarium.errors import CanariumError

MAX_MESSAGE = 120


class SourceError(CanariumError):
    """A reading that failed; its message is one short printable line without credentials."""

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


def make_printable(message: str) -> str:
    """Make a short line, safe to show in a terminal, of words that may be somebody else's."""
    line = "".join(character if character.isprintable() else " " for character in message)
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
