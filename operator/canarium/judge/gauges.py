"""Checks of gauges: figures that are one number a reading, and no counts.

A bound is kept by comparing each reading with it; stable is compared with by ranks, once, at the
end of the hold. Neither has the guarantee that tests on counts have.
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from canarium.judge import ranks
from canarium.judge.metrics import Metric
from canarium.judge.rows import Row, Verdict

GaugeKind = Literal["max", "min", "vsStable"]
MOST_READINGS = 100
"""Kept of each side for RankSum; beyond, every second is dropped, and from then on not taken."""

_LARGEST = 1e300
"""Readings beyond are cut down to it, so that differences and sums of them are still numbers."""


@dataclass(frozen=True, slots=True)
class GaugeCheck:
    """One bound of one gauge. All of it is of this step."""

    metric: Metric
    kind: GaugeKind
    readings: int = 0
    """Of the canary; what was no data isn't among them."""
    beyond: int = 0
    value: float | None = None
    stable_value: float | None = None
    rounds: int = 0
    """Readings of either side, RankSum only; each `stride`th of them is kept."""
    stride: int = 1
    stable: tuple[float, ...] = ()
    canary: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether more readings were beyond the bound than it forgives; never with RankSum."""
        return self.beyond > self.metric.failure_limit


def list_kinds(metric: Metric) -> tuple[GaugeKind, ...]:
    """List the checks of a gauge, one for each of its bounds."""
    found: tuple[tuple[GaugeKind, bool], ...] = (
        ("max", metric.max is not None),
        ("min", metric.min is not None),
        ("vsStable", metric.judge == "RankSum"),
    )
    return tuple(kind for kind, is_given in found if is_given)


def enter_step(check: GaugeCheck) -> GaugeCheck:
    """Begin to count anew, unless it has failed."""
    return check if check.failed else GaugeCheck(check.metric, check.kind)


def observe(check: GaugeCheck, stable: float | None, canary: float | None) -> GaugeCheck:
    """Take a reading in; None, NaN and infinities are no data, which counts neither way."""
    stable, canary = _read(stable), _read(canary)
    if check.kind == "vsStable":
        return _keep(check, stable, canary)
    if canary is None:
        return check
    beyond = check.beyond + _is_beyond(check, canary)
    return replace(
        check,
        readings=check.readings + 1,
        beyond=beyond,
        value=canary,
        stable_value=check.stable_value if stable is None else stable,
    )


def _read(value: float | None) -> float | None:
    if value is None or not isfinite(value):
        return None
    return max(-_LARGEST, min(value, _LARGEST))


def _is_beyond(check: GaugeCheck, value: float) -> bool:
    bound = _get_bound(check)
    return value > bound if check.kind == "max" else value < bound


def _keep(check: GaugeCheck, stable: float | None, canary: float | None) -> GaugeCheck:
    if stable is None and canary is None:
        return check
    is_kept = check.rounds % check.stride == 0
    kept = replace(
        check,
        readings=check.readings + (canary is not None),
        value=check.value if canary is None else canary,
        stable_value=check.stable_value if stable is None else stable,
        rounds=check.rounds + 1,
        stable=_append(check.stable, stable if is_kept else None),
        canary=_append(check.canary, canary if is_kept else None),
    )
    if max(len(kept.stable), len(kept.canary)) <= MOST_READINGS:
        return kept
    halves = kept.stable[::2], kept.canary[::2]
    return replace(kept, stride=2 * check.stride, stable=halves[0], canary=halves[1])


def _append(values: tuple[float, ...], value: float | None) -> tuple[float, ...]:
    # Six digits are all that is saved, and a restart must not change what is compared.
    return values if value is None else (*values, float(f"{value:.6g}"))


def make_row(check: GaugeCheck, error: str | None, *, hold_over: bool) -> Row:
    """Say what was found. `error` is why its source can't be read; ranks wait for `hold_over`."""
    if check.kind == "vsStable":
        return _make_rank_row(check, error, hold_over=hold_over)
    outcome, reason, message = _decide(check, error)
    return Row(
        metric=check.metric.name,
        check=check.kind,
        verdict=outcome,
        reason=reason,
        message=message,
        stable_bad=0,
        stable_total=0,
        canary_bad=check.beyond,
        canary_total=check.readings,
        e_value=None,
        fails_at=None,
        bound=_get_bound(check),
        interval=None,
        threshold_seconds=None,
        tested_ratio=None,
        value=check.value,
        stable_value=check.stable_value,
    )


