"""A running analysis: tests of every bound of every metric, fed with one reading after another.

One analysis spans a rollout, with a new process of evidence for each of its steps, so that alpha
is the chance that a good version is ever taken back, not the chance in each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from canarium.judge import latency
from canarium.judge.metrics import Buckets, Metric, Reading, Sample
from canarium.judge.sequential import (
    Counts,
    Evidence,
    Margin,
    begin,
    bet_on_margin,
    bet_on_rate,
    compute_e_value,
    multiply,
    start_another,
)

CheckKind = Literal["max", "vsStable"]

NOTHING = Counts()
LEAST_BLOCK = 2
"""Answers that each side needs before a block of a comparison is closed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a metric against one of its bounds. All counts but `learned` are of this step."""

    metric: Metric
    kind: CheckKind
    evidence: Evidence
    failed: bool = False
    stable: Counts = NOTHING
    canary: Counts = NOTHING
    stable_seen: int = 0
    """Answers that could be judged by this metric, from before the thresholds were chosen too."""
    canary_seen: int = 0
    open_stable: Counts = NOTHING
    """The block that isn't closed yet, of a comparison."""
    open_canary: Counts = NOTHING
    learned: Counts = NOTHING
    """What stable answered in closed blocks: what the next bets are made with."""
    thresholds: tuple[float, float] | None = None
    """Latency only: what is slow for stable and for the canary, in seconds, frozen for the step."""
    history: Buckets | None = None
    """Latency compared with stable: stable's answers in the whole rollout, to choose from."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The state of an analysis; `alpha` is shared by all its checks."""

    checks: tuple[Check, ...]
    alpha: float
    min_requests: int

    @property
    def fails_at(self) -> float:
        """The e-value at which a check fails: the number of checks, over alpha."""
        return max(len(self.checks), 1) / self.alpha


def start(metrics: Sequence[Metric], alpha: float = 0.01, min_requests: int = 0) -> Analysis:
    """Start to judge. Raises ValueError when alpha isn't between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError("alpha has to be between 0 and 1")
    checks = (Check(metric, kind, begin()) for metric in metrics for kind in _checks_of(metric))
    return Analysis(tuple(checks), alpha, min_requests)


def next_step(analysis: Analysis) -> Analysis:
    """Enter the next step of the rollout: counts begin at zero, evidence goes on."""
    return replace(analysis, checks=tuple(_enter_step(check) for check in analysis.checks))


def observe(analysis: Analysis, reading: Reading) -> Analysis:
    """Take a reading in. A check that has failed stays as it was when it did."""
    fails_at = analysis.fails_at
    checks = tuple(
        check if check.failed else _observe(check, reading, fails_at) for check in analysis.checks
    )
    return replace(analysis, checks=checks)


def get_margin(metric: Metric) -> Margin:
    """Get the margin of a metric's comparison with stable.

    A ratio of latencies has become two thresholds by the time that answers are counted, so what
    is left to compare is "no larger a share".
    """
    if metric.kind == "ErrorRate" and metric.max_ratio is not None:
        return Margin("Ratio", metric.max_ratio)
    return Margin("Difference", metric.max_increase or 0.0)


def get_allowed_rate(metric: Metric) -> float:
    """Get the share of bad answers that `max` allows: of errors, or of answers slower than it."""
    if metric.kind == "ErrorRate":
        return metric.max if metric.max is not None else 1.0
    return 1.0 - (metric.quantile or 0.0)


def _checks_of(metric: Metric) -> tuple[CheckKind, ...]:
    compared = metric.max_increase is not None or metric.max_ratio is not None
    absolute: tuple[CheckKind, ...] = ("max",) if metric.max is not None else ()
    return (*absolute, "vsStable") if compared else absolute


def _enter_step(check: Check) -> Check:
    if check.failed:
        return check
    # Other thresholds would make of the learned rate a rate of something else.
    learned = check.learned if check.metric.kind == "ErrorRate" else NOTHING
    return Check(
        check.metric,
        check.kind,
        start_another(check.evidence),
        learned=learned,
        history=check.history,
    )


def _observe(check: Check, reading: Reading, fails_at: float) -> Check:
    # Built in one go instead of by several replacements: this runs every second for every check.
    metric, thresholds = check.metric, check.thresholds
    if thresholds is None and metric.kind == "Latency":
        thresholds = _choose_thresholds(check, check.history, reading)
    stable = _count(metric, reading.stable, thresholds and thresholds[0])
    canary = _count(metric, reading.canary, thresholds and thresholds[1])
    block = _close_block(check, stable, canary)
    history = _remember(check, reading.stable)
    if thresholds is None and metric.kind == "Latency":
        # Not for this reading's answers: for the next ones'.
        thresholds = _choose_thresholds(check, history, reading)
    return Check(
        metric,
        check.kind,
        block.evidence,
        block.evidence is not check.evidence and compute_e_value(block.evidence) >= fails_at,
        check.stable + stable,
        check.canary + canary,
        check.stable_seen + _count_seen(metric, reading.stable),
        check.canary_seen + _count_seen(metric, reading.canary),
        block.open_stable,
        block.open_canary,
        block.learned,
        thresholds,
        history,
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """What becomes of the evidence and of the open block when answers come in."""

    evidence: Evidence
    open_stable: Counts = NOTHING
    open_canary: Counts = NOTHING
    learned: Counts = NOTHING


def _close_block(check: Check, stable: Counts, canary: Counts) -> _Block:
    if check.kind == "max":
        if not canary.total:
            return _Block(check.evidence)
        bets = bet_on_rate(canary, get_allowed_rate(check.metric))
        return _Block(multiply(check.evidence, bets))
    stable, canary = check.open_stable + stable, check.open_canary + canary
    if min(stable.total, canary.total) < LEAST_BLOCK:
        return _Block(check.evidence, stable, canary, check.learned)
    bets = bet_on_margin(stable, canary, get_margin(check.metric), check.learned)
    return _Block(multiply(check.evidence, bets), learned=check.learned + stable)


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
    if metric.kind == "ErrorRate":
        return Counts(sample.errors, sample.requests)
    if sample.latency is None or threshold is None:
        return NOTHING
    return latency.count_slower(sample.latency, threshold) or NOTHING


def _count_seen(metric: Metric, sample: Sample | None) -> int:
    if sample is None:
        return 0
    if metric.kind == "ErrorRate":
        return sample.requests
    return sample.latency[-1][1] if sample.latency else 0


def _remember(check: Check, stable: Sample | None) -> Buckets | None:
    if check.metric.kind == "ErrorRate" or check.kind == "max" or stable is None:
        return check.history
    return latency.add(check.history, stable.latency)
