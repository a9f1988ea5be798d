"""What a row of analysis is about, and its figures. A row may be of any release, so none is sure.

A row's bound is a bare number, as `metrics` writes it: a share for counts of answers, seconds for
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
_BUILT_IN = ("error-rate", "traffic-share")
_BOUNDED = ("max", "min", "vsStable")
"Checks of figures, as those of a Job are not."


def is_compared(row: Row) -> bool:
    """Whether stable's answers are part of it."""
    return row.get("check") in COMPARED


def is_gauge(row: Row) -> bool:
    """Whether it is about readings of a number instead of counts of answers.

    Only counts are tested by e-values. A gauge that was never read has no figure of its own.
    """
    if "eValue" in row or "failsAt" in row or _counts_answers(row):
        return False
    return row.get("check") in _BOUNDED


def _counts_answers(row: Row) -> bool:
    """Whether the metric is one of those that are built in."""
    return row.get("metric") in _BUILT_IN or find_quantile(row) is not None


def is_idle(row: Row) -> bool:
    """Whether it judges nothing: `traffic-share`, where no share was to be expected so far."""
    return row.get("reason") == "NotSplit"


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
