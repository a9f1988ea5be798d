"""Pictures in a terminal: where an interval lies, how strong evidence is, how it came to be.

Pure. Characters only, so that a log keeps them; ASCII where the terminal cannot do better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from rich.text import Text

Span = tuple[float, float]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"Bits of a braille cell, by row and column, from U+2800."
_DOTS_DOWN, _DOTS_ACROSS = len(_DOTS), len(_DOTS[0])


@dataclass(frozen=True, slots=True)
class _Signs:
    low: str
    line: str
    value: str
    high: str
    bound: str
    full: str
    rest: str
    edge: str
    corner: str
    floor: str
    limit: str


_UNICODE = _Signs("├", "─", "●", "┤", "┃", "█", "░", "┤", "└", "─", "╌")
_ASCII = _Signs("[", "-", "o", "]", "|", "#", ".", "|", "+", "-", "-")


def draw_interval(
    interval: Span,
    value: float,
    axis: Span,
    width: int,
    *,
    bound: float | None = None,
    style: str = "",
    ascii_only: bool = False,
) -> Text:
    """An interval with the value found in it, on an axis of `width` characters; `bound` is a bar.

    What lies beyond the axis is cut off, so its end has no bracket.
    """
    signs = _ASCII if ascii_only else _UNICODE
    low, high = (_place(edge, axis, width) for edge in interval)
    cells = [" "] * width
    for place in range(max(low, 0), min(high, width - 1) + 1):
        cells[place] = signs.line
    for sign, place in ((signs.low, low), (signs.high, high)):
        if 0 <= place < width:
            cells[place] = sign
    cells[min(max(_place(value, axis, width), 0), width - 1)] = signs.value
    line = Text("".join(cells), style)
    at = -1 if bound is None else _place(bound, axis, width)
    if 0 <= at < width:
        line = Text.assemble(line[:at], (signs.bound, "bold"), line[at + 1 :])
    return line


def draw_evidence(e_value: float, fails_at: float, width: int, *, ascii_only: bool = False) -> Text:
    """A bar from 1 (none) to where the check fails (full), by the logarithm of the evidence."""
    signs = _ASCII if ascii_only else _UNICODE
    reached = log10(max(e_value, 1.0)) / log10(fails_at)
    full = width if reached >= 1.0 else min(floor(reached * width), width - 1)
    style = "red" if full == width else "yellow" if 2 * full >= width else "green"
    return Text.assemble((signs.full * full, style), (signs.rest * (width - full), "dim"))


def draw_curve(
    values: Sequence[float],
    limit: float,
    width: int,
    height: int,
    *,
    ends: tuple[str, str] = ("", ""),
    ascii_only: bool = False,
) -> list[Text]:
    """A curve of positive numbers over equal steps, on a logarithmic axis, with a line at `limit`.

    `width` is that of the whole picture, `height` that of the axis. `ends` stand below its ends.
    """
    signs = _ASCII if ascii_only else _UNICODE
    axis = find_decades(values, limit)
    labels = _label_decades(axis, height)
    margin = max(map(len, labels.values())) + 1
    inner = max(width - margin - 1, 2)
    curve = _draw_dots([log10(value) for value in values], axis, inner, height, ascii_only)
    limit_row = _find_row(log10(limit), axis, height)
    lines = []
    for row, drawn in enumerate(curve):
        tail = _draw_limit(drawn, signs.limit) if row == limit_row else Text(drawn, "cyan")
        line = Text(f"{labels.get(row, ''):>{margin - 1}} {signs.edge}").append_text(tail)
        line.rstrip()
        lines.append(line)
    lines.append(Text(" " * margin + signs.corner + signs.floor * inner))
    first, last = ends
    between = " " * max(inner - len(first) - len(last), 1)
    return [*lines, Text(" " * (margin + 1) + first + between + last, "dim")]


def find_decades(values: Sequence[float], limit: float) -> tuple[int, int]:
    """The powers of ten that hold the values and the limit; no more than three beyond the limit."""
    lowest = floor(log10(min(*values, 1.0)))
    highest = ceil(log10(limit * 1.000001))
    return lowest, max(highest, min(ceil(log10(max(values))), highest + 3))


def find_axis(spans: Sequence[Span], *points: float) -> Span:
    """A span that holds all of these, with round ends near them."""
    low = min([*points, *(span[0] for span in spans)])
    high = max([*points, *(span[1] for span in spans)])
    step = 10.0 ** floor(log10(max(high - low, 1e-9))) / 2.0
    return floor(low / step) * step, ceil(high / step) * step


def _place(value: float, axis: Span, width: int) -> int:
    low, high = axis
    return round((value - low) / (high - low) * (width - 1)) if high > low else 0


def _find_row(exponent: float, axis: tuple[int, int], height: int) -> int:
    return height - 1 - _place(exponent, axis, height)


def _label_decades(axis: tuple[int, int], height: int) -> Mapping[int, str]:
    """Which rows of the axis are powers of ten; as many as have room, with both ends."""
    low, high = axis
    every = ceil((high - low) / max(height - 1, 1))
    return {
        _find_row(power, axis, height): _format_power(power)
        for power in range(low, high + 1)
        if (power - low) % every == 0
    }


def _format_power(power: int) -> str:
    return f"{10.0**power:g}" if abs(power) < 5 else f"1e{power}"


def _draw_limit(drawn: str, sign: str) -> Text:
    """The row of the limit: the curve where it is, the line where it isn't."""
    line = Text()
    for cell in drawn:
        line.append(cell, "cyan") if cell not in " \u2800" else line.append(sign, "red")
    return line


def _draw_dots(
    heights: Sequence[float], axis: Span, width: int, height: int, ascii_only: bool
) -> list[str]:
    """The curve, in dots of which a cell of braille has four by two and one of ASCII has one."""
    down, across = (1, 1) if ascii_only else (_DOTS_DOWN, _DOTS_ACROSS)
    columns, rows = width * across, height * down
    cells = [[0] * width for _ in range(height)]
    before: int | None = None
    for column in range(columns):
        exponent = _interpolate(heights, column / max(columns - 1, 1))
        at = min(max(rows - 1 - _place(exponent, axis, rows), 0), rows - 1)
        first, last = sorted((at, at if before is None else before))
        for row in range(first, last + 1):
            bit = 1 if ascii_only else _DOTS[row % down][column % across]
            cells[row // down][column // across] |= bit
        before = at
    return ["".join(map(_show_ascii if ascii_only else _show_braille, line)) for line in cells]


def _show_ascii(dots: int) -> str:
    return "*" if dots else " "


def _show_braille(dots: int) -> str:
    return chr(0x2800 + dots) if dots else " "


def _interpolate(values: Sequence[float], share: float) -> float:
    exact = share * (len(values) - 1)
    place = floor(exact)
    following = min(place + 1, len(values) - 1)
    return values[place] + (values[following] - values[place]) * (exact - place)
