"""Counts put before the judge, reading by reading, as the operator does in a rollout. Pure.

What comes after the reading at which a check fails isn't looked at: the canary would be gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from canarium import judge
from canarium.cli.judging.input import Block
from canarium.judge.sequential import Counts, compute_e_value

METRIC = "error-rate"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Point:
    """After a reading: what both revisions have answered so far, and the e-value of each check."""

    label: str
    stable: Counts
    canary: Counts
    e_values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went: the verdict, a row and a margin a check, a point a reading that was looked at.

    `given` is how many readings there were, `fails_at` the e-value at which a check fails;
    `failed_at` is the label of the one that failed it.
    """

    verdict: judge.Verdict
    rows: tuple[judge.Row, ...]
    points: tuple[Point, ...]
    given: int
    alpha: float
    fails_at: float

    @property
    def decisive(self) -> judge.Row:
        """The first check with the verdict over all."""
        return next(row for row in self.rows if row.verdict == self.verdict)

    @property
    def failed_at(self) -> str | None:
        """The label of the reading after which the canary would have been taken back."""
        return self.points[-1].label if self.verdict == "Fail" else None


def run_trial(
    blocks: Sequence[Block], metric: judge.Metric, alpha: float, min_requests: int
) -> Trial:
    """Judge the readings one after the other. There has to be one, and a bound to the metric.

    Raises ValueError when alpha isn't between 0 and 1.
    """
    analysis, points = judge.start((metric,), alpha, min_requests), []
    stable = canary = Counts()
    for block in blocks:
        analysis = judge.observe(analysis, _make_reading(block))
        stable, canary = stable + block.stable, canary + block.canary
        e_values = tuple(compute_e_value(check.evidence) for check in analysis.checks)
        points.append(Point(block.label, stable, canary, e_values))
        if judge.verdict(analysis) == "Fail":
            break
    rows = judge.rows(analysis)
    return Trial(
        judge.verdict(analysis), rows, tuple(points), len(blocks), alpha, analysis.fails_at
    )


def _make_reading(block: Block) -> judge.Reading:
    # A side without an answer in it has said nothing; that isn't the same as no errors. A line is
    # taken for a second's reading, as a rollout's are: no handful of answers decides alone.
    return judge.Reading(1.0, _make_sample(block.stable), _make_sample(block.canary))


def _make_sample(counts: Counts) -> judge.Sample | None:
    return judge.Sample(counts.total, counts.bad) if counts.total else None


def dump_trial(trial: Trial) -> dict[str, Any]:
    """The verdict for programs; a check has the names that it has in `status.canary.analysis`."""
    return {
        "verdict": trial.verdict,
        "reason": trial.decisive.reason,
        "alpha": trial.alpha,
        "readings": trial.given,
        "readingsSeen": len(trial.points),
        **({"failedAt": trial.failed_at} if trial.failed_at is not None else {}),
        "checks": [dump_row(row) for row in trial.rows],
    }


def dump_row(row: judge.Row) -> dict[str, Any]:
    """A row as status has it, but with numbers instead of texts."""
    low, high = row.interval or (None, None)
    values = {
        "metric": row.metric,
        "check": row.check,
        "verdict": row.verdict,
        "reason": row.reason,
        "message": row.message,
        "canaryBad": row.canary_bad,
        "canaryTotal": row.canary_total,
        "stableBad": row.stable_bad,
        "stableTotal": row.stable_total,
        "bound": row.bound,
        "intervalLow": low,
        "intervalHigh": high,
        "eValue": row.e_value,
        "failsAt": row.fails_at,
    }
    return {name: value for name, value in values.items() if value is not None}


def thin(points: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly, with the first and the last: what a picture can show."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[place] for place in _spread(last, most)]


def _spread(last: int, most: int) -> Iterable[int]:
    return (round(step * last / (most - 1)) for step in range(most))
