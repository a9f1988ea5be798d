"""A running analysis: tests of every bound of every metric, fed with one reading after another.

One analysis spans a rollout, with a new process of evidence for each of its steps, so that alpha
is the chance that a good version is ever taken back, not the chance in each step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from canarium.judge import gauges, latency, traffic_share
from canarium.judge.gauges import GaugeCheck
from canarium.judge.metrics import Buckets, Metric, Reading, Sample
from canarium.judge.sequential import (
    LESSER_EFFECTS,
    NOTHING,
    Counts,
    Evidence,
    Margin,
    Rate,
    begin,
    check_alpha,
    compute_e_value,
)
from canarium.judge.single import Progress, advance, enter_step

CountKind = Literal["max", "vsStable", "share"]
Decide = Literal["HoldEnd", "Early"]

_TRAFFIC_SHARE = traffic_share.METRIC
ONE_BURST_SECONDS = 30.0
"""What was answered in a longer time isn't one burst, however few answers there were."""
LONGEST_MESSAGE = 300
"""Letters of a source's error that are kept."""


@dataclass(frozen=True, slots=True)
class Check:
    """One test of counts: a metric against one of its bounds.

    All counts are of this step, but for what was learned. Of `traffic-share` the canary's
    counts are stable's answers among both sides'.
    """

    metric: Metric
    kind: CountKind
    progress: Progress = field(default_factory=Progress)
    failed: bool = False
    stable: Counts = NOTHING
    canary: Counts = NOTHING
    stable_seen: int = 0
    """Answers that could be judged by this metric, from before the thresholds were chosen too."""
    canary_seen: int = 0
    thresholds: tuple[float, float] | None = None
    """Latency only: what is slow for stable and for the canary, in seconds, frozen for the step."""
    history: Buckets | None = None
    """Latency compared with stable, and traffic share: stable's in the whole rollout."""
    share: float = 0.0
    """Traffic share only: the part of the traffic that the canary should get."""
    waited_seconds: float = 0.0
    """Traffic share only: since when a share of the traffic is expected."""

    @property
    def evidence(self) -> Evidence:
        """The evidence against the canary."""
        return self.progress.evidence


@dataclass(frozen=True, slots=True)
class Trouble:
    """A source whose last readings failed, one after the other."""

    source: str
    errors: int
    message: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """The state of an analysis; `alpha` is shared by all its checks of counts."""

    checks: tuple[Check, ...]
    alpha: float
    min_requests: int
    gauges: tuple[GaugeCheck, ...] = ()
    decide: Decide = "HoldEnd"
    troubles: tuple[Trouble, ...] = ()

    @property
    def fails_at(self) -> float:
        """The e-value at which a check fails: the number of checks, over alpha."""
        return max(len(self.checks), 1) / self.alpha

    @property
    def proven_at(self) -> float:
        """The value at which a check is proven. All have to be, so that alpha isn't shared."""
        return 1.0 / self.alpha


def start(
    metrics: Sequence[Metric],
    alpha: float = 0.01,
    min_requests: int = 0,
    *,
    decide: Decide = "HoldEnd",
    traffic_share: bool = False,
) -> Analysis:
    """Start to judge; with `traffic_share` a canary that doesn't answer its share fails, too.

    With decide Early, evidence is gathered that the canary keeps its bounds (see `is_proven`).
    Raises ValueError when alpha isn't between LEAST_ALPHA and 1.
    """
    check_alpha(alpha)
    progress = Progress(proof=begin(LESSER_EFFECTS)) if decide == "Early" else Progress()
    found = [(metric, kind) for metric in metrics for kind in _list_kinds(metric)]
    checks = [Check(metric, kind, progress) for metric, kind in found]
    if traffic_share:
        checks.append(Check(_TRAFFIC_SHARE, "share", progress))
    of_gauges = (
        GaugeCheck(metric, kind)
        for metric in metrics
        if metric.kind == "Gauge"
        for kind in gauges.list_kinds(metric)
    )
    return Analysis(tuple(checks), alpha, min_requests, tuple(of_gauges), decide)


def next_step(analysis: Analysis) -> Analysis:
    """Enter the next step of the rollout: counts begin at zero, evidence goes on."""
    return replace(
        analysis,
        checks=tuple(_enter_step(check) for check in analysis.checks),
        gauges=tuple(gauges.enter_step(check) for check in analysis.gauges),
    )


def observe(
    analysis: Analysis, reading: Reading, source: str = "Pods", share: float | None = None
) -> Analysis:
    """Take a reading of answers in. A check that has failed stays as it was when it did.

    Only metrics fed by `source` are concerned. `share` is the part, 0 to 1, of the answers in
    this reading that should be the canary's, for `traffic-share`; None where the router doesn't
    split single requests. Give it with one source alone.
    """
    fails_at = analysis.fails_at

    def look(check: Check) -> Check:
        if check.kind == "share":
            return _observe_share(check, reading, share, fails_at)
        if check.metric.source != source or check.metric.kind == "Ratio":
            return check
        return _observe(check, reading, fails_at)

    return _update(analysis, source, look)


