"""Rows of analysis as people read them: the bound, what was counted, how strong the evidence is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.text import Text

from canarium.cli.drawing.terminal import align, mark
from canarium.cli.drawing.verdict_pictures import INTERVAL_CELLS, draw_cells
from canarium.cli.objects.rows import (
    Row,
    find_quantile,
    is_compared,
    is_gauge,
    is_idle,
    read_figure,
)

_INDENT = (0, 0, 0, 3)


@dataclass(frozen=True, slots=True)
class _Picture:
    """An interval and its evidence side by side, or where there is no room below each other."""

    interval: Text
    evidence: Text
    whole: Text

    def _lines(self, width: int) -> tuple[Text, ...]:
        return (self.whole,) if self.whole.cell_len <= width else (self.interval, self.evidence)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._lines(options.max_width)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        width = max(line.cell_len for line in self._lines(options.max_width))
        return Measurement(width, width)


def tell_verdicts(rows: Sequence[Row], *, ascii_only: bool) -> Iterator[RenderableType]:
    """A line for each check with its picture below; one that has not passed says why, too.

    A check that has nothing to judge is left out: its bound and its counts would be made up.
    """
    rows = [row for row in rows if not is_idle(row)]
    lines = align([_cells(row, ascii_only=ascii_only) for row in rows])
    pictures = _draw(rows, ascii_only=ascii_only)
    for row, line, picture in zip(rows, lines, pictures, strict=True):
        why = Text("" if _passed(row) else row.get("message") or "", "dim")
        below: list[RenderableType] = [
            *([picture] if picture.whole.plain else []),
            *([why] if why.plain else []),
        ]
        yield Group(line, *(Padding(part, _INDENT, expand=False) for part in below))


def _draw(rows: Sequence[Row], *, ascii_only: bool) -> list[_Picture]:
    cells = [draw_cells(row, ascii_only=ascii_only) for row in rows]
    intervals = align([each[:INTERVAL_CELLS] for each in cells])
    evidence = align([each[INTERVAL_CELLS:] for each in cells])
    return [_Picture(*each) for each in zip(intervals, evidence, align(cells), strict=True)]


def _cells(row: Row, *, ascii_only: bool) -> list[str | Text]:
    verdict, reason = str(row.get("verdict", "")), str(row.get("reason") or row.get("verdict", ""))
    why = Text(reason, "red" if verdict == "Fail" else "yellow")
    return [
        mark(verdict, ascii_only=ascii_only),
        str(row.get("metric", "")),
        describe_bound(row),
        describe_counts(row) if _passed(row) else why,
    ]


def _passed(row: Row) -> bool:
    return bool(row.get("verdict") == "Pass")


def describe_bound(row: Row) -> str:
    """What was asked for: `max 5%`, `max 250ms`, `stable + 0.5%`, `stable x 1.2`, `min 0.9`."""
    check, bound = str(row.get("check", "")), read_figure(row, "bound")
    if bound is None:
        return f"max {row['bound']}" if row.get("bound") else check
    if check == "share":
        return f"at least {_percent(1.0 - bound)}"
    if check == "experiment":
        return "better than stable"
    if is_gauge(row):
        return "ranks like stable" if is_compared(row) else f"{check} {bound:g}"
    latency = find_quantile(row) is not None
    if not is_compared(row):
        return f"max {_latency(bound) if latency else _percent(bound)}"
    return f"stable x {bound:g}" if latency or bound >= 1 else f"stable + {_percent(bound)}"


def describe_counts(row: Row) -> str:
    """What was counted in this step: `1 of 200`, and stable's where it is compared with.

    Of `traffic-share` those of the canary among both sides', of a gauge the readings beyond its
    bound, of a Job its name.
    """
    bad, total = row.get("canaryBad", 0), row.get("canaryTotal", 0)
    if row.get("check") == "job":
        return str(row.get("source", ""))
    if row.get("check") == "share":
        return f"{total - bad} of {total}"
    if is_gauge(row):
        return "" if is_compared(row) else f"{bad} of {total} readings beyond"
    text = f"{bad} of {total}"
    if is_compared(row):
        text += f", stable {row.get('stableBad', 0)} of {row.get('stableTotal', 0)}"
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _latency(seconds: float) -> str:
    return f"{1000 * seconds:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
