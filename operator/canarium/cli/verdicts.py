"""Rows of analysis as people read them: the bound, what was counted, how strong the evidence is.

A row's bound is a bare number, as `measuring` writes it: a share for error-rate, seconds for a
latency, and against stable a difference of shares or a factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from canarium.cli.terminal import align, mark

Row = Mapping[str, Any]


def tell_verdicts(rows: Sequence[Row], *, ascii_only: bool) -> Iterator[RenderableType]:
    """A line for each check; one that has not passed says why below."""
    lines = align([_cells(row, ascii_only=ascii_only) for row in rows])
    for row, line in zip(rows, lines, strict=True):
        if _passed(row) or not row.get("message"):
            yield line
        else:
            yield Group(line, Padding(Text(row["message"], "dim"), (0, 0, 0, 3), expand=False))


def _cells(row: Row, *, ascii_only: bool) -> list[str | Text]:
    verdict, reason = str(row.get("verdict", "")), str(row.get("reason") or row.get("verdict", ""))
    why = Text(reason, "red" if verdict == "Fail" else "yellow")
    return [
        mark(verdict, ascii_only=ascii_only),
        str(row.get("metric", "")),
        describe_bound(row),
        describe_counts(row) if _passed(row) else why,
        _describe_evidence(row) if _passed(row) else "",
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


def _describe_evidence(row: Row) -> str:
    if "eValue" not in row or "failsAt" not in row:
        return ""
    return f"evidence {row['eValue']} of {row['failsAt']}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _latency(seconds: float) -> str:
    return f"{1000 * seconds:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
