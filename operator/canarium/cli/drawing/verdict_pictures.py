"""A row of analysis as a picture of one line: where the canary lies, how strong the evidence is."""

from __future__ import annotations

from rich.text import Text

from canarium.cli.drawing.plots import draw_evidence, draw_interval
from canarium.cli.objects.rows import (
    Pair,
    Row,
    compute_rate,
    find_quantile,
    is_compared,
    is_gauge,
    read_figure,
    read_pair,
)

INTERVAL_WIDTH, EVIDENCE_WIDTH = 19, 10
INTERVAL_CELLS = 2
"How many of a picture's cells are about the interval; the others are about the evidence."


def draw_cells(row: Row, *, ascii_only: bool) -> list[str | Text]:
    """Where the canary probably lies, left or right of what is allowed, and the evidence."""
    interval, allowed = read_pair(row, "intervalLow", "intervalHigh"), find_allowed(row)
    evidence = read_pair(row, "eValue", "failsAt")
    drawn: list[str | Text] = ["", _describe_value(row)]
    if interval is not None and allowed is not None:
        picture = _draw_interval(interval, allowed, find_value(row), ascii_only=ascii_only)
        drawn = [picture, describe_interval(row, interval)]
    if evidence is None:
        return drawn
    bar = draw_evidence(*evidence, EVIDENCE_WIDTH, ascii_only=ascii_only)
    return [*drawn, bar, f"evidence {_format_e_value(evidence[0])} of {evidence[1]:.4g}"]


def _draw_interval(interval: Pair, allowed: float, value: float, *, ascii_only: bool) -> Text:
    """The interval with what is allowed in the middle: left is allowed, right is too much."""
    reach = max(*(abs(edge - allowed) for edge in interval), 1e-9)
    axis = (allowed - reach, allowed + reach)
    return draw_interval(
        interval, value, axis, INTERVAL_WIDTH, bound=allowed, ascii_only=ascii_only
    )


def find_allowed(row: Row) -> float | None:
    """The edge of what is allowed, in what the interval is about; None when it isn't known.

    That is a share of bad answers, or how much larger than stable's it may be. A latency's bad
    answers are the slow ones, of which pNN allows the rest of NN %. What a factor allows more is
    computed from the share that was counted of stable. Gauges are compared by their shift.
    """
    bound, quantile = read_figure(row, "bound"), find_quantile(row)
    if is_gauge(row):
        return 0.0
    if bound is None or (quantile is not None and is_compared(row)):
        return None if bound is None else 0.0
    if quantile is not None:
        return 1.0 - quantile
    if not is_compared(row) or bound < 1.0:
        return bound
    return (bound - 1.0) * compute_rate(row, "stable")


def find_value(row: Row) -> float:
    """What was found, in what the interval is about."""
    if is_gauge(row):
        return read_figure(row, "estimate") or 0.0
    rate = compute_rate(row, "canary")
    return rate - compute_rate(row, "stable") if is_compared(row) else rate


def describe_interval(row: Row, interval: Pair) -> str:
    """Where the canary's share lies, `0.1% to 3%`, or against stable's: `-1 to +3 points`."""
    if is_gauge(row):
        return f"{interval[0]:+.3g} to {interval[1]:+.3g}"
    low, high = (_shorten(100 * edge, "+" if is_compared(row) else "") for edge in interval)
    return f"{low} to {high} points" if is_compared(row) else f"{low}% to {high}%"


def _describe_value(row: Row) -> str:
    """The last reading of a gauge, and stable's where it was read, too."""
    value, stable = read_figure(row, "value"), read_figure(row, "stableValue")
    if not is_gauge(row) or value is None:
        return ""
    return f"last {value:.4g}" + ("" if stable is None else f", stable {stable:.4g}")


def _shorten(number: float, sign: str) -> str:
    """A number with as many decimals as somebody may want of it: 0.04, 3.2, 41."""
    digits = 2 if abs(number) < 1 else 1 if abs(number) < 10 else 0
    return f"{number:{sign}.{digits}f}" if round(number, 2) else "0"


def _format_e_value(e_value: float) -> str:
    """Figures that stay short: 0.31, 735, 4530, 5e+04."""
    return f"{e_value:.{3 if e_value < 1000 else 4}g}" if e_value < 1e4 else f"{e_value:.0e}"
