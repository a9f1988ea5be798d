"""What the tests have found so far, in few words and numbers that a person can read."""

from dataclasses import dataclass, replace
from typing import Literal

from canarium.judge.analysis import Analysis, Check, CheckKind, get_allowed_rate
from canarium.judge.intervals import compute_difference_interval, compute_rate_interval
from canarium.judge.latency import ANSWERS_TO_LEARN_FROM
from canarium.judge.sequential import Counts, compute_e_value

Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData"]

_WORST_FIRST: tuple[Verdict, ...] = ("Fail", "NoData", "Inconclusive", "Pass")
_TOO_HIGH = {"ErrorRate": "ErrorRateTooHigh", "Latency": "LatencyTooHigh"}


@dataclass(frozen=True, slots=True)
class Row:
    """One check: its verdict, why, and the evidence. Counts are those of the present step.

    `e_value` grows with the evidence against the canary, over the whole rollout; the check fails
    at `fails_at`. `interval` is where the canary's rate lies (max), or by how much it exceeds
    stable's (vsStable), at 95 % at all times. For Latency a bad answer is one slower than
    `threshold_seconds`; `tested_ratio` is what the buckets have made of maxRatio.
    """

    metric: str
    check: CheckKind
    verdict: Verdict
    reason: str
    message: str
    stable_bad: int
    stable_total: int
    canary_bad: int
    canary_total: int
    e_value: float
    fails_at: float
    bound: float
    interval: tuple[float, float] | None
    threshold_seconds: float | None
    tested_ratio: float | None


def verdict(analysis: Analysis) -> Verdict:
    """Give the verdict over all checks: the worst one; Pass when there is nothing to check."""
    found = {_decide(check, analysis.min_requests)[0] for check in analysis.checks}
    return next((worst for worst in _WORST_FIRST if worst in found), "Pass")


def rows(analysis: Analysis) -> tuple[Row, ...]:
    """List the checks, in the order of the metrics."""
    return tuple(_make_row(check, analysis) for check in analysis.checks)


def _decide(check: Check, min_requests: int) -> tuple[Verdict, str]:
    needed = max(min_requests, 1)
    decisions: tuple[tuple[bool, Verdict, str], ...] = (
        (check.failed, "Fail", _TOO_HIGH[check.metric.kind]),
        (not check.canary_seen, "NoData", "NoCanaryData"),
        (check.kind == "vsStable" and not check.stable_seen, "Inconclusive", "NoStableData"),
        (_is_learning(check), "Inconclusive", "LearningStable"),
        (_lacks_threshold(check), "Inconclusive", "NoSuitableBucket"),
        (check.canary_seen < needed, "Inconclusive", "TooFewRequests"),
    )
    return next(
        ((outcome, reason) for holds, outcome, reason in decisions if holds),
        ("Pass", "WithinBounds"),
    )


def _lacks_threshold(check: Check) -> bool:
    return check.metric.kind == "Latency" and check.thresholds is None


def _is_learning(check: Check) -> bool:
    return _lacks_threshold(check) and check.kind == "vsStable" and _missing(check) > 0


def _missing(check: Check) -> int:
    return ANSWERS_TO_LEARN_FROM - (check.history[-1][1] if check.history else 0)


def _make_row(check: Check, analysis: Analysis) -> Row:
    outcome, reason = _decide(check, analysis.min_requests)
    thresholds = check.thresholds
    ratio = thresholds[1] / thresholds[0] if thresholds and check.kind == "vsStable" else None
    row = Row(
        metric=check.metric.name,
        check=check.kind,
        verdict=outcome,
        reason=reason,
        message="",
        stable_bad=check.stable.bad,
        stable_total=check.stable.total,
        canary_bad=check.canary.bad,
        canary_total=check.canary.total,
        e_value=compute_e_value(check.evidence),
        fails_at=analysis.fails_at,
        bound=_get_bound(check),
        interval=_compute_interval(check),
        threshold_seconds=thresholds[1] if thresholds else None,
        tested_ratio=ratio,
    )
    return replace(row, message=_say(check, row, analysis.min_requests))


def _get_bound(check: Check) -> float:
    metric = check.metric
    given = (metric.max,) if check.kind == "max" else (metric.max_increase, metric.max_ratio)
    return next(bound for bound in given if bound is not None)


def _compute_interval(check: Check) -> tuple[float, float] | None:
    if not check.canary.total or (check.kind == "vsStable" and not check.stable.total):
        return None
    if check.kind == "max":
        return compute_rate_interval(check.canary)
    return compute_difference_interval(check.stable, check.canary)


def _say(check: Check, row: Row, min_requests: int) -> str:
    missing = {
        "NoCanaryData": "no answer of the canary has been counted",
        "NoStableData": "no answer of stable has been counted to compare with",
        "LearningStable": f"{_missing(check)} more answers of stable are needed to know how slow"
        " it is",
        "NoSuitableBucket": "no bucket of the histogram is slow enough for the bound",
        "TooFewRequests": f"{check.canary_seen} of at least {min_requests} answers of the canary"
        " counted",
    }
    if row.reason in missing:
        return missing[row.reason]
    found = f"canary: {_describe(check.canary, check, of_canary=True)}"
    if check.kind == "vsStable":
        found += f"; stable: {_describe(check.stable, check, of_canary=False)}"
    return f"{found}; allowed: {_describe_bound(check, row)}; {_describe_evidence(check, row)}"


def _describe(counts: Counts, check: Check, *, of_canary: bool) -> str:
    did = "failed"
    if check.thresholds:
        did = f"took over {_seconds(check.thresholds[1 if of_canary else 0])}"
    rate = counts.bad / counts.total if counts.total else 0.0
    return f"{counts.bad} of {counts.total} {did} ({_percent(rate)})"


def _describe_bound(check: Check, row: Row) -> str:
    if check.kind == "max":
        return _percent(get_allowed_rate(check.metric))
    if row.tested_ratio is not None:
        return f"no larger a share (ratio tested {row.tested_ratio:.3g})"
    if check.metric.max_ratio is not None:
        return f"{check.metric.max_ratio:.3g} times stable's"
    return f"{_points(row.bound)} more"


def _describe_evidence(check: Check, row: Row) -> str:
    against = f"evidence against it {row.e_value:.3g}, fails at {row.fails_at:.4g}"
    if row.interval is None:
        return against
    low, high = row.interval
    if check.kind == "max":
        return f"its rate is {_percent(low)} to {_percent(high)}; {against}"
    return f"difference {_points(low)} to {_points(high)}; {against}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g}%"


def _points(difference: float) -> str:
    return f"{100 * difference:.3g} points"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s"
