"""What a row of analysis says in a line, and how it looks: every kind that the judge has."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.cli.drawing.verdict_pictures import find_allowed
from canarium.cli.drawing.verdicts import describe_bound, describe_counts, tell_verdicts

from tests.unit.cli.golden import compare, printed


def make_row(metric: str, check: str, bound: str, **figures: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "check": check,
        "verdict": "Pass",
        "reason": "WithinBounds",
        "canaryBad": 3,
        "canaryTotal": 200,
        "stableBad": 20,
        "stableTotal": 1000,
        "bound": bound,
        **figures,
    }


def counted(metric: str, check: str, bound: str, low: str, high: str) -> dict[str, Any]:
    figures = {"intervalLow": low, "intervalHigh": high, "eValue": "12", "failsAt": "400"}
    return make_row(metric, check, bound, **figures)


def job(verdict: str, **words: str) -> dict[str, Any]:
    told = {"metric": "smoke", "source": "Job fraud-smoke-0123456789", "check": "job"}
    return {**told, "verdict": verdict, **words}


ROWS = [
    counted("error-rate", "max", "0.05", "0.002", "0.05"),
    counted("error-rate", "vsStable", "0.005", "-0.02", "0.03"),
    counted("error-rate", "vsStable", "1.5", "-0.02", "0.03"),
    counted("latency-p99", "max", "0.25", "0.002", "0.05"),
    counted("latency-p99", "vsStable", "1.2", "-0.02", "0.03"),
    counted("wrong-labels", "max", "0.1", "0.002", "0.05"),
    counted("wrong-labels", "vsStable", "2", "-0.02", "0.03"),
    counted("conversion", "experiment", "0", "-0.02", "0.03"),
    {**counted("traffic-share", "share", "0.9", "0.7", "0.85"), "canaryBad": 160},
    make_row("gpu-memory", "max", "0.9", value="0.87", stableValue="0.8"),
    make_row("precision", "min", "0.9", value="0.91"),
    make_row(
        "drift", "vsStable", "1", value="4", estimate="2.5", intervalLow="-1", intervalHigh="6"
    ),
    job("Pass", message="Job fraud-smoke-0123456789 has succeeded"),
    job("Fail", reason="JobFailed", message="Job fraud-smoke-0123456789: BackoffLimitExceeded"),
]


def test_a_check_that_has_nothing_to_judge_is_not_shown_as_passed() -> None:
    idle = {
        **counted("traffic-share", "share", "1", "0", "1"),
        "reason": "NotSplit",
        "canaryTotal": 0,
    }
    told = printed(tell_verdicts([ROWS[0], idle], ascii_only=False))
    assert told == printed(tell_verdicts(ROWS[:1], ascii_only=False))
    assert printed(tell_verdicts([idle], ascii_only=False)) == ""


@pytest.mark.parametrize("check", ["min", "max"])
def test_a_gauge_that_was_never_read_has_no_bound_in_percent(check: str) -> None:
    row = make_row("quality", check, "0.5", canaryBad=0, canaryTotal=0, reason="MetricError")
    assert describe_bound(row) == f"{check} 0.5"
    assert describe_counts(row) == "0 of 0 readings beyond"


def test_every_kind_of_row_is_told_as_written_down() -> None:
    compare("verdicts.txt", printed(tell_verdicts(ROWS, ascii_only=False)))


@pytest.mark.parametrize("row", [{}, {"metric": "x", "check": "max"}, {"bound": "soon"}])
def test_a_row_of_which_little_is_known_is_told_all_the_same(row: dict[str, Any]) -> None:
    assert printed(tell_verdicts([row], ascii_only=False)).strip()


def test_what_is_not_known_is_shown_as_it_was_written() -> None:
    assert describe_bound({"check": "max", "bound": "soon"}) == "max soon"
    assert describe_bound({"check": "later"}) == "later"
    assert describe_counts({}) == "0 of 0"


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ({"metric": "error-rate", "check": "max", "bound": "0.05"}, 0.05),
        ({"metric": "error-rate", "check": "vsStable", "bound": "0.005"}, 0.005),
        (
            {
                "metric": "error-rate",
                "check": "vsStable",
                "bound": "1.5",
                "stableBad": 20,
                "stableTotal": 1000,
            },
            0.01,
        ),
        ({"metric": "latency-p99", "check": "max", "bound": "0.25"}, 0.01),
        ({"metric": "latency-p99", "check": "vsStable", "bound": "1.2"}, 0.0),
        ({"metric": "error-rate", "check": "max", "bound": "soon"}, None),
        ({"metric": "error-rate", "check": "max"}, None),
    ],
)
def test_what_is_allowed_is_told_in_what_the_interval_is_about(
    row: dict[str, object], want: float | None
) -> None:
    assert find_allowed(row) == (None if want is None else pytest.approx(want))
