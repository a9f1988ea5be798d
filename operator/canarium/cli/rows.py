"""What a row of analysis is about, and its figures. A row may be of any release, so none is sure.

A row's bound is a bare number, as `measuring` writes it: a share for counts of answers, seconds for
a latency, a gauge's own unit; against stable a difference of shares or a factor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

Row = Mapping[str, Any]
Pair = tuple[float, float]

COMPARED = ("vsStable", "experiment")
_NUMBERS = {"value", "stableValue", "estimate"}
"What only rows of gauges have."


def is_compared(row: Row) -> bool:
    """Whether stable's answers are part of it."""
    return row.get("check") in COMPARED


def is_gauge(row: Row) -> bool:
    """Whether it is about readings of a number instead of counts of answers: no e-value then."""
    return "eValue" not in row and "failsAt" not in row and bool(_NUMBERS & row.keys())


def find_quantile(row: Row) -> float | None:
    """The share of answers that a latency's bound is about: 0.99 of latency-p99."""
    found = re.fullmatch(r"latency-p(\d+)", str(row.get("metric", "")))
    return None if found is None else int(found[1]) / 100


def compute_rate(row: Row, side: str) -> float:
    """The share of bad answers that was counted of a side, `stable` or `canary`."""
    total = int(row.get(f"{side}Total") or 0)
    return int(row.get(f"{side}Bad") or 0) / total if total else 0.0


def read_pair(row: Row, first: str, second: str) -> Pair | None:
    """Two figures, or None when one is missing."""
    figures = read_figure(row, first), read_figure(row, second)
    return None if figures[0] is None or figures[1] is None else (figures[0], figures[1])


def read_figure(row: Row, name: str) -> float | None:
    """A figure as a number; None when it is missing or is none."""
    try:
        figure = float(row[name])
    except (KeyError, TypeError, ValueError):
        return None
    return figure if isfinite(figure) else None
