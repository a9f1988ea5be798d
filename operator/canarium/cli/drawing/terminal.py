"""How things look in a terminal: marks, colours, ages, columns; and how they look to programs.

Colours only on a terminal, and none with NO_COLOR; ASCII where the terminal cannot do better.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from canarium.cli.output import dump_json, dump_yaml, fit, flatten, look_behind

MARKS = {
    "Done": ("✔", "+", "green"),
    "Pass": ("✔", "+", "green"),
    "Ready": ("✔", "+", "green"),
    "Now": ("▶", ">", "bold cyan"),
    "ToCome": ("○", ".", "dim"),
    "TakenBack": ("✘", "x", "red"),
    "Fail": ("✘", "x", "red"),
    "NotReady": ("…", "~", "yellow"),
    "Inconclusive": ("?", "?", "yellow"),
    "NoData": ("?", "?", "yellow"),
}
"Of each word: its mark, the same in ASCII, its colour."

COLOURS = {
    "Healthy": "green",
    "Guarding": "green",
    "Progressing": "cyan",
    "Pending": "cyan",
    "Paused": "yellow",
    "RolledBack": "red",
    "Failed": "red",
    "Invalid": "red",
    "Stable": "green",
    "Superseded": "dim",
    "Canceled": "yellow",
}
"Of phases, and of outcomes in history."

_UNITS = (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class CleanConsole(Console):
    """A console whose colours pass the door, and nothing else that steers a terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Clean every piece of text; what moves the cursor is rich's own."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(fit(piece.text, self.encoding), piece.style)


def make_console(file: IO[str] | None = None, width: int | None = None) -> Console:
    """A console that prints what it is given: no markup, no guesses what is a number."""
    stream = file if file is not None else look_behind(sys.stdout)
    return CleanConsole(file=stream, width=width, markup=False, emoji=False, highlight=False)


def print_value(value: Any, form: str) -> None:
    """Print a value for programs, as json or yaml."""
    sys.stdout.write(dump_json(value) if form == "json" else dump_yaml(value))


def mark(word: str, *, ascii_only: bool) -> Text:
    """The mark of a word."""
    sign, plain, style = MARKS.get(word, ("?", "?", "yellow"))
    return Text(plain if ascii_only else sign, style)


def phase(word: str) -> Text:
    """A phase or an outcome in its colour."""
    return Text(word, COLOURS.get(word, ""))


def format_age(seconds: float | None) -> str:
    """How long ago, in one unit, or in two where the first is small: 41s, 3m12s, 45m, 2d."""
    if seconds is None:
        return ""
    rest = max(0, int(seconds))
    for (unit, size), (finer, part) in zip_longest(_UNITS, _UNITS[1:], fillvalue=("", 1)):
        count, left = divmod(rest, size)
        if count >= 2 or size == 1:
            fine = left // part if finer and count < 10 else 0
            return f"{count}{unit}" + (f"{fine}{finer}" if fine else "")
    return "0s"


def align(rows: Sequence[Sequence[str | Text]], *, gap: int = 2) -> list[Text]:
    """Each row as one line, with the columns below each other."""
    made = [
        [Text(flatten(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows
    ]
    columns = zip_longest(*made, fillvalue=Text())
    widths = [max(cell.cell_len for cell in column) for column in columns]
    return [_join(row, widths, gap) for row in made]


def _join(row: Sequence[Text], widths: Sequence[int], gap: int) -> Text:
    line, space = Text(), 0
    for cell, width in zip(row, widths, strict=False):
        if not width:
            continue
        line.append(" " * space).append_text(cell)
        space = width - cell.cell_len + gap
    line.rstrip()
    return line