def _get_bound(check: GaugeCheck) -> float:
    bound = check.metric.max if check.kind == "max" else check.metric.min
    return bound if bound is not None else _get_effect(check)


def _get_effect(check: GaugeCheck) -> float:
    metric = check.metric
    given = metric.allowed_decrease if metric.higher_is_better else metric.allowed_increase
    return 1.0 if given is None else given


def _decide(check: GaugeCheck, error: str | None) -> tuple[Verdict, str, str]:
    limit, where = check.metric.failure_limit, "above" if check.kind == "max" else "below"
    found = (
        f"{check.beyond} of {check.readings} readings {where} {_get_bound(check):.6g},"
        f" {limit} forgiven" + ("" if check.value is None else f"; the last was {check.value:.6g}")
    )
    if check.failed:
        return "Fail", "AboveMax" if check.kind == "max" else "BelowMin", found
    if error is not None:
        return "Inconclusive", "MetricError", error
    if not check.readings:
        return "NoData", "NoCanaryData", "no figure of the canary has been read"
    return "Pass", "WithinBounds", found


def _make_rank_row(check: GaugeCheck, error: str | None, *, hold_over: bool) -> Row:
    (outcome, reason, message), found = _decide_by_ranks(check, error, hold_over=hold_over)
    return Row(
        metric=check.metric.name,
        check=check.kind,
        verdict=outcome,
        reason=reason,
        message=message,
        stable_bad=0,
        stable_total=len(check.stable),
        canary_bad=0,
        canary_total=len(check.canary),
        e_value=None,
        fails_at=None,
        bound=_get_effect(check),
        interval=found.interval if found else None,
        threshold_seconds=None,
        tested_ratio=found.effect if found else None,
        value=check.value,
        stable_value=check.stable_value,
        estimate=found.estimate if found else None,
    )


def _decide_by_ranks(
    check: GaugeCheck, error: str | None, *, hold_over: bool
) -> tuple[tuple[Verdict, str, str], ranks.Comparison | None]:
    waits = _find_reason_to_wait(check, error, hold_over=hold_over)
    if waits:
        return waits, None
    found = _compare(check)
    return _judge_ranks(check, found), found


def _find_reason_to_wait(
    check: GaugeCheck, error: str | None, *, hold_over: bool
) -> tuple[Verdict, str, str] | None:
    new, old = len(check.canary), len(check.stable)
    counted = f"{new} readings of the canary and {old} of stable kept"
    few = f"{counted}, {ranks.LEAST_READINGS} of each needed"
    reasons: tuple[tuple[bool, tuple[Verdict, str, str]], ...] = (
        (not ranks.is_available(), ("Inconclusive", "ScipyMissing", ranks.MISSING)),
        (error is not None, ("Inconclusive", "MetricError", error or "")),
        (not new, ("NoData", "NoCanaryData", "no figure of the canary has been read")),
        (not old, ("Inconclusive", "NoStableData", "no figure of stable has been read")),
        (min(new, old) < ranks.LEAST_READINGS, ("Inconclusive", "TooFewReadings", few)),
        (
            not hold_over,
            ("Inconclusive", "DecidedAtEnd", f"decided when the hold is over; {counted}"),
        ),
    )
    return next((found for holds, found in reasons if holds), None)


def _compare(check: GaugeCheck) -> ranks.Comparison:
    metric = check.metric
    increase = 1.0 if metric.allowed_increase is None else metric.allowed_increase
    decrease = 1.0 if metric.allowed_decrease is None else metric.allowed_decrease
    return ranks.compare(check.stable, check.canary, increase, decrease)


def _judge_ranks(check: GaugeCheck, found: ranks.Comparison) -> tuple[Verdict, str, str]:
    low, high = found.interval
    effect = "" if found.effect is None else f", {found.effect:.4g} times stable's mean"
    message = (
        f"shifted by {found.estimate:.4g} (98% interval {low:.4g} to {high:.4g}){effect};"
        f" allowed: {_get_effect(check):.4g} times; {len(check.canary)} readings of the canary,"
        f" {len(check.stable)} of stable"
    )
    if found.label == ("Low" if check.metric.higher_is_better else "High"):
        return "Fail", f"{'Lower' if found.label == 'Low' else 'Higher'}ThanStable", message
    return "Pass", "WithinBounds", message
