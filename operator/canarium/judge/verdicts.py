"""What the tests have found so far, in few words and numbers that a person can read."""

from dataclasses import replace

from canarium.judge import gauges
from canarium.judge.analysis import (
    Analysis,
    Check,
    can_be_proven,
    find_error,
    get_allowed_rate,
    make_bound,
)
from canarium.judge.intervals import (
    compute_difference_interval,
    compute_rate_interval,
    compute_ratio_interval,
)
from canarium.judge.latency import ANSWERS_TO_LEARN_FROM
from canarium.judge.rows import (
    WORST_FIRST,
    Row,
    Verdict,
    say_points,
    say_rate,
    say_seconds,
)
from canarium.judge.sequential import Counts, Rate, compute_e_value
from canarium.judge.traffic_share import LEAST_PART


def verdict(analysis: Analysis, *, hold_over: bool = False) -> Verdict:
    """Give the verdict over all checks: the worst one; Pass when there is nothing to check.

    Say when the hold is over: what is judged by ranks is Inconclusive before.
    """
    found = {_decide(check, analysis)[0] for check in analysis.checks}
    found |= {row.verdict for row in _make_gauge_rows(analysis, hold_over=hold_over)}
    return next((worst for worst in WORST_FIRST if worst in found), "Pass")


def rows(analysis: Analysis, *, hold_over: bool = False) -> tuple[Row, ...]:
    """List the checks in the order of the metrics: those of counts, then those of gauges."""
    of_counts = (_make_row(check, analysis) for check in analysis.checks)
    return (*of_counts, *_make_gauge_rows(analysis, hold_over=hold_over))


def is_proven(analysis: Analysis) -> bool:
    """Tell whether the step may end early: every check passes, with proof that it keeps its bound.

    Wrong with a probability of at most alpha in each step. Never with decide HoldEnd, nor with a
    gauge or a bound of no difference at all, which nothing can prove. `traffic-share` is left
    out where no share is expected.
    """
    if analysis.decide != "Early" or analysis.gauges or not analysis.checks:
        return False
    if verdict(analysis) != "Pass":
        return False
    return all(
        can_be_proven(check) and (_get_proof(check) or 0.0) >= analysis.proven_at
        for check in analysis.checks
        if check.kind != "share" or check.canary.total
    )


def _get_proof(check: Check) -> float | None:
    proof = check.progress.proof
    return None if proof is None or not can_be_proven(check) else compute_e_value(proof)


def _make_gauge_rows(analysis: Analysis, *, hold_over: bool) -> tuple[Row, ...]:
    return tuple(
        gauges.make_row(check, find_error(analysis, check.metric), hold_over=hold_over)
        for check in analysis.gauges
    )


def _decide(check: Check, analysis: Analysis) -> tuple[Verdict, str]:
    if check.kind == "share":
        return _decide_share(check)
    needed = max(analysis.min_requests, 1)
    decisions: tuple[tuple[bool, Verdict, str], ...] = (
        (check.failed, "Fail", _name_failure(check)),
        (find_error(analysis, check.metric) is not None, "Inconclusive", "MetricError"),
        (not check.canary_seen, "NoData", "NoCanaryData"),
        (check.kind == "vsStable" and not check.stable_seen, "Inconclusive", "NoStableData"),
        (_is_learning(check), "Inconclusive", "LearningStable"),
        (_lacks_threshold(check), "Inconclusive", "NoSuitableBucket"),
        (check.canary_seen < needed, "Inconclusive", "TooFewRequests"),
    )
    found = next(((outcome, reason) for holds, outcome, reason in decisions if holds), None)
    if found is not None:
        return found
    return ("Inconclusive", "BeyondBound") if _is_beyond(check) else ("Pass", "WithinBounds")


def _is_beyond(check: Check) -> bool:
    """Tell whether the interval that people are shown has no room left for the bound.

    The evidence may still be short of its limit then. Nobody should be shown a pass beside it.
    """
    bound, stable, canary = make_bound(check), check.stable, check.canary
    if not canary.total:
        return False
    rate = canary.bad / canary.total
    if isinstance(bound, Rate):
        return rate > bound.value and compute_rate_interval(canary)[0] > bound.value
    if not stable.total or rate <= bound.allows(stable.bad / stable.total):
        return False  # most of the time; an interval takes a while to compute
    compare = compute_ratio_interval if bound.kind == "Ratio" else compute_difference_interval
    return compare(stable, canary)[0] > bound.value


def _decide_share(check: Check) -> tuple[Verdict, str]:
    """What the canary answers badly, and whether that is enough, is the other checks' business."""
    if check.failed:
        return "Fail", "NotAnswering"
    return "Pass", "WithinBounds" if check.share else "NotSplit"


def _name_failure(check: Check) -> str:
    if check.metric.kind == "ErrorRate":
        return "ErrorRateTooHigh"
    if check.metric.kind == "Latency":
        return "LatencyTooHigh"
    return "RatioTooLow" if check.metric.higher_is_better else "RatioTooHigh"