def observe_counts(
    analysis: Analysis, name: str, stable: Counts | None, canary: Counts | None
) -> Analysis:
    """Take in what was counted of a Ratio since its last reading; None stands for no data."""
    fails_at = analysis.fails_at

    def look(check: Check) -> Check:
        if not _is_ratio_named(check, name):
            return check
        return _observe_counts(check, stable or NOTHING, canary or NOTHING, fails_at)

    return _update(analysis, _find_source(analysis, name), look)


def observe_gauge(
    analysis: Analysis, name: str, stable: float | None, canary: float | None
) -> Analysis:
    """Take a reading of a Gauge in; None, NaN and infinities stand for no data."""
    checks = tuple(
        gauges.observe(check, stable, canary)
        if check.metric.name == name and not check.failed
        else check
        for check in analysis.gauges
    )
    recovered = _recover(analysis, _find_source(analysis, name))
    return replace(recovered, gauges=checks)


def observe_error(analysis: Analysis, source: str, message: str) -> Analysis:
    """Note that a reading failed, and why; it is neither a zero nor a failure of the canary."""
    before = find_trouble(analysis, source)
    count = before.errors + 1 if before else 1
    trouble = Trouble(source, count, message[:LONGEST_MESSAGE])
    others = (each for each in analysis.troubles if each.source != source)
    return replace(analysis, troubles=(*others, trouble))


def find_trouble(analysis: Analysis, source: str) -> Trouble | None:
    """Find out whether the last readings of a source failed."""
    return next((each for each in analysis.troubles if each.source == source), None)


def find_error(analysis: Analysis, metric: Metric) -> str | None:
    """Get the error that keeps a metric from being judged: too many in a row, or None."""
    trouble = find_trouble(analysis, metric.source)
    if trouble is None or trouble.errors < metric.consecutive_error_limit:
        return None
    return f"{trouble.errors} readings in a row failed: {trouble.message}"


def can_be_proven(check: Check) -> bool:
    """Tell whether it can be shown that the bound is kept: there has to be room below it."""
    metric = check.metric
    if check.kind == "vsStable":
        return bool(metric.max_increase) or (metric.max_ratio or 1.0) > 1.0
    return check.kind == "share" or get_allowed_rate(metric) > 0.0


def make_bound(check: Check) -> Rate | Margin:
    """Make the bound that is tested, of bad answers."""
    if check.kind == "share":
        return traffic_share.make_bound(check.share)
    if check.kind == "max":
        return Rate(get_allowed_rate(check.metric))
    return get_margin(check.metric)


def get_margin(metric: Metric) -> Margin:
    """Get the margin of a metric's comparison with stable.

    A ratio of latencies has become two thresholds by the time that answers are counted, so what
    is left to compare is "no larger a share".
    """
    if metric.kind != "Latency" and metric.max_ratio is not None:
        return Margin("Ratio", metric.max_ratio)
    return Margin("Difference", metric.max_increase or 0.0)


def get_allowed_rate(metric: Metric) -> float:
    """Get the share of bad answers that `max` allows: of errors, or of answers slower than it."""
    if metric.kind != "Latency":
        return metric.max if metric.max is not None else 1.0
    return 1.0 - (metric.quantile or 0.0)


def _update(analysis: Analysis, source: str, look: Callable[[Check], Check]) -> Analysis:
    checks = tuple(check if check.failed else look(check) for check in analysis.checks)
    return replace(_recover(analysis, source), checks=checks)


def _recover(analysis: Analysis, source: str) -> Analysis:
    if not analysis.troubles:
        return analysis
    left = tuple(each for each in analysis.troubles if each.source != source)
    return replace(analysis, troubles=left)


def _find_source(analysis: Analysis, name: str) -> str:
    metrics = [check.metric for check in analysis.checks]
    metrics += [check.metric for check in analysis.gauges]
    return next((metric.source for metric in metrics if metric.name == name), "")


def _is_ratio_named(check: Check, name: str) -> bool:
    metric = check.metric
    return (metric.name, metric.kind) == (name, "Ratio") and check.kind != "share"


def _list_kinds(metric: Metric) -> tuple[CountKind, ...]:
    if metric.kind == "Gauge":
        return ()
    compared = metric.max_increase is not None or metric.max_ratio is not None
    absolute: tuple[CountKind, ...] = ("max",) if metric.max is not None else ()
    return (*absolute, "vsStable") if compared else absolute


def _enter_step(check: Check) -> Check:
    if check.failed:
        return check
    # Other thresholds would make of the learned rate a rate of something else.
    progress = enter_step(check.progress, keep_learned=check.metric.kind != "Latency")
    return Check(check.metric, check.kind, progress, history=check.history)


