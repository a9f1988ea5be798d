"""Rows of analysis as people read them: the bound, what was counted, how strong the evidence is.

A row's bound is a bare number, as `measuring` writes it: a share for error-rate, seconds for a
latency, and against stable a difference of shares or a factor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from canarium.cli.plots import draw_evidence, draw_interval
from canarium.cli.terminal import align, mark

Row = Mapping[str, Any]
Pair = tuple[float, float]

INTERVAL_WIDTH, EVIDENCE_WIDTH = 19, 10
_INDENT = (0, 0, 0, 3)


def tell_verdicts(rows: Sequence[Row], *, ascii_only: bool) -> Iterator[RenderableType]:
    """A line for each check with its picture below; one that has not passed says why, too."""
    lines = align([_cells(row, ascii_only=ascii_only) for row in rows])
    pictures = align([_draw_cells(row, ascii_only=ascii_only) for row in rows])
    for row, line, picture in zip(rows, lines, pictures, strict=True):
        why = "" if _passed(row) else row.get("message") or ""
        below = [part for part in (picture, Text(why, "dim")) if part.plain.strip()]
        yield Group(line, *(Padding(part, _INDENT, expand=False) for part in below))


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
    """What was asked for: `max 5%`, `max 250ms`, `stable + 0.5%`, `stable x 1.2`."""
    try:
        bound = float(row["bound"])
    except (KeyError, ValueError):
        return f"max {row['bound']}" if row.get("bound") else str(row.get("check", ""))
    errors = row.get("metric") == "error-rate"
    if row.get("check") != "vsStable":
        return f"max {_percent(bound) if errors else _latency(bound)}"
    return f"stable + {_percent(bound)}" if errors and bound < 1 else f"stable x {bound:g}"


def describe_counts(row: Row) -> str:
    """What was counted in this step: `1 of 200`, and stable's where it is compared with."""
    text = f"{row.get('canaryBad', 0)} of {row.get('canaryTotal', 0)}"
    if row.get("check") == "vsStable":
        text += f", stable {row.get('stableBad', 0)} of {row.get('stableTotal', 0)}"
    return text


def _describe_evidence(evidence: Pair | None) -> str:
    return f"evidence {_tell_e_value(evidence[0])} of {evidence[1]:.4g}" if evidence else ""


def _tell_e_value(e_value: float) -> str:
    """Figures that stay short: 0.31, 735, 4530, 5e+04."""
    return f"{e_value:.{3 if e_value < 1000 else 4}g}" if e_value < 1e4 else f"{e_value:.0e}"


def _draw_cells(row: Row, *, ascii_only: bool) -> list[str | Text]:
    """Where the canary probably lies, left or right of what is allowed, and the evidence."""
    interval = _read_pair(row, "intervalLow", "intervalHigh")
    drawn = "" if interval is None else _draw_interval(row, interval, ascii_only=ascii_only)
    said = describe_interval(interval, compared=_is_compared(row)) if interval and drawn else ""
    evidence = _read_pair(row, "eValue", "failsAt")
    bar = draw_evidence(*evidence, EVIDENCE_WIDTH, ascii_only=ascii_only) if evidence else ""
    return [drawn, said, bar, _describe_evidence(evidence)]


def _draw_interval(row: Row, interval: Pair, *, ascii_only: bool) -> str | Text:
    """The interval with what is allowed in the middle: left is allowed, right is too much."""
    allowed = find_allowed(row)
    if allowed is None:
        return ""
    reach = max(*(abs(edge - allowed) for edge in interval), 1e-9)
    axis = (allowed - reach, allowed + reach)
    return draw_interval(
        interval, _find_value(row), axis, INTERVAL_WIDTH, bound=allowed, ascii_only=ascii_only
    )


def find_allowed(row: Row) -> float | None:
    """The edge of what is allowed, in what the interval is about; None when it isn't known.

    That is a share of bad answers, or how much larger than stable's it may be. A latency's bad
    answers are the slow ones, of which pNN allows the rest of NN %. What a factor allows more is
    computed from the share that was counted of stable.
    """
    bound = _read_figure(row, "bound")
    if bound is None:
        return None
    quantile = re.fullmatch(r"latency-p(\d+)", str(row.get("metric", "")))
    if quantile is not None:
        return 0.0 if _is_compared(row) else 1.0 - int(quantile[1]) / 100
    if not _is_compared(row) or bound < 1.0:
        return bound
    return (bound - 1.0) * _compute_rate(row, "stable")


def _find_value(row: Row) -> float:
    """What was counted, in what the interval is about."""
    rate = _compute_rate(row, "canary")
    return rate - _compute_rate(row, "stable") if _is_compared(row) else rate


def _compute_rate(row: Row, side: str) -> float:
    total = int(row.get(f"{side}Total") or 0)
    return int(row.get(f"{side}Bad") or 0) / total if total else 0.0


def describe_interval(interval: Pair, *, compared: bool) -> str:
    """Where the canary's share lies: `0.1% to 3%`, or against stable's: `-1 to +3 points`."""
    low, high = (_shorten(100 * edge, "+" if compared else "") for edge in interval)
    return f"{low} to {high} points" if compared else f"{low}% to {high}%"


def _shorten(number: float, sign: str) -> str:
    """A number with as many decimals as somebody may want of it: 0.04, 3.2, 41."""
    digits = 2 if abs(number) < 1 else 1 if abs(number) < 10 else 0
    return f"{number:{sign}.{digits}f}" if round(number, 2) else "0"


def _is_compared(row: Row) -> bool:
    return bool(row.get("check") == "vsStable")


def _read_pair(row: Row, first: str, second: str) -> Pair | None:
    figures = _read_figure(row, first), _read_figure(row, second)
    return None if figures[0] is None or figures[1] is None else (figures[0], figures[1])


def _read_figure(row: Row, name: str) -> float | None:
    """A figure as a number; None when it is missing or is none, for rows may be of any release."""
    try:
        figure = float(row[name])
    except (KeyError, TypeError, ValueError):
        return None
    return figure if isfinite(figure) else None


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _latency(seconds: float) -> str:
    return f"{1000 * seconds:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