def _lacks_threshold(check: Check) -> bool:
    return check.metric.kind == "Latency" and check.thresholds is None


def _is_learning(check: Check) -> bool:
    return _lacks_threshold(check) and check.kind == "vsStable" and _missing(check) > 0


def _missing(check: Check) -> int:
    return ANSWERS_TO_LEARN_FROM - (check.history[-1][1] if check.history else 0)


def _make_row(check: Check, analysis: Analysis) -> Row:
    outcome, reason = _decide(check, analysis)
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
        proof=_get_proof(check),
    )
    return replace(row, message=_say(check, row, analysis))


def _get_bound(check: Check) -> float:
    metric = check.metric
    if check.kind == "share":
        return make_bound(check).value
    given = (metric.max,) if check.kind == "max" else (metric.max_increase, metric.max_ratio)
    return next(bound for bound in given if bound is not None)


def _compute_interval(check: Check) -> tuple[float, float] | None:
    if not check.canary.total or (check.kind == "vsStable" and not check.stable.total):
        return None
    if isinstance(make_bound(check), Rate):
        return compute_rate_interval(check.canary)
    return compute_difference_interval(check.stable, check.canary)


def _say(check: Check, row: Row, analysis: Analysis) -> str:
    missing = {
        "MetricError": find_error(analysis, check.metric) or "",
        "NoCanaryData": "no answer of the canary has been counted",
        "NoStableData": "no answer of stable has been counted to compare with",
        "LearningStable": f"{_missing(check)} more answers of stable are needed to know how slow"
        " it is",
        "NoSuitableBucket": "no bucket of the histogram is slow enough for the bound",
        "TooFewRequests": f"{check.canary_seen} of at least {analysis.min_requests} answers of the"
        " canary counted",
        "NotSplit": "not compared with the weight: single requests are not split by it, or the"
        " answers of one side are not known",
    }
    if row.reason in missing:
        return missing[row.reason]
    if check.kind == "share":
        return f"{_describe_share(check)}; {_describe_evidence(check, row, analysis)}"
    found = f"canary: {_describe(check.canary, check, of_canary=True)}"
    if check.kind == "vsStable":
        found += f"; stable: {_describe(check.stable, check, of_canary=False)}"
    evidence = _describe_evidence(check, row, analysis)
    return f"{found}; allowed: {_describe_bound(check, row)}; {evidence}"


def _describe_share(check: Check) -> str:
    stable, total = check.canary.bad, check.canary.total
    rate = (total - stable) / total if total else 0.0
    least = LEAST_PART * check.share
    # The evidence is of the last readings, the counts are of the step: alone they would contradict.
    late = ", but far fewer in the last readings" if check.failed and rate >= least else ""
    return (
        f"canary gave {total - stable} of {total} answers in this step ({say_rate(rate)}){late};"
        f" its weight should bring {say_rate(check.share)}, expected: at least {say_rate(least)}"
    )


def _describe(counts: Counts, check: Check, *, of_canary: bool) -> str:
    counted, did = counts.bad, "bad" if check.metric.kind == "Ratio" else "failed"
    if check.metric.higher_is_better:
        counted, did = counts.total - counts.bad, "good"
    if check.thresholds:
        did = f"took over {say_seconds(check.thresholds[1 if of_canary else 0])}"
    rate = counted / counts.total if counts.total else 0.0
    return f"{counted} of {counts.total} {did} ({say_rate(rate)})"


def _describe_bound(check: Check, row: Row) -> str:
    higher = check.metric.higher_is_better
    if check.kind == "max":
        allowed = get_allowed_rate(check.metric)
        return f"at least {say_rate(1.0 - allowed)}" if higher else say_rate(allowed)
    if row.tested_ratio is not None:
        return f"no larger a share (ratio tested {row.tested_ratio:.3g})"
    if check.metric.max_ratio is not None:
        return f"{check.metric.max_ratio:.3g} times stable's{' bad share' if higher else ''}"
    return f"{say_points(row.bound)} {'less' if higher else 'more'}"


def _describe_evidence(check: Check, row: Row, analysis: Analysis) -> str:
    against = f"evidence against it {row.e_value:.3g}, fails at {row.fails_at:.4g}"
    against += _describe_proof(row, analysis)
    if row.interval is None or check.kind == "share":
        return against
    low, high = row.interval
    if check.metric.higher_is_better:
        low, high = (1.0 - high, 1.0 - low) if check.kind == "max" else (-high, -low)
    if check.kind == "max":
        return f"its rate is {say_rate(low)} to {say_rate(high)}; {against}"
    return f"difference {say_points(low)} to {say_points(high)}; {against}"


def _describe_proof(row: Row, analysis: Analysis) -> str:
    if analysis.decide != "Early":
        return ""
    if row.proof is None:
        return "; no room to prove that it is no worse"
    return f"; for it {row.proof:.3g}, proven at {analysis.proven_at:.4g}"