def _observe(check: Check, reading: Reading, fails_at: float) -> Check:
    # Built in one go instead of by several replacements: this runs every second for every check.
    if _has_lost_its_bucket(check, reading):
        bounds = reading.stable.latency if reading.stable else None
        kept = latency.keep_bounds(check.history, bounds)
        check = replace(_enter_step(check), history=kept)
    metric, thresholds = check.metric, check.thresholds
    if thresholds is None and metric.kind == "Latency":
        thresholds = _choose_thresholds(check, check.history, reading)
    stable = _count(metric, reading.stable, thresholds and thresholds[0])
    canary = _count(metric, reading.canary, thresholds and thresholds[1])
    limit = fails_at if _may_be_one_burst(reading) else inf
    progress = advance(check.progress, make_bound(check), stable, canary, fails_at=limit)
    history = _remember(check, reading.stable)
    if thresholds is None and metric.kind == "Latency":
        # Not for this reading's answers: for the next ones'.
        thresholds = _choose_thresholds(check, history, reading)
    return Check(
        metric,
        check.kind,
        progress,
        _has_failed(check, progress, fails_at),
        check.stable + stable,
        check.canary + canary,
        check.stable_seen + _count_seen(metric, reading.stable),
        check.canary_seen + _count_seen(metric, reading.canary),
        thresholds,
        history,
    )


def _may_be_one_burst(reading: Reading) -> bool:
    """Tell whether a reading's answers may all have come at once.

    Those of a first reading (0 seconds) came while nobody read: since what was saved last.
    """
    return 0.0 < reading.seconds < ONE_BURST_SECONDS


def _has_lost_its_bucket(check: Check, reading: Reading) -> bool:
    """Tell whether a histogram has other bounds than when the thresholds were chosen.

    Answers can't be counted by them any more, so others have to be chosen and counting begins anew.
    """
    if check.thresholds is None:
        return False
    # Against `max` stable isn't counted, whatever bounds its histogram has.
    counted = (None if check.kind == "max" else reading.stable, reading.canary)
    sides = zip(counted, check.thresholds, strict=True)
    return any(
        sample is not None
        and sample.latency is not None
        and all(bound != threshold for bound, _ in sample.latency)
        for sample, threshold in sides
    )


def _observe_counts(check: Check, stable: Counts, canary: Counts, fails_at: float) -> Check:
    progress = advance(check.progress, make_bound(check), stable, canary, fails_at=fails_at)
    return replace(
        check,
        progress=progress,
        failed=_has_failed(check, progress, fails_at),
        stable=check.stable + stable,
        canary=check.canary + canary,
        stable_seen=check.stable_seen + stable.total,
        canary_seen=check.canary_seen + canary.total,
    )


def _observe_share(check: Check, reading: Reading, share: float | None, fails_at: float) -> Check:
    counts = traffic_share.count(reading, share)
    if counts is None or share is None or reading.stable is None:
        return check
    history = latency.add(check.history, reading.stable.latency)
    waited = check.waited_seconds + reading.seconds
    check = replace(check, history=history, waited_seconds=waited, share=share)
    if waited <= traffic_share.compute_wait(history):
        return check
    return _observe_counts(check, NOTHING, counts, fails_at)


def _has_failed(check: Check, progress: Progress, fails_at: float) -> bool:
    if progress.evidence is check.progress.evidence:
        return False
    return compute_e_value(progress.evidence) >= fails_at


def _choose_thresholds(
    check: Check, history: Buckets | None, reading: Reading
) -> tuple[float, float] | None:
    """Choose what is slow, by what stable has answered so far and the canary's buckets."""
    metric, canary = check.metric, reading.canary
    if canary is None or canary.latency is None:
        return None
    if check.kind == "max":
        bound = latency.round_up(canary.latency, metric.max or 0.0)
        return None if bound is None else (bound, bound)
    if history is None or history[-1][1] < latency.ANSWERS_TO_LEARN_FROM:
        return None
    quantile, ratio = metric.quantile or 0.0, metric.max_ratio or 1.0
    return latency.choose_thresholds(history, canary.latency, quantile, ratio)


def _count(metric: Metric, sample: Sample | None, threshold: float | None) -> Counts:
    if sample is None:
        return NOTHING
    if metric.kind != "Latency":
        known = sample.errors is not None and sample.requests is not None
        return Counts(sample.errors or 0, sample.requests or 0) if known else NOTHING
    if sample.latency is None or threshold is None:
        return NOTHING
    return latency.count_slower(sample.latency, threshold) or NOTHING


def _count_seen(metric: Metric, sample: Sample | None) -> int:
    if sample is None:
        return 0
    if metric.kind != "Latency":
        return sample.requests or 0
    return sample.latency[-1][1] if sample.latency else 0


def _remember(check: Check, stable: Sample | None) -> Buckets | None:
    if check.metric.kind != "Latency" or check.kind == "max" or stable is None:
        return check.history
    return latency.add(check.history, stable.latency)
