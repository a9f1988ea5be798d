"""A running analysis as JSON and back, so that it outlives the operator.

Numbers are rounded towards "no evidence". What happened between the last save and a restart is
lost, never made up. Besides the histograms' counts it is a handful of numbers a check; the largest
part can be the readings that RankSum compares, at most 100 a side.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from math import inf
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from canarium.judge import gauges
from canarium.judge.analysis import Analysis, Check, CountKind, Decide, Trouble, start
from canarium.judge.gauges import GaugeCheck, GaugeKind
from canarium.judge.metrics import Metric
from canarium.judge.saved import (
    BothCounts,
    SavedProgress,
    Whole,
    flatten,
    load_progress,
    save_progress,
    unflatten,
)
from canarium.judge.single import Progress

VERSION = 3

_Seconds = Annotated[float, Meta(gt=0, le=1e300)]
_Reading = Annotated[float, Meta(ge=-1e300, le=1e300)]
_Readings = Annotated[tuple[_Reading, ...], Meta(max_length=gauges.MOST_READINGS)]

_DEFAULTS = {field.name: field.default for field in fields(Metric)}


class _Saved(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A check as it is kept: counts are bad, total of stable and then of the canary."""

    metric: Metric
    check: CountKind
    progress: SavedProgress
    counts: BothCounts
    seen: tuple[Whole, Whole]
    failed: bool = False
    thresholds: tuple[_Seconds, _Seconds] | None = None
    bounds: tuple[_Seconds, ...] = ()
    """The finite ones of the history; its counts have one more, for infinity."""
    history: tuple[Whole, ...] = ()
    share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    waited: Annotated[float, Meta(ge=0, le=1e300)] = 0.0


class _SavedGauge(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A check of a gauge as it is kept; `last` are stable's and the canary's last readings."""

    metric: Metric
    check: GaugeKind
    readings: Whole = 0
    beyond: Whole = 0
    last: tuple[_Reading | None, _Reading | None] = (None, None)
    rounds: Whole = 0
    stride: Annotated[int, Meta(ge=1, le=2**53)] = 1
    stable: _Readings = ()
    canary: _Readings = ()


class _SavedTrouble(Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    errors: Annotated[int, Meta(ge=1, le=2**53)]
    message: str


def dump(analysis: Analysis) -> dict[str, Any]:
    """Write the state of a running analysis as a few JSON values."""
    dumped: dict[str, Any] = {
        "version": VERSION,
        "checks": [_write(_save(check)) for check in analysis.checks],
    }
    if analysis.gauges:
        dumped["gauges"] = [_write(_save_gauge(check)) for check in analysis.gauges]
    if analysis.troubles:
        dumped["troubles"] = [to_builtins(each) for each in analysis.troubles]
    return dumped


def load(
    dumped: object,
    metrics: Sequence[Metric],
    alpha: float = 0.01,
    min_requests: int = 0,
    *,
    decide: Decide = "HoldEnd",
    traffic_share: bool = False,
) -> Analysis:
    """Carry an analysis on from what `dump` wrote; never raises for what is in it.

    A check of which nothing (or nothing that makes sense) was saved starts anew; so does one
    whose metric has been edited since.
    """
    fresh = start(metrics, alpha, min_requests, decide=decide, traffic_share=traffic_share)
    content = dumped if isinstance(dumped, dict) and dumped.get("version") == VERSION else {}
    checks = map(_load, _list(content, "checks"))
    saved = {(check.metric, check.kind): check for check in checks if check}
    readings = map(_load_gauge, _list(content, "gauges"))
    of_gauges = {(gauge.metric, gauge.kind): gauge for gauge in readings if gauge}
    troubles = map(_load_trouble, _list(content, "troubles"))
    return replace(
        fresh,
        checks=tuple(
            _take_up(saved.get((check.metric, check.kind), check), check) for check in fresh.checks
        ),
        gauges=tuple(of_gauges.get((check.metric, check.kind), check) for check in fresh.gauges),
        troubles=tuple(trouble for trouble in troubles if trouble),
    )


def _take_up(saved: Check, fresh: Check) -> Check:
    """Keep, drop or begin the proof as is wanted now."""
    if (saved.progress.proof is None) == (fresh.progress.proof is None):
        return saved
    return replace(saved, progress=replace(saved.progress, proof=fresh.progress.proof))


def _write(saved: _Saved | _SavedGauge) -> dict[str, Any]:
    written: dict[str, Any] = to_builtins(saved)
    metric = written["metric"].items()
    written["metric"] = {name: given for name, given in metric if given != _DEFAULTS[name]}
    return written


def _save(check: Check) -> _Saved:
    history = check.history or ()
    return _Saved(
        metric=check.metric,
        check=check.kind,
        progress=save_progress(check.progress),
        failed=check.failed,
        counts=flatten(check.stable, check.canary),
        seen=(check.stable_seen, check.canary_seen),
        thresholds=check.thresholds,
        bounds=tuple(bound for bound, _ in history if bound < inf),
        history=tuple(count for _, count in history),
        share=check.share,
        waited=round(check.waited_seconds, 3),
    )


def _save_gauge(check: GaugeCheck) -> _SavedGauge:
    return _SavedGauge(
        metric=check.metric,
        check=check.kind,
        readings=check.readings,
        beyond=check.beyond,
        last=(check.stable_value, check.value),
        rounds=check.rounds,
        stride=check.stride,
        stable=check.stable,
        canary=check.canary,
    )


def _list(content: dict[Any, Any], name: str) -> list[object]:
    found = content.get(name)
    return found if isinstance(found, list) else []


# What doesn't make sense is None: its absence from the result is what makes the check start anew.


def _load(dumped: object) -> Check | None:
    try:
        saved = convert(dumped, _Saved)
        bounds = (*saved.bounds, inf) if saved.history else saved.bounds
        history = tuple(zip(bounds, saved.history, strict=True))
        progress = load_progress(saved.progress, Progress())
        stable, canary = unflatten(saved.counts)
    except (ValidationError, ValueError):
        return None
    return Check(
        saved.metric,
        saved.check,
        progress,
        failed=saved.failed,
        stable=stable,
        canary=canary,
        stable_seen=saved.seen[0],
        canary_seen=saved.seen[1],
        thresholds=saved.thresholds,
        history=history or None,
        share=saved.share,
        waited_seconds=saved.waited,
    )


def _load_gauge(dumped: object) -> GaugeCheck | None:
    try:
        saved = convert(dumped, _SavedGauge)
    except (ValidationError, ValueError):
        return None
    if saved.beyond > saved.readings:
        return None
    stable_value, value = saved.last
    return GaugeCheck(
        saved.metric,
        saved.check,
        saved.readings,
        saved.beyond,
        value,
        stable_value,
        saved.rounds,
        saved.stride,
        saved.stable,
        saved.canary,
    )


def _load_trouble(dumped: object) -> Trouble | None:
    try:
        saved = convert(dumped, _SavedTrouble)
    except ValidationError:
        return None
    return Trouble(saved.source, saved.errors, saved.message)
